// What a pass says about the tokens behind its rows, on the host: shortlists where the device makes them, and all
// logits of the rows for which a list will not do. Which it is depends on the row alone, not on those beside it.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "runtime/loaded_model.h"
#include "sampling/logit_row.h"

namespace outpost {

class RowLogits {
 public:
  explicit RowLogits(const LoadedModel& model);

  /// Computes a batch and forgets the rows of the one before.
  /// @param n_best for each of its logit_rows how long a list has to be, or 0 if none will do (Sampler::n_best)
  /// @param forward that of `source`, for the batch and memory that it is given
  void compute(LogitSource& source, Batch batch, std::span<const int32_t> n_best,
               const std::function<void(const Batch& batch, std::span<float> logits)>& forward);

  LogitRow row(size_t i) const;
  /// Of a row of which no list would do: to be changed.
  std::span<float> all(size_t i) { return rows_[i]; }

 private:
  std::span<float> take_rows(size_t n) { return row_memory_.take(n * n_vocab_); }
  std::span<float> row_of(std::span<float> rows, size_t i) const { return rows.subspan(i * n_vocab_, n_vocab_); }

  const size_t n_vocab_;
  const bool has_lists_;
  HostResults list_memory_, row_memory_;
  std::vector<Shortlist> lists_;
  std::vector<std::span<float>> rows_;  // empty where there is only the list
};

}  // namespace outpost
