// Finds special tokens in text. Which of overlapping ones counts is decided as llama.cpp does: it looks for each token
// in turn, the longest first, in what the ones before have left of the text.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/byte_trie.h"
#include "tokenizer/vocabulary.h"

namespace outpost {

/// A stretch of the input: plain text, or one special token.
struct Fragment {
  size_t begin, end;  ///< in the input
  int32_t id;         ///< -1 for plain text
};

class SpecialMatcher {
 public:
  /// @param with_control false to look for user-defined tokens only: those are ordinary text with a token of its own
  SpecialMatcher(const Vocabulary& vocabulary, bool with_control);

  /// The text in order, without the white space that special tokens take.
  std::vector<Fragment> split(std::string_view text) const;

  /// True if some special token's text stands around or right before this position. If not, the text may be split here
  /// and `split` applied to both sides, unless white space is here.
  bool touches(std::string_view text, size_t at) const;
  /// Bytes of the longest special token: what `touches` looks at on either side.
  size_t reach() const { return reach_; }
  /// True if no token takes white space beside it.
  bool keeps_white_space() const { return keeps_white_space_; }

 private:
  void cut_out(std::string_view text, int32_t id, std::vector<Fragment>& fragments) const;

  const Vocabulary& vocabulary_;
  std::vector<int32_t> ids_;  // longest text first
  ByteTrie trie_;             // text -> position in ids_
  std::array<bool, 256> starts_{};
  size_t reach_ = 0;
  bool keeps_white_space_ = true;
};

}  // namespace outpost
