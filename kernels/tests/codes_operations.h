// The kernels over pages of codes as the tests run them; see operations.h.
#pragma once

#include "kernels/portable/attention_codes.h"
#include "kernels/portable/pack_codes.h"
#include "kernels/portable/rope_codes.h"
#include "kernels/portable/turned_merge.h"
#include "kernels/tests/operations.h"

namespace outpost::test {

/// What rope_and_store_codes reads and writes.
struct DeviceRopeCodes {
  DeviceArray<float>&q, &k, &v, &turns;
  DeviceArray<int32_t>&positions, &slots;
  DeviceArray<int64_t>& forms;
  DeviceArray<float>&matrices, &means;
  DeviceArray<uint32_t>& arena;
};

struct DeviceCodesAttention {
  DeviceArray<float>& q;
  DeviceArray<uint32_t>& arena;
  DeviceArray<int64_t>& forms;
  DeviceArray<int32_t>& page_tables;
  DeviceArray<gpu::AttentionTile>& tiles;
  DeviceArray<int32_t>& positions;
  DeviceArray<float>&sinks, &matrices, &means, &y, &partial, &states;
  int32_t n_tiles, n_spans;
};

void run_rope_and_store_codes(const DeviceRopeCodes& arrays, const gpu::RopeCodesParams& params);
void run_turn_back(DeviceArray<float>& y, DeviceArray<float>& matrices, DeviceArray<float>& means,
                   const gpu::RopeCodesParams& params);
void run_pack_pages(DeviceArray<int32_t>& pages, DeviceArray<int64_t>& forms, DeviceArray<uint32_t>& arena,
                    int32_t n_pages, const gpu::CodesLayout& kv);
void run_unpack_pages(DeviceArray<gpu::UnpackedPage>& entries, DeviceArray<int64_t>& forms,
                      DeviceArray<uint32_t>& arena, DeviceArray<uint16_t>& pages, int32_t n_entries,
                      const gpu::CodesLayout& kv, const gpu::KvLayout& result);
/// What computes the spans. A device has one of the two, or the last two with tiles of 8 and of 16 rows.
enum class CodesUnits { kAny, kMatrix, kMatrix16 };
int32_t rows_of(CodesUnits units);
/// The spans, and their merge, turned back.
void run_attention_codes(const DeviceCodesAttention& arrays, const gpu::RopeCodesParams& codes,
                         const gpu::AttentionKernelParams& params, CodesUnits units,
                         Schedule schedule = Schedule::kInOrder);

}  // namespace outpost::test
