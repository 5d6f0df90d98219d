// A map from byte strings to numbers that finds all entries a text starts with.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace outpost {

class ByteTrie {
 public:
  /// Adds `text`, unless it is there. An empty text is ignored.
  void insert(std::string_view text, int32_t value) {
    if (text.empty()) return;
    uint32_t node = 0;
    for (const char c : text) {
      const uint32_t next = child(node, c);
      node = next != 0 ? next : add_child(node, c);
    }
    if (values_[node] < 0) values_[node] = value;
  }

  /// Calls `found(length, value)` for each entry that `text` starts with, shortest first.
  template <typename Found>
  void prefixes(std::string_view text, const Found& found) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, text[i]);
      if (node == 0) return;
      if (values_[node] >= 0) found(i + 1, values_[node]);
    }
  }

  /// How far `text` goes along with some entry, to its end or not.
  size_t longest_path(std::string_view text) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, text[i]);
      if (node == 0) return i;
    }
    return text.size();
  }

 private:
  struct Edge {
    uint64_t key = kFree;
    uint32_t child = 0;
  };
  static constexpr uint64_t kFree = ~uint64_t{0};
  static uint64_t key_of(uint32_t node, char c) { return uint64_t{node} << 8 | static_cast<unsigned char>(c); }

  size_t slot(uint64_t key) const {
    const size_t mask = edges_.size() - 1;
    size_t at = key * 0x9E3779B97F4A7C15u >> shift_;  // Fibonacci hashing: the keys are dense
    while (edges_[at].key != kFree && edges_[at].key != key) at = (at + 1) & mask;
    return at;
  }
  /// @return 0, which is no child, if there is none
  uint32_t child(uint32_t node, char c) const { return edges_[slot(key_of(node, c))].child; }

  uint32_t add_child(uint32_t node, char c) {
    if (values_.size() * 2 > edges_.size()) grow();
    const auto id = static_cast<uint32_t>(values_.size());
    values_.push_back(-1);
    edges_[slot(key_of(node, c))] = {key_of(node, c), id};
    return id;
  }
  void grow() {
    std::vector<Edge> old(edges_.size() * 2);
    old.swap(edges_);
    --shift_;
    for (const Edge& edge : old) {
      if (edge.key != kFree) edges_[slot(edge.key)] = edge;
    }
  }

  std::vector<Edge> edges_ = std::vector<Edge>(64);  // a power of two, at most half full
  int shift_ = 64 - 6;                               // leaves as many bits of a hash as it has places
  std::vector<int32_t> values_ = {-1};               // by node; -1 where no entry ends. Node 0 is the root
};

}  // namespace outpost
