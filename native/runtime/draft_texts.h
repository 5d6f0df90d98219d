// Texts that requests give for the suffix index, cut into pieces so that each is tokenized once: an open file that is
// sent with every keystroke costs only the piece that was changed. Safe to use from any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace outpost {

class DraftTexts {
 public:
  /// @param tokenizer must outlive this object @param n_most tokens that the index remembers
  DraftTexts(const Tokenizer& tokenizer, size_t n_most) : tokenizer_(tokenizer), n_most_(n_most) {}

  /// The pieces of `texts` that are not known yet, as tokens; of at most kMaxNewDraftText bytes in all.
  std::vector<std::vector<int32_t>> read(const std::vector<std::string>& texts);

 private:
  const Tokenizer& tokenizer_;
  const size_t n_most_;
  std::mutex mutex_;
  std::unordered_set<uint64_t> known_;
  struct Piece {
    uint64_t hash;
    size_t n_tokens;
  };
  std::deque<Piece> order_;  // as they were read: those that the index has forgotten leave at the front
  size_t n_tokens_ = 0;
};

}  // namespace outpost
