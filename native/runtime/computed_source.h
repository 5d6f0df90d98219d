// A draft source that has to compute to say anything, so that asking it has a price. Belongs to the decode thread.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine.h"
#include "runtime/reply.h"
#include "runtime/row_logits.h"

namespace outpost {

class ComputedSource {
 public:
  virtual ~ComputedSource() = default;
  virtual DraftSource source() const = 0;
  /// Up to n tokens behind the reply; fewer, or none, where the context or memory ends or the reply would end.
  virtual std::vector<int32_t> draft(const Reply& reply, int32_t n) = 0;

  /// Whether it wants to hear what the model has computed.
  virtual bool wants_hidden() const { return false; }
  /// @param hidden states of the positions from `first` on, [n, n_embd]; of tokens that may yet be refused
  virtual void follow(int32_t /*first*/, std::span<const float> /*hidden*/) {}

  /// What a drafted token cost lately; 0 before the first.
  double ms_per_token() const { return ms_per_token_; }

 protected:
  /// A draft of n tokens took so long.
  void observe_price(double ms, size_t n);

 private:
  double ms_per_token_ = 0;
};

/// Draws up to n tokens as the reply would, with the random numbers that it is going to draw and within its grammar.
/// @param logits what follows the reply, as Reply::n_best asks for it @param tokenizer of the ids that are drawn
/// @param go_on computes what follows one more token, into the same place; false if that cannot be done
std::vector<int32_t> draw_ahead(const Reply& reply, Sampler& sampler, const Tokenizer& tokenizer,
                                const RowLogits& logits, int32_t n, const std::function<bool(int32_t)>& go_on);

}  // namespace outpost
