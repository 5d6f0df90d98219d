#include "tokenizer/bpe_merger.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>

#include "core/strings.h"

namespace outpost {
namespace {

// Below this a scan of all pairs after each merge is faster than a heap; most words are this short.
constexpr size_t kShortWord = 40;

}  // namespace

BpeMerger::BpeMerger(const Vocabulary& vocabulary, std::span<const std::string_view> merges, const std::string& path)
    : vocabulary_(vocabulary), n_tokens_(vocabulary.n_tokens()), n_symbols_(n_tokens_) {
  if (merges.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max() - n_tokens_) / 3) {
    throw EngineError(ErrorCode::kModelInvalid,
                      concat(path, ": tokenizer.ggml.merges has ", merges.size(), " entries."));
  }
  size_t size = 16;
  while (size < merges.size() * 2) size *= 2;
  table_.resize(size);
  filter_.resize(size / 8);
  filter_shift_ = 64 - std::countr_zero(size * 8);

  std::map<std::string, int32_t, std::less<>> extra;
  // @return -1 for a control or unknown token
  const auto symbol_of = [&](std::string_view text) {
    const int32_t id = vocabulary_.find(text);
    if (id >= 0) return vocabulary_.find_plain(text);
    const auto it = extra.find(text);
    if (it != extra.end()) return it->second;
    extra.emplace(text, n_symbols_);
    return n_symbols_++;
  };
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    // The first character may be a space itself.
    const size_t space = merges[rank].find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merges[rank].size()) continue;
    const std::string_view left = merges[rank].substr(0, space), right = merges[rank].substr(space + 1);
    const int32_t left_id = symbol_of(left), right_id = symbol_of(right);
    const int32_t result = symbol_of(std::string(left) + std::string(right));
    if (left_id < 0 || right_id < 0 || result < 0) continue;
    Merge& merge = table_[slot(pair_of(left_id, right_id))];
    if (merge.rank != kNoRank) continue;
    merge = {pair_of(left_id, right_id), static_cast<uint32_t>(rank), result};
    const uint64_t bit = filter_bit(merge.pair);
    filter_[bit / 64] |= uint64_t{1} << bit % 64;
  }
  extra_.assign(extra.begin(), extra.end());
}

size_t BpeMerger::slot(uint64_t pair) const {
  const size_t mask = table_.size() - 1;
  size_t at = hash_mix(pair) & mask;
  while (table_[at].pair != pair && table_[at].pair != kNoPair) at = (at + 1) & mask;
  return at;
}

int32_t BpeMerger::find(std::string_view spelling) const {
  if (const int32_t id = vocabulary_.find(spelling); id >= 0) return vocabulary_.find_plain(spelling);
  const auto it = std::lower_bound(extra_.begin(), extra_.end(), spelling,
                                   [](const auto& entry, std::string_view text) { return entry.first < text; });
  return it != extra_.end() && it->first == spelling ? it->second : -1;
}

void BpeMerger::merge_short(std::vector<Symbol>& symbols) const {
  std::array<const Merge*, kShortWord> pairs;  // i: of the symbols i and i + 1
  size_t n = symbols.size();
  const auto look_up = [&](size_t i) { pairs[i] = &find_merge(symbols[i].id, symbols[i + 1].id); };
  for (size_t i = 0; i + 1 < n; ++i) look_up(i);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (pairs[i]->rank < pairs[best]->rank) best = i;
    }
    if (pairs[best]->rank == kNoRank) break;
    symbols[best] = {pairs[best]->result, symbols[best].n_bytes + symbols[best + 1].n_bytes};
    --n;
    for (size_t i = best + 1; i < n; ++i) symbols[i] = symbols[i + 1];
    for (size_t i = best + 1; i + 1 < n; ++i) pairs[i] = pairs[i + 1];
    if (best + 1 < n) look_up(best);
    if (best > 0) look_up(best - 1);
  }
  symbols.resize(n);
}

/// @param on_merge (the left symbol, which now is both, and its merge)
template <typename OnMerge>
void BpeMerger::merge_by_heap(std::vector<Symbol>& symbols, const OnMerge& on_merge) const {
  struct Candidate {
    uint32_t rank, left;
    int32_t left_id, right_id;  // when queued: tells whether it is stale
    int32_t result;
  };
  const auto runs_later = [](const Candidate& a, const Candidate& b) {
    return a.rank > b.rank || (a.rank == b.rank && a.left > b.left);
  };
  constexpr uint32_t kNone = ~uint32_t{0};
  const auto n = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> next(n), previous(n);
  for (uint32_t i = 0; i < n; ++i) {
    next[i] = i + 1 < n ? i + 1 : kNone;
    previous[i] = i > 0 ? i - 1 : kNone;
  }
  std::vector<Candidate> heap;
  const auto add = [&](uint32_t left) {
    if (left == kNone || next[left] == kNone) return false;
    const int32_t left_id = symbols[left].id, right_id = symbols[next[left]].id;
    const Merge& merge = find_merge(left_id, right_id);
    if (merge.rank == kNoRank) return false;
    heap.push_back({merge.rank, left, left_id, right_id, merge.result});
    return true;
  };
  const auto queue = [&](uint32_t left) {
    if (add(left)) std::push_heap(heap.begin(), heap.end(), runs_later);
  };
  for (uint32_t i = 0; i < n; ++i) add(i);
  std::make_heap(heap.begin(), heap.end(), runs_later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), runs_later);
    const Candidate candidate = heap.back();
    heap.pop_back();
    Symbol& left = symbols[candidate.left];
    const uint32_t right = next[candidate.left];
    const bool is_stale =
        left.n_bytes == 0 || left.id != candidate.left_id || right == kNone || symbols[right].id != candidate.right_id;
    if (is_stale) continue;
    left = {candidate.result, left.n_bytes + symbols[right].n_bytes};
    symbols[right].n_bytes = 0;
    next[candidate.left] = next[right];
    if (next[right] != kNone) previous[next[right]] = candidate.left;
    on_merge(candidate.left, {0, candidate.rank, candidate.result});
    queue(previous[candidate.left]);
    queue(candidate.left);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.n_bytes == 0; });
}

void BpeMerger::merge(std::vector<Symbol>& symbols) const {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kShortWord) {
    merge_short(symbols);
  } else {
    merge_by_heap(symbols, [](uint32_t, const Merge&) {});
  }
}

void BpeMerger::merge(std::vector<Symbol>& symbols, std::vector<Event>& events) const {
  events.clear();
  std::vector<uint32_t> places;
  uint32_t place = 0;
  for (const Symbol& symbol : symbols) {
    places.push_back(place);
    place += symbol.n_bytes;
  }
  merge_by_heap(symbols, [&](uint32_t left, const Merge& merge) {
    events.push_back({merge.rank, merge.result, places[left], symbols[left].n_bytes});
  });
}

}  // namespace outpost
