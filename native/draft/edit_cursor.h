// Follows a reply through the text that it rewrites: where the model copies, the original is the draft.
//
// The cursor stands in the original behind what the reply has repeated. A token that differs is an insertion, a
// deletion or a replacement; which of them shows by where the next tokens are found again. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "draft/proposal.h"

namespace outpost {

class EditCursor {
 public:
  /// @param original tokens of the text that is rewritten; an empty one never proposes anything
  explicit EditCursor(std::vector<int32_t> original) : original_(std::move(original)) {}

  /// The reply said this token.
  void advance(int32_t token);
  /// The original from the cursor on, at most n_most tokens.
  void propose(int32_t n_most, Proposal& out) const;

 private:
  static constexpr size_t kTail = 8, kBehind = 256, kAhead = 4096;

  size_t match_length(size_t end) const;
  bool find_again();

  std::vector<int32_t> original_;
  std::vector<int32_t> tail_;  // the last tokens of the reply, at most kTail
  size_t at_ = 0;              // where the original goes on, if the reply follows it
  size_t n_lost_ = 0;          // tokens since the reply left it at at_
  int32_t n_matched_ = 0;
};

}  // namespace outpost
