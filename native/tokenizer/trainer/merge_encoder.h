// Encodes pieces with the merges learned so far, which is what the second stage starts from.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/trainer/merge_learner.h"

namespace outpost {

/// Byte-pair encoding by its definition: of all pairs of neighbours the one whose merge was learned first is joined,
/// the leftmost of equal ones, until no merge applies. Immutable; any thread.
class MergeEncoder {
 public:
  explicit MergeEncoder(const LearnedTokens& tokens);

  /// Quadratic in the length of `text`: for pieces.
  void encode(std::string_view text, std::vector<int32_t>& out) const;

 private:
  int32_t merged(int32_t left, int32_t right) const;

  std::unordered_map<uint64_t, int32_t> merges_;  // pair -> id of the joined token; ids are in the order of learning
};

}  // namespace outpost
