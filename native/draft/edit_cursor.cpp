#include "draft/edit_cursor.h"

#include <algorithm>
#include <cmath>

namespace outpost {

void EditCursor::advance(int32_t token) {
  if (tail_.size() == kTail) tail_.erase(tail_.begin());
  tail_.push_back(token);
  const auto continues_at = [&](size_t place) { return place < original_.size() && original_[place] == token; };
  if (n_lost_ == 0 && continues_at(at_)) {
    ++at_;
    ++n_matched_;
    return;
  }
  ++n_lost_;
  n_matched_ = 0;
  if (find_again()) return;
  // As many tokens replaced as were lost so far, or something inserted: one token is little to go by, but it is where
  // it is expected.
  for (const size_t place : {at_ + n_lost_ - 1, at_}) {
    if (n_lost_ > 1 && continues_at(place)) {
      at_ = place + 1;
      n_lost_ = 0;
      n_matched_ = 1;
      return;
    }
  }
}

/// How many of the reply's last tokens the original has before `end`.
size_t EditCursor::match_length(size_t end) const {
  size_t n = 0;
  while (n < std::min(end, tail_.size()) && original_[end - 1 - n] == tail_[tail_.size() - 1 - n]) ++n;
  return n;
}

/// Looks for the reply's last tokens around the cursor: the longest match, but rather a near one, and rather ahead.
bool EditCursor::find_again() {
  const size_t begin = at_ > kBehind ? at_ - kBehind : 0;
  const size_t end = std::min(original_.size(), at_ + kAhead);
  size_t best_place = 0, best_length = 0;
  double best_score = -1e9;
  for (size_t place = begin; place <= end; ++place) {
    if (place == 0 || original_[place - 1] != tail_.back()) continue;
    const size_t length = match_length(place);
    if (length < 2) continue;
    const double distance = place >= at_ ? static_cast<double>(place - at_) : 4.0 * static_cast<double>(at_ - place);
    const double score = static_cast<double>(length) - std::log2(1 + distance) / 2;
    if (score > best_score) {
      best_score = score;
      best_place = place;
      best_length = length;
    }
  }
  if (best_length == 0) return false;
  at_ = best_place;
  n_lost_ = 0;
  n_matched_ = static_cast<int32_t>(best_length);
  return true;
}

void EditCursor::propose(int32_t n_most, Proposal& out) const {
  out = {DraftSource::kEdit, n_matched_, {}, {}};
  // One token was replaced: what follows it in the original probably follows its replacement.
  const size_t from = std::min(original_.size(), n_lost_ == 0 ? at_ : at_ + n_lost_);
  if (n_lost_ > 1) return;
  const size_t n = std::min(original_.size() - from, static_cast<size_t>(n_most));
  out.tokens.assign(original_.begin() + static_cast<std::ptrdiff_t>(from),
                    original_.begin() + static_cast<std::ptrdiff_t>(from + n));
  out.shares.assign(n, 1.0f);
}

}  // namespace outpost
