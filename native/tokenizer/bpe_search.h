// Byte-pair encoding of long pieces without merging them: the tokens are found from left to right.
//
// A sequence of tokens is the encoding of its text if and only if every two neighbours are the encoding of theirs
// (retokenize.cpp says why), and a text has one encoding. So any sequence with that property is it: the longest token
// is tried first, one that may not follow the last is passed over, and where none is left the last is taken back. After
// H. van Antwerpen and A. Neubeck's crate "bpe" (github/rust-gems), for merges of any rank.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/bpe_merger.h"
#include "tokenizer/byte_trie.h"

namespace outpost {

class BpeSearch {
 public:
  /// @param tokens by id: bytes of the tokens that merges may make, empty for the others. Every byte must be one.
  /// @param byte_symbols tokens of single bytes
  BpeSearch(const BpeMerger& merger, std::vector<std::string> tokens, std::span<const int32_t> byte_symbols);

  /// Appends the tokens of `piece`.
  /// @param memory of what may follow what, for the pieces of one text: at first empty
  void encode(std::string_view piece, std::vector<uint64_t>& memory, std::vector<Symbol>& symbols) const;
  /// True if the two tokens, beside each other, remain what they are.
  /// @pre both are tokens that merges make
  bool may_follow(int32_t left, int32_t right) const;

 private:
  /// What a token's first or last byte is part of while the token is merged, and from which rank on.
  struct Step {
    int32_t symbol;
    uint32_t rank;
  };
  struct Steps {
    uint32_t begin = 0, n = 0;  // a range of steps_
  };
  void add_token(int32_t id, std::string_view bytes);
  bool merge_pair(int32_t left, int32_t right) const;
  void append_bytes(int32_t id, std::vector<Symbol>& symbols) const;

  const BpeMerger& merger_;
  std::vector<std::string> tokens_;
  std::vector<int32_t> byte_symbols_;
  ByteTrie trie_;
  std::vector<Step> steps_;
  std::vector<Steps> first_, last_;  // by token; none for those whose merges are not in the order of their ranks
};

}  // namespace outpost
