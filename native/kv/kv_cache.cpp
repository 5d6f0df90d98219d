#include "kv/kv_cache.h"

#include <algorithm>

namespace outpost {
namespace {

int32_t pages_for(int32_t n_positions) { return (n_positions + kKvPageSize - 1) / kKvPageSize; }

int32_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<int32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

KvCache::KvCache(Backend& backend, const KvShape& shape, int32_t n_page) : storage_(backend.alloc_kv(shape, n_page)), pool_(n_page) {}

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

  auto sequence = std::make_unique<KvSequence>();
  if (best != idle_.end()) {
    // Mostly the same text (the next turn of a chat, the next keystroke): continue it in place. Otherwise it
    // may be wanted again (another chat with the same system prompt): share its whole pages and leave it.
    if (2 * n_best >= (*best)->n_past()) {
      sequence = std::move(*best);
      idle_.erase(best);
      truncate(*sequence, n_best);
    } else {
      const int32_t n_shared = n_best / kKvPageSize;
      sequence->page_table.assign((*best)->page_table.begin(), (*best)->page_table.begin() + n_shared);
      sequence->tokens.assign(tokens.begin(), tokens.begin() + n_shared * kKvPageSize);
      for (const int32_t page : sequence->page_table) pool_.add_reference(page);
      idle_.splice(idle_.begin(), idle_, best);
    }
  }
  if (reserve(*sequence, n_positions)) return sequence;
  retire(std::move(sequence));
  return nullptr;
}

bool KvCache::reserve(KvSequence& sequence, int32_t n_positions) {
  const int32_t n_needed = pages_for(n_positions) - static_cast<int32_t>(sequence.page_table.size());
  while (pool_.n_free() < n_needed && !idle_.empty()) {
    release(*idle_.back());
    idle_.pop_back();
  }
  if (pool_.n_free() < n_needed) return false;
  for (int32_t i = 0; i < n_needed; ++i) sequence.page_table.push_back(pool_.take());
  return true;
}

void KvCache::truncate(KvSequence& sequence, int32_t n_keep) {
  const int32_t last_page = n_keep / kKvPageSize;
  const bool cuts_page = n_keep % kKvPageSize != 0;
  if (cuts_page && pool_.is_shared(sequence.page_table[static_cast<size_t>(last_page)])) n_keep = last_page * kKvPageSize;
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
