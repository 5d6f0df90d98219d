#include "kv/kv_pages.h"

#include <algorithm>

namespace outpost {

int32_t kv_first_fresh_page(int32_t n_past) { return std::max(0, n_past / kKvPageSize - kKvRecentPages); }

void kv_drop_old(KvStorage& storage, std::span<const int32_t> page_table, int32_t n_past) {
  if (!storage.is_compressed()) return;
  const int32_t n_old = kv_first_fresh_page(std::max(0, n_past - kKvRollback));
  for (int32_t p = n_old - 1; p >= 0; --p) {
    const int32_t page = page_table[static_cast<size_t>(p)];
    if (!storage.has(page, KvForm::kFresh)) return;  // neither have those before it
    if (storage.has(page, KvForm::kPacked)) storage.drop(page, KvForm::kFresh);
  }
}

uint64_t kv_promised_bytes(const KvStorage& storage, int32_t n_positions) {
  const auto n_pages = static_cast<uint64_t>(kv_pages_for(n_positions));
  if (!storage.is_compressed()) return n_pages * storage.form_bytes(KvForm::kFresh);
  return n_pages * storage.form_bytes(KvForm::kPacked) + kKvFreshPages * storage.form_bytes(KvForm::kFresh) +
         storage.form_bytes(KvForm::kSinks);
}

uint64_t kv_pass_bytes(const KvStorage& storage, int32_t n_chunk) {
  if (!storage.is_compressed()) return 0;
  return static_cast<uint64_t>(kv_pages_for(n_chunk)) * storage.form_bytes(KvForm::kFresh);
}

uint64_t kv_needed_bytes(const KvStorage& storage, int32_t n_past) {
  if (n_past == 0) return 0;
  const auto n_pages = static_cast<uint64_t>(kv_pages_for(n_past));
  if (!storage.is_compressed()) return n_pages * storage.form_bytes(KvForm::kFresh);
  // The last query that was computed, at n_past - 1, read packed what it took for old.
  const auto n_packed = static_cast<uint64_t>(kv_first_fresh_page(n_past - 1));
  const auto n_dropped = static_cast<uint64_t>(kv_first_fresh_page(std::max(0, n_past - kKvRollback)));
  return storage.form_bytes(KvForm::kSinks) + n_packed * storage.form_bytes(KvForm::kPacked) +
         (n_pages - std::min(n_dropped, n_packed)) * storage.form_bytes(KvForm::kFresh);
}

}  // namespace outpost
