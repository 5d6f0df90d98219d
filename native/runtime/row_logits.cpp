#include "runtime/row_logits.h"

#include <algorithm>
#include <cstring>

namespace outpost {

RowLogits::RowLogits(const LoadedModel& model)
    : n_vocab_(static_cast<size_t>(model.info().n_vocab)),
      has_lists_(model.stages().last().has_shortlists()),
      list_memory_(model.stages()),
      row_memory_(model.stages()) {}

void RowLogits::compute(LogitSource& source, Batch batch, std::span<const int32_t> n_best,
                        const std::function<void(const Batch&, std::span<float>)>& forward) {
  const size_t n_rows = n_best.size();
  lists_.clear();
  rows_.assign(n_rows, {});
  if (!has_lists_ || std::all_of(n_best.begin(), n_best.end(), [](int32_t n) { return n == 0; })) {
    const auto logits = take_rows(n_rows);
    forward(batch, logits);
    for (size_t i = 0; i < n_rows; ++i) rows_[i] = row_of(logits, i);
    return;
  }
  batch.shortlists = list_memory_.take(n_rows * kShortlistWords);
  forward(batch, {});
  lists_.resize(n_rows);
  std::memcpy(lists_.data(), batch.shortlists.data(), n_rows * sizeof(Shortlist));
  std::vector<size_t> whole;
  for (size_t i = 0; i < n_rows; ++i) {
    const int32_t n_listed = lists_[i].n_tokens;
    if (n_best[i] == 0 || (n_listed != kShortlistNotFinite && n_listed < n_best[i])) whole.push_back(i);
  }
  const auto logits = take_rows(whole.size());
  for (size_t k = 0; k < whole.size(); ++k) {
    rows_[whole[k]] = row_of(logits, k);
    source.read_logits(static_cast<int32_t>(whole[k]), rows_[whole[k]]);
  }
}

LogitRow RowLogits::row(size_t i) const { return rows_[i].empty() ? LogitRow(lists_[i]) : LogitRow(rows_[i]); }

}  // namespace outpost
