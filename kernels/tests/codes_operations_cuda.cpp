// The kernels over pages of codes on a real device.
#ifdef OUTPOST_ON_GPU

#include "kernels/launchers/launchers.h"
#include "kernels/tests/codes_operations.h"

namespace outpost::test {

using namespace gpu;
using cuda::check_launch;

namespace {
constexpr Stream kStream = nullptr;
}

void run_rope_and_store_codes(const DeviceRopeCodes& a, const RopeCodesParams& params) {
  check_launch(launch_rope_and_store_codes(kStream, a.q, a.k, a.v, a.turns, a.positions, a.slots, {a.arena, a.forms},
                                           {a.matrices, a.means}, params),
               "rope_and_store_codes");
}

void run_turn_back(DeviceArray<float>& y, DeviceArray<float>& matrices, DeviceArray<float>& means,
                   const RopeCodesParams& params) {
  check_launch(launch_turn_back(kStream, y, {matrices, means}, params), "turn_back");
}

void run_pack_pages(DeviceArray<int32_t>& pages, DeviceArray<int64_t>& forms, DeviceArray<uint32_t>& arena,
                    int32_t n_pages, const CodesLayout& kv) {
  check_launch(launch_pack_pages(kStream, pages, n_pages, {arena, forms}, kv), "pack_pages");
}

void run_unpack_pages(DeviceArray<UnpackedPage>& entries, DeviceArray<int64_t>& forms, DeviceArray<uint32_t>& arena,
                      DeviceArray<uint16_t>& pages, int32_t n_entries, const CodesLayout& kv, const KvLayout& result) {
  check_launch(launch_unpack_pages(kStream, entries, n_entries, {arena, forms}, pages, kv, result), "unpack_pages");
}

int32_t rows_of(CodesUnits units) { return units == CodesUnits::kMatrix16 ? most_codes_rows() : kAttentionRows; }

void run_attention_codes(const DeviceCodesAttention& a, const RopeCodesParams& codes,
                         const AttentionKernelParams& params, CodesUnits units, Schedule) {
  const CodesAttentionArrays arrays{a.q, {a.arena, a.forms}, a.page_tables, a.tiles,       a.positions, a.sinks,
                                    a.y, a.partial,          a.states,      rows_of(units)};
  check_launch(launch_attention_codes(kStream, arrays, a.n_tiles, a.n_spans, {a.matrices, a.means}, codes, params),
               "attention_codes");
}

}  // namespace outpost::test

#endif
