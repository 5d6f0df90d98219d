#include "draft/suffix_index.h"

#include <algorithm>
#include <bit>

namespace outpost {
namespace {

/// A draft that less than this share of the places agrees with is not worth a row.
constexpr float kLeastShare = 0.1f;

}  // namespace

SuffixIndex::SuffixIndex(int32_t n_most)
    : mask_(std::bit_ceil(static_cast<uint64_t>(std::max(n_most, 16))) - 1),
      tokens_(mask_ + 1),
      long_{4, std::vector<uint64_t>(mask_ + 1), std::vector<uint32_t>(mask_ + 1)},
      short_{2, std::vector<uint64_t>(mask_ + 1), std::vector<uint32_t>(mask_ + 1)} {}

void SuffixIndex::append(int32_t token) {
  tokens_[end_++ & mask_] = token;
  link(long_);
  link(short_);
}

void SuffixIndex::end_text() {
  if (end_ == text_begin_) return;
  tokens_[end_ & mask_] = kTextEnd;
  long_.to_older[end_ & mask_] = short_.to_older[end_ & mask_] = 0;
  text_begin_ = ++end_;
}

uint64_t SuffixIndex::slot(const Chain& chain, std::span<const int32_t> gram) const {
  uint64_t hash = 0;
  for (const int32_t token : gram.last(static_cast<size_t>(chain.n_gram)))
    hash = (hash ^ static_cast<uint32_t>(token)) * 0x9E3779B97F4A7C15u;
  return (hash >> 20) & mask_;
}

/// Makes the newest place known by its last tokens.
void SuffixIndex::link(Chain& chain) {
  const uint64_t place = end_ - 1;
  uint32_t& to_older = chain.to_older[place & mask_];
  to_older = 0;
  if (end_ - text_begin_ < static_cast<uint64_t>(chain.n_gram)) return;
  int32_t gram[4];
  for (int32_t i = 0; i < chain.n_gram; ++i) gram[i] = at(end_ - static_cast<uint64_t>(chain.n_gram - i));
  uint64_t& newest = chain.newest[slot(chain, {gram, static_cast<size_t>(chain.n_gram)})];
  if (newest > 0 && is_kept(newest - 1)) to_older = static_cast<uint32_t>(place - (newest - 1));
  newest = place + 1;
}

int32_t SuffixIndex::match_length(uint64_t place, std::span<const int32_t> tail) const {
  const auto n_most = std::min<uint64_t>({kMaxMatch, tail.size(), place + 1});
  int32_t n = 0;
  while (static_cast<uint64_t>(n) < n_most) {
    const uint64_t compared = place - static_cast<uint64_t>(n);
    if (!is_kept(compared) || at(compared) != tail[tail.size() - 1 - static_cast<size_t>(n)]) break;
    ++n;
  }
  return n;
}

void SuffixIndex::find(const Chain& chain, std::span<const int32_t> tail, std::vector<Place>& places) const {
  places.clear();
  if (tail.size() < static_cast<size_t>(chain.n_gram)) return;
  const uint64_t newest = chain.newest[slot(chain, tail)];
  if (newest == 0) return;
  uint64_t place = newest - 1;
  for (int n_seen = 0; n_seen < kMaxPlaces && is_kept(place); ++n_seen) {
    const int32_t n = match_length(place, tail);
    // The place where the tail itself stands has nothing behind it; another tail may have the same hash.
    if (n >= chain.n_gram && is_kept(place + 1) && at(place + 1) != kTextEnd) places.push_back({place + 1, n});
    const uint32_t to_older = chain.to_older[place & mask_];
    if (to_older == 0 || to_older > place) return;
    place -= to_older;
  }
}

void SuffixIndex::propose(std::span<const int32_t> tail, int32_t n_most, Proposal& out) const {
  out = {DraftSource::kSuffix, 0, {}, {}};
  find(long_, tail, places_);
  if (places_.empty()) find(short_, tail, places_);
  if (places_.empty()) return;
  for (const Place& place : places_) out.n_matched = std::max(out.n_matched, place.n_matched);
  // Longer matches know more. The newest of them comes first, and stays first below.
  std::erase_if(places_, [&](const Place& place) { return 2 * place.n_matched < out.n_matched; });

  float certainty = 1;
  while (static_cast<int32_t>(out.tokens.size()) < n_most) {
    int32_t best = kTextEnd, best_weight = 0, total = 0;
    for (const Place& place : places_) {
      const int32_t token = is_kept(place.next) ? at(place.next) : kTextEnd;
      total += place.n_matched;
      if (token == kTextEnd) continue;
      int32_t weight = 0;
      for (const Place& other : places_) weight += is_kept(other.next) && at(other.next) == token ? other.n_matched : 0;
      if (weight > best_weight) {
        best = token;
        best_weight = weight;
      }
    }
    if (best == kTextEnd) return;
    const float share = static_cast<float>(best_weight) / static_cast<float>(total);
    certainty *= share;
    if (certainty < kLeastShare) return;
    out.tokens.push_back(best);
    out.shares.push_back(share);
    std::erase_if(places_, [&](const Place& place) { return !is_kept(place.next) || at(place.next) != best; });
    for (Place& place : places_) ++place.next;
  }
}

}  // namespace outpost
