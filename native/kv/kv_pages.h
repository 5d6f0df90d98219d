// Which forms of its pages a sequence needs, by the rule of backend/kv_format.h.
#pragma once

#include <cstdint>
#include <span>

#include "backend/backend.h"
#include "backend/kv_format.h"

namespace outpost {

inline int32_t kv_pages_for(int32_t n_positions) { return (n_positions + kKvPageSize - 1) / kKvPageSize; }

/// Pages of a text that are fresh at the same time, at most: the recent ones, one for what may be taken back, the last
/// one and the one behind it.
inline constexpr int32_t kKvFreshPages = kKvRecentPages + 3;

/// The first page that the next query of a sequence of n_past positions reads fresh; all before it are read packed.
int32_t kv_first_fresh_page(int32_t n_past);

/// Gives up fresh forms that neither the next query reads nor one after taking back kKvRollback positions.
void kv_drop_old(KvStorage& storage, std::span<const int32_t> page_table, int32_t n_past);

/// A form that nobody reads any more: the page is packed.
inline bool kv_has_spare(const KvStorage& storage, int32_t page) {
  return storage.has(page, KvForm::kPacked) && storage.has(page, KvForm::kFresh);
}

/// Bytes with which a sequence of n_positions runs to its end, beside those of its passes.
uint64_t kv_promised_bytes(const KvStorage& storage, int32_t n_positions);
/// Bytes that passes of up to n_chunk tokens, beside one of each sequence, take for what they write.
uint64_t kv_pass_bytes(const KvStorage& storage, int32_t n_chunk);

/// Bytes of a sequence of n_past positions after kv_drop_old.
uint64_t kv_needed_bytes(const KvStorage& storage, int32_t n_past);

}  // namespace outpost
