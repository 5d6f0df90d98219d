// Byte-pair encoding, learned: again and again the most frequent pair of neighbouring tokens becomes a new token.
//
// Works on sequences of tokens with counts. Every pair knows its count and the sequences it is in, so a merge touches
// these and nothing else. Counts of existing pairs only fall, because a merge makes only pairs with the new token;
// so a pair that is too rare once is so for ever, and is not kept.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/thread_pool.h"

namespace outpost {

struct Merge {
  int32_t left, right, merged;  ///< ids in LearnedTokens
  uint64_t count;               ///< of the pair in the corpus, when it was merged
};

/// The tokens found so far: first the 256 bytes, then one per merge. Ids are in the order of learning.
class LearnedTokens {
 public:
  LearnedTokens();

  int32_t size() const { return static_cast<int32_t>(texts_.size()); }
  const std::string& text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  /// How many identifiers, keywords and numbers it holds, whole or in part.
  int32_t n_words(int32_t id) const { return n_words_[static_cast<size_t>(id)]; }
  const std::vector<Merge>& merges() const { return merges_; }

  /// @return the id of the token with the text of `left` and `right`, -1 if there is none
  int32_t find_joined(int32_t left, int32_t right) const;
  int32_t add(int32_t left, int32_t right, uint64_t count);

 private:
  std::vector<std::string> texts_;
  std::vector<int32_t> n_words_;
  std::vector<Merge> merges_;
  std::unordered_map<std::string, int32_t> ids_;
};

struct MergeLimits {
  size_t max_token_bytes = 64;
  int32_t max_words = 8;    ///< see LearnedTokens::n_words
  uint64_t min_count = 2;   ///< a pair must occur this often
  int32_t min_sources = 1;  ///< in sequences of so many sources (Tally::sources), at most 64
};

/// Texts as tokens, with what was counted of each.
struct Sequences {
  struct Sequence {
    uint64_t begin;  ///< in `tokens`
    uint32_t length;
    uint64_t count, sources;
  };
  std::vector<Sequence> items;
  std::vector<int32_t> tokens;
};

class MergeLearner {
 public:
  /// Counts the pairs of all sequences, on all threads of the pool.
  MergeLearner(LearnedTokens& tokens, Sequences sequences, const MergeLimits& limits, ThreadPool& pool);

  /// Merges the pair with the highest count; of equal ones that with the lowest left id, then the lowest right id.
  /// Pairs beyond the limits are passed over, and so are those whose joined text is a token already.
  /// @return false if no pair is left
  bool merge_next();

 private:
  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> sequences;  ///< where it is or was; no number twice in a row
  };
  struct Candidate {
    int64_t count;
    uint64_t key;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : key > other.key;
    }
  };
  using Pairs = std::unordered_map<uint64_t, Pair>;

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  void count_pairs(ThreadPool& pool);
  bool is_within_limits(int32_t left, int32_t right) const;
  bool has_enough_sources(int32_t left, int32_t right, const Pair& pair) const;
  void apply(int32_t left, int32_t right, const Pair& pair, int32_t merged);
  void rewrite(uint32_t i_sequence, int32_t left, int32_t right, int32_t merged, Pairs& fresh);

  LearnedTokens& tokens_;
  Sequences sequences_;
  MergeLimits limits_;
  Pairs pairs_;
  std::priority_queue<Candidate> candidates_;
};

}  // namespace outpost
