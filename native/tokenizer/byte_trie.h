// A map from byte strings to numbers that finds all entries a text starts with.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine.h"

namespace outpost {

class ByteTrie {
 public:
  /// Adds `text`, unless it is there. An empty text is ignored.
  /// @throws EngineError kModelInvalid for more than kMaxNodes different beginnings
  void insert(std::string_view text, int32_t value) {
    if (text.empty()) return;
    uint64_t node = 0;
    size_t at = 0;
    for (const char c : text) {
      at = slot(node, c);
      if (edges_[at] == kFree) at = add_child(node, c);
      node = child(edges_[at]);
    }
    if (values_[node] >= 0) return;
    values_[node] = value;
    edges_[at] |= kEnds;
  }

  /// Calls `found(length, value)` for each entry that `text` starts with, shortest first.
  template <typename Found>
  void prefixes(std::string_view text, const Found& found) const {
    uint64_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const uint64_t edge = edges_[slot(node, text[i])];
      if (edge == kFree) return;
      node = child(edge);
      if ((edge & kEnds) != 0) found(i + 1, values_[node]);
    }
  }

  /// How far `text` goes along with some entry, to its end or not.
  size_t longest_path(std::string_view text) const {
    uint64_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const uint64_t edge = edges_[slot(node, text[i])];
      if (edge == kFree) return i;
      node = child(edge);
    }
    return text.size();
  }

 private:
  // An edge in 64 bits, because a walk waits for memory once for each of them: its node (27 bits) and byte, then the
  // child (27 bits) and whether an entry ends there. 0 is no edge: no child is the root.
  static constexpr int kNodeBits = 27, kKeyShift = kNodeBits + 1;
  static constexpr uint64_t kMaxNodes = uint64_t{1} << kNodeBits, kEnds = 1, kFree = 0;
  static uint64_t key_of(uint64_t node, char c) { return node << 8 | static_cast<unsigned char>(c); }
  static uint64_t child(uint64_t edge) { return edge >> 1 & (kMaxNodes - 1); }

  /// Where the edge is, or where it would be.
  size_t slot(uint64_t node, char c) const {
    const uint64_t key = key_of(node, c);
    const size_t mask = edges_.size() - 1;
    size_t at = key * 0x9E3779B97F4A7C15u >> shift_;  // Fibonacci hashing: the keys are dense
    while (edges_[at] != kFree && edges_[at] >> kKeyShift != key) at = (at + 1) & mask;
    return at;
  }

  size_t add_child(uint64_t node, char c) {
    if (values_.size() == kMaxNodes)
      throw EngineError(ErrorCode::kModelInvalid, "The texts of the vocabulary are too long for a trie of 2^27 nodes.");
    if (values_.size() * 2 > edges_.size()) grow();
    const size_t at = slot(node, c);
    edges_[at] = key_of(node, c) << kKeyShift | static_cast<uint64_t>(values_.size()) << 1;
    values_.push_back(-1);
    return at;
  }
  void grow() {
    std::vector<uint64_t> old(edges_.size() * 2);
    old.swap(edges_);
    --shift_;
    for (const uint64_t edge : old) {
      if (edge == kFree) continue;
      const uint64_t key = edge >> kKeyShift;
      edges_[slot(key >> 8, static_cast<char>(key & 0xFF))] = edge;
    }
  }

  std::vector<uint64_t> edges_ = std::vector<uint64_t>(64);  // a power of two, at most half full
  int shift_ = 64 - 6;                                       // leaves as many bits of a hash as it has places
  std::vector<int32_t> values_ = {-1};                       // by node; -1 where no entry ends. Node 0 is the root
};

}  // namespace outpost
