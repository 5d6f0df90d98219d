// Finds where the last tokens stood before, and what followed them there: the draft of text that repeats itself.
//
// Tokens lie in a ring of fixed size, so that the oldest are forgotten without any work. Two hash tables lead from the
// last 4 and the last 2 tokens to the newest place that ends with them, links from each place to the one before; the
// idea of the match finders of LZ77 compressors. What suffix trees know by counting (arXiv:2411.04975) is found by a
// vote of the newest places. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "draft/proposal.h"

namespace outpost {

class SuffixIndex {
 public:
  /// @param n_most tokens that are remembered, rounded up to a power of two; 28 bytes each
  explicit SuffixIndex(int32_t n_most);

  void append(int32_t token);
  /// Ends a text: nothing is matched across it. Ignored where nothing was appended since the last one.
  void end_text();

  /// What followed the last tokens where they stood before, at most n_most tokens. Costs at most kMaxPlaces
  /// comparisons of kMaxMatch tokens and as many steps per token of the draft.
  /// @param tail the tokens to go on from, of this index's own text or of another
  void propose(std::span<const int32_t> tail, int32_t n_most, Proposal& out) const;

  /// How many tokens were ever appended, ends of texts included: with `capacity`, what is still there.
  uint64_t n_appended() const { return end_; }
  size_t capacity() const { return tokens_.size(); }

 private:
  static constexpr int kMaxPlaces = 24, kMaxMatch = 32;
  static constexpr int32_t kTextEnd = -1;

  /// Places that end with a number of tokens, linked from new to old.
  struct Chain {
    int32_t n_gram;
    std::vector<uint64_t> newest;    // by hash; place + 1, 0 for none
    std::vector<uint32_t> to_older;  // by place in the ring; distance, 0 for none
  };
  struct Place {
    uint64_t next;  // the place after the match
    int32_t n_matched;
  };

  int32_t at(uint64_t place) const { return tokens_[place & mask_]; }
  bool is_kept(uint64_t place) const { return place < end_ && end_ - place <= tokens_.size(); }
  uint64_t slot(const Chain& chain, std::span<const int32_t> gram) const;
  void link(Chain& chain);
  void find(const Chain& chain, std::span<const int32_t> tail, std::vector<Place>& places) const;
  int32_t match_length(uint64_t place, std::span<const int32_t> tail) const;

  uint64_t mask_;
  std::vector<int32_t> tokens_;
  Chain long_, short_;
  uint64_t end_ = 0;
  uint64_t text_begin_ = 0;
  mutable std::vector<Place> places_;  // the same memory for every call
};

}  // namespace outpost
