// Byte-pair merging: of all adjacent pairs the one with the lowest rank is joined, the leftmost of equals, until no
// pair has a rank. Costs O(n log n) for n characters.
// A symbol is a token, or a text that merges make though it is no token; those are numbered behind the tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace outpost {

struct Symbol {
  int32_t id;        ///< -1 for a character that is neither a token nor part of a merge
  uint32_t n_bytes;  ///< of the word
};

class BpeMerger {
 public:
  /// @param merges "left right", best first, in the spelling of the tokens. Of one pair the first counts. One that
  ///        would make a control or unknown token is left out: such a token stands for no text.
  /// @throws EngineError kModelInvalid if there are more than 2^31 - 1 symbols
  BpeMerger(const Vocabulary& vocabulary, std::span<const std::string_view> merges, const std::string& path);

  /// Joins `symbols`, the characters of a word, in place.
  void merge(std::vector<Symbol>& symbols) const;
  /// What a merge made, and where in the word.
  struct Event {
    uint32_t rank;
    int32_t result;
    uint32_t begin, n_bytes;
  };
  /// The same, with what was merged, in order. @param events replaced
  void merge(std::vector<Symbol>& symbols, std::vector<Event>& events) const;
  /// The rank of merging two symbols, 2^32 - 1 if they do not merge.
  uint32_t rank(int32_t left, int32_t right) const {
    const uint64_t pair = pair_of(left, right);
    return may_merge(pair) ? table_[slot(pair)].rank : kNoRank;
  }

  /// The symbol of a character by its spelling, -1 if there is none.
  int32_t find(std::string_view spelling) const;
  bool is_token(int32_t symbol) const { return symbol >= 0 && symbol < n_tokens_; }
  /// True if merges make texts that are no tokens.
  bool has_extra_symbols() const { return n_symbols_ > n_tokens_; }

 private:
  struct Merge {
    uint64_t pair = kNoPair;
    uint32_t rank = kNoRank;
    int32_t result = -1;
  };
  static constexpr uint64_t kNoPair = ~uint64_t{0};
  static constexpr uint32_t kNoRank = ~uint32_t{0};
  static uint64_t pair_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t slot(uint64_t pair) const;
  /// False for nearly all pairs that do not merge: a look at 64 bytes of a small table instead of a large one.
  bool may_merge(uint64_t pair) const {
    const uint64_t bit = filter_bit(pair);
    return (filter_[bit / 64] >> bit % 64 & 1) != 0;
  }
  uint64_t filter_bit(uint64_t pair) const { return pair * 0x9E3779B97F4A7C15u >> filter_shift_; }
  /// @return a merge with kNoRank if there is none
  const Merge& find_merge(int32_t left, int32_t right) const { return table_[slot(pair_of(left, right))]; }
  template <typename OnMerge>
  void merge_by_heap(std::vector<Symbol>& symbols, const OnMerge& on_merge) const;
  void merge_short(std::vector<Symbol>& symbols) const;

  const Vocabulary& vocabulary_;
  int32_t n_tokens_, n_symbols_;
  std::vector<Merge> table_;                            // a flat hash table, a power of two, at most half full
  std::vector<uint64_t> filter_;                        // a bit per pair that may be in the table, 8 bits per place
  int filter_shift_ = 0;                                // leaves as many bits of a hash as the filter has
  std::vector<std::pair<std::string, int32_t>> extra_;  // sorted by text
};

}  // namespace outpost
