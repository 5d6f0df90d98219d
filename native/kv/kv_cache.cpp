#include "kv/kv_cache.h"

#include <algorithm>

namespace outpost {
namespace {

int32_t pages_for(int32_t n_positions) { return (n_positions + kKvPageSize - 1) / kKvPageSize; }

int32_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<int32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

KvCache::KvCache(Backend& backend, const KvShape& shape, int32_t n_page)
    : storage_(backend.alloc_kv(shape, n_page)), pool_(n_page) {}

size_t KvCache::used_bytes() const {
  return total_bytes() / static_cast<size_t>(pool_.n_page()) * static_cast<size_t>(pool_.n_page() - pool_.n_free());
}

std::unique_ptr<KvSequence> KvCache::begin(std::span<const int32_t> tokens, int32_t n_positions) {
  auto best = idle_.end();
  int32_t n_best = 0;
  for (auto it = idle_.begin(); it != idle_.end(); ++it) {
    const int32_t n = std::min(common_prefix((*it)->tokens, tokens), static_cast<int32_t>(tokens.size()) - 1);
    if (n > n_best) {
      best = it;
      n_best = n;
    }
  }

  // Mostly the same text (the next turn of a chat, the next keystroke): continue it in place. Otherwise it may be
  // wanted again (another chat with the same system prompt): share its whole pages and leave it.
  const bool has_prefix = best != idle_.end();
  const bool is_in_place = has_prefix && 2 * n_best >= (*best)->n_past();
  const int32_t n_keep = is_in_place ? writable_cut(**best, n_best) : n_best / kKvPageSize * kKvPageSize;
  std::vector<int32_t> kept;
  if (has_prefix) kept.assign((*best)->page_table.begin(), (*best)->page_table.begin() + pages_for(n_keep));
  if (!can_hold(kept, n_positions)) return nullptr;

  auto sequence = std::make_unique<KvSequence>();
  if (is_in_place) {
    sequence = std::move(*best);
    idle_.erase(best);
    truncate(*sequence, n_keep);
  } else if (has_prefix) {
    for (const int32_t page : kept) pool_.add_reference(page);
    sequence->page_table = std::move(kept);
    sequence->tokens.assign(tokens.begin(), tokens.begin() + n_keep);
    idle_.splice(idle_.begin(), idle_, best);
  }
  add_pages(*sequence, n_positions);
  return sequence;
}

bool KvCache::extend(KvSequence& sequence, int32_t n_positions) {
  if (!can_hold(sequence.page_table, n_positions)) return false;
  add_pages(sequence, n_positions);
  return true;
}

void KvCache::add_pages(KvSequence& sequence, int32_t n_positions) {
  const int32_t n_missing = pages_for(n_positions) - static_cast<int32_t>(sequence.page_table.size());
  while (pool_.n_free() < n_missing) {
    release(*idle_.back());
    idle_.pop_back();
  }
  for (int32_t i = 0; i < n_missing; ++i) sequence.page_table.push_back(pool_.take());
}

bool KvCache::can_hold(std::span<const int32_t> kept, int32_t n_positions) const {
  const int32_t n_missing = pages_for(n_positions) - static_cast<int32_t>(kept.size());
  if (pool_.n_free() >= n_missing) return true;
  std::vector<int32_t> n_idle(static_cast<size_t>(pool_.n_page()), 0);  // references by idle sequences
  for (const auto& sequence : idle_) {
    for (const int32_t page : sequence->page_table) ++n_idle[static_cast<size_t>(page)];
  }
  for (const int32_t page : kept) n_idle[static_cast<size_t>(page)] = 0;
  int32_t n_available = pool_.n_free();
  for (int32_t page = 0; page < pool_.n_page(); ++page) {
    const int32_t n = n_idle[static_cast<size_t>(page)];
    if (n > 0 && n == pool_.n_references(page)) ++n_available;
  }
  return n_available >= n_missing;
}

int32_t KvCache::writable_cut(const KvSequence& sequence, int32_t n_keep) const {
  const int32_t last_page = n_keep / kKvPageSize;
  const bool cuts_page = n_keep % kKvPageSize != 0;
  return cuts_page && pool_.is_shared(sequence.page_table[static_cast<size_t>(last_page)]) ? last_page * kKvPageSize
                                                                                           : n_keep;
}

void KvCache::truncate(KvSequence& sequence, int32_t n_keep) {
  n_keep = writable_cut(sequence, n_keep);
  sequence.tokens.resize(static_cast<size_t>(n_keep));
  while (static_cast<int32_t>(sequence.page_table.size()) > pages_for(n_keep)) {
    pool_.release(sequence.page_table.back());
    sequence.page_table.pop_back();
  }
}

void KvCache::retire(std::unique_ptr<KvSequence> sequence) {
  truncate(*sequence, sequence->n_past());  // pages that were reserved and never used
  if (sequence->n_past() > 0) {
    idle_.push_front(std::move(sequence));
  } else {
    release(*sequence);
  }
}

void KvCache::release(KvSequence& sequence) {
  for (const int32_t page : sequence.page_table) pool_.release(page);
  sequence.page_table.clear();
  sequence.tokens.clear();
}

}  // namespace outpost
