#include "kv/kv_cache.h"

#include <algorithm>
#include <limits>

#include "core/strings.h"

namespace outpost {
namespace {

int32_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<int32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

/// Pages are numbered, not allocated: as many numbers as the budget could ever serve.
int32_t count_pages(Backend& backend, const KvShape& shape, const KvFormat& format, uint64_t n_bytes) {
  const auto one = backend.alloc_kv(shape, format, 1);
  const uint64_t n = n_bytes / one->size_bytes();
  if (n < 1 || n > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
    throw EngineError(ErrorCode::kInvalidArgument, concat("A KV cache of ", n_bytes, " bytes is no use: a page of ",
                                                          kKvPageSize, " positions takes ", one->size_bytes(), "."));
  }
  return static_cast<int32_t>(n);
}

}  // namespace

KvCache::KvCache(Backend& backend, const KvShape& shape, int32_t n_page)
    : storage_(backend.alloc_kv(shape, n_page)), pool_(n_page), budget_(storage_->size_bytes()) {}

KvCache::KvCache(Backend& backend, const KvShape& shape, const KvFormat& format, uint64_t n_bytes, int32_t n_chunk)
    : storage_(backend.alloc_kv(shape, format, count_pages(backend, shape, format, n_bytes))),
      pool_(storage_->n_page()),
      budget_(storage_->is_compressed() ? n_bytes : storage_->size_bytes()),
      n_chunk_(n_chunk) {}

uint64_t KvCache::page_bytes() const {
  return storage_->form_bytes(storage_->is_compressed() ? KvForm::kPacked : KvForm::kFresh);
}

size_t KvCache::used_bytes() const { return used_bytes({}, 0); }

uint64_t KvCache::used_bytes(std::span<const int32_t> kept, size_t n_evicted) const {
  std::vector<bool> is_counted(static_cast<size_t>(pool_.n_page()), false);
  uint64_t bytes = 0;
  const auto count = [&](int32_t page, uint64_t n_bytes) {
    if (!is_counted[static_cast<size_t>(page)]) bytes += n_bytes;
    is_counted[static_cast<size_t>(page)] = true;
  };
  for (const int32_t page : kept) count(page, page_bytes());
  for (const KvSequence* sequence : running_) {
    for (const int32_t page : sequence->page_table) count(page, page_bytes());
    bytes += kv_promised_bytes(*storage_, 0, n_chunk_);
  }
  size_t n_left = idle_.size() - n_evicted;
  for (auto it = idle_.begin(); n_left > 0; ++it, --n_left) {
    const std::vector<int32_t>& pages = (*it)->page_table;
    for (const int32_t page : pages) {
      const bool is_fresh = storage_->is_compressed() && !storage_->has(page, KvForm::kPacked);
      count(page, is_fresh ? storage_->form_bytes(KvForm::kFresh) : page_bytes());
    }
    if (!pages.empty()) bytes += storage_->form_bytes(KvForm::kSinks);
  }
  return bytes;
}

size_t KvCache::spare_bytes() const {
  if (!storage_->is_compressed()) return 0;
  size_t bytes = 0;
  for (int32_t page = 0; page < pool_.n_page(); ++page) {
    if (kv_has_spare(*storage_, page)) bytes += storage_->form_bytes(KvForm::kFresh);
  }
  return bytes;
}

std::unique_ptr<KvSequence> KvCache::begin(std::span<const int32_t> tokens, int32_t n_positions) {
  auto best = idle_.end();
  int32_t n_best = 0;
  for (auto it = idle_.begin(); it != idle_.end(); ++it) {
    const int32_t n_common = std::min(common_prefix((*it)->tokens, tokens), static_cast<int32_t>(tokens.size()) - 1);
    if (n_common <= n_best) continue;
    const int32_t n = usable_cut(**it, n_common);
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
  if (has_prefix) kept.assign((*best)->page_table.begin(), (*best)->page_table.begin() + kv_pages_for(n_keep));
  const int32_t n_missing = kv_pages_for(n_positions) - static_cast<int32_t>(kept.size());
  const uint64_t needed =
      static_cast<uint64_t>(std::max(0, n_missing)) * page_bytes() + kv_promised_bytes(*storage_, 0, n_chunk_);
  if (used_bytes(kept, idle_.size()) + needed > budget_) return nullptr;

  auto sequence = std::make_unique<KvSequence>();
  if (is_in_place) {
    sequence = std::move(*best);
    idle_.erase(best);
    truncate(*sequence, n_keep);
  } else if (has_prefix) {
    for (const int32_t page : kept) pool_.add_reference(page);
    sequence->page_table = kept;
    sequence->tokens.assign(tokens.begin(), tokens.begin() + n_keep);
    idle_.splice(idle_.begin(), idle_, best);
  }
  while (used_bytes(kept, 0) + needed > budget_) {
    release(*idle_.back());
    idle_.pop_back();
  }
  for (int32_t i = 0; i < n_missing; ++i) sequence->page_table.push_back(pool_.take());
  running_.push_back(sequence.get());
  return sequence;
}

void KvCache::prepare(const KvSequence& sequence, int32_t n_tokens) {
  if (!storage_->is_compressed()) return;
  const int32_t n_past = sequence.n_past();
  uint64_t added = storage_->form_bytes(KvForm::kSinks);
  for (int32_t p = n_past / kKvPageSize; p < kv_pages_for(n_past + n_tokens); ++p) {
    if (!storage_->has(sequence.page_table[static_cast<size_t>(p)], KvForm::kFresh))
      added += storage_->form_bytes(KvForm::kFresh);
  }
  const int32_t n_old = kv_first_fresh_page(std::max(0, n_past + n_tokens - 1));
  for (int32_t p = 0; p < n_old; ++p) {
    if (!storage_->has(sequence.page_table[static_cast<size_t>(p)], KvForm::kPacked))
      added += storage_->form_bytes(KvForm::kPacked);
  }
  drop_spares(budget_ > added ? budget_ - added : 0);
}

void KvCache::drop_spares(uint64_t n_bytes) {
  if (storage_->allocated_bytes() <= n_bytes) return;
  std::vector<bool> is_needed(static_cast<size_t>(pool_.n_page()), false);
  for (const KvSequence* sequence : running_) {
    const auto first = static_cast<size_t>(kv_first_fresh_page(std::max(0, sequence->n_past() - kKvRollback)));
    for (size_t p = first; p < sequence->page_table.size(); ++p)
      is_needed[static_cast<size_t>(sequence->page_table[p])] = true;
  }
  const auto drop_of = [&](const KvSequence& sequence) {
    for (const int32_t page : sequence.page_table) {
      if (storage_->allocated_bytes() <= n_bytes) return;
      if (!is_needed[static_cast<size_t>(page)] && kv_has_spare(*storage_, page)) storage_->drop(page, KvForm::kFresh);
    }
  };
  for (auto it = idle_.rbegin(); it != idle_.rend(); ++it) drop_of(**it);
  for (const KvSequence* sequence : running_) drop_of(*sequence);
}

int32_t KvCache::usable_cut(const KvSequence& sequence, int32_t n_keep) const {
  if (!storage_->is_compressed() || n_keep == sequence.n_past()) return n_keep;
  const auto is_usable = [&](int32_t n) {
    for (int32_t p = kv_first_fresh_page(n); p < kv_pages_for(n); ++p) {
      if (!storage_->has(sequence.page_table[static_cast<size_t>(p)], KvForm::kFresh)) return false;
    }
    return true;
  };
  while (n_keep > 0 && !is_usable(n_keep)) n_keep = (n_keep - 1) / kKvPageSize * kKvPageSize;
  return n_keep;
}

int32_t KvCache::writable_cut(const KvSequence& sequence, int32_t n_keep) const {
  const int32_t last_page = n_keep / kKvPageSize;
  const bool cuts_page = n_keep % kKvPageSize != 0;
  return cuts_page && pool_.is_shared(sequence.page_table[static_cast<size_t>(last_page)]) ? last_page * kKvPageSize
                                                                                           : n_keep;
}

void KvCache::truncate(KvSequence& sequence, int32_t n_keep) {
  n_keep = writable_cut(sequence, usable_cut(sequence, n_keep));
  sequence.tokens.resize(static_cast<size_t>(n_keep));
  while (static_cast<int32_t>(sequence.page_table.size()) > kv_pages_for(n_keep)) {
    release_page(sequence.page_table.back());
    sequence.page_table.pop_back();
  }
}

void KvCache::retire(std::unique_ptr<KvSequence> sequence) {
  std::erase(running_, sequence.get());
  truncate(*sequence, sequence->n_past());  // pages that were reserved and never used
  if (sequence->n_past() > 0) {
    idle_.push_front(std::move(sequence));
  } else {
    release(*sequence);
  }
}

void KvCache::release(KvSequence& sequence) {
  for (const int32_t page : sequence.page_table) release_page(page);
  sequence.page_table.clear();
  sequence.tokens.clear();
}

void KvCache::release_page(int32_t page) {
  pool_.release(page);
  if (pool_.n_references(page) > 0) return;
  for (const KvForm form : {KvForm::kFresh, KvForm::kPacked, KvForm::kSinks}) storage_->drop(page, form);
}

}  // namespace outpost
