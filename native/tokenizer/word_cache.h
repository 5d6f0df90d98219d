// Text repeats its words: each is tokenized once, its ids are then copied from where they first stand in the output.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/hashing.h"

namespace outpost {

/// For one call of `encode`: words point into the text, ids into the output. Bounded: a word takes the place of
/// another that falls on its slot.
class WordCache {
 public:
  struct Entry {
    const char* word = nullptr;
    uint32_t n_bytes = 0;
    uint32_t first_id = 0, n_ids = 0;  ///< a range of the output
    uint32_t begin = 0;                ///< of the word in the input
    bool holds(std::string_view other) const {
      return n_bytes == other.size() && word != nullptr && std::string_view(word, n_bytes) == other;
    }
  };

  /// @param n_text_bytes of the text to come: a table for a short one is made faster
  explicit WordCache(size_t n_text_bytes)
      : entries_(std::bit_ceil(std::clamp<size_t>(n_text_bytes / 8, 16, kMostEntries))) {}

  Entry& slot(std::string_view word) { return entries_[hash_bytes(word) & (entries_.size() - 1)]; }

 private:
  static constexpr size_t kMostEntries = size_t{1} << 14;  // 400 kB: the words of some hundred source files
  std::vector<Entry> entries_;
};

}  // namespace outpost
