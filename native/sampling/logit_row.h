// What a model says about the next token: all of its logits, or the best of them and a sum over all.
#pragma once

#include <concepts>
#include <span>

#include "kernels/common/shortlist.h"

namespace outpost {

/// Of memory that belongs to whoever computed it.
struct LogitRow {
  LogitRow() = default;
  template <typename Logits>
  requires std::convertible_to<const Logits&, std::span<const float>> LogitRow(const Logits& logits) : all(logits) {}
  explicit LogitRow(const Shortlist& list) : best(&list) {}

  std::span<const float> all;       ///< [n_vocab]; empty where there is only the list
  const Shortlist* best = nullptr;  ///< null where all logits are there
};

}  // namespace outpost
