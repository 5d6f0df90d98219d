// One head's keys and values into a page and, when it is packed, from one form into another.
#pragma once

#include <cstdint>

#include "backend/cpu/cpu_kv_storage.h"

namespace outpost {

/// Keys [head_dim_k] and values [head_dim_v] of one position, rotated already, into row `slot` of the page's fresh form
/// and, if they are of a sink, of that form. Blocks of both are there.
void kv_store(const CpuKvStorage& storage, int32_t page, int32_t il, int32_t head, int32_t position, const float* k,
              const float* v);

/// Packs the keys, or the values, of a head of a page whose 64 positions are all written.
void kv_pack_keys(const CpuKvStorage& storage, int32_t page, int32_t il, int32_t head);
void kv_pack_values(const CpuKvStorage& storage, int32_t page, int32_t il, int32_t head);

}  // namespace outpost
