// The kernels over pages of codes under the SIMT emulator.
#ifndef OUTPOST_ON_GPU

#include "kernels/cuda/attention_codes_mma.h"
#include "kernels/portable/attention_tiles.h"
#include "kernels/tests/codes_operations.h"

namespace outpost::test {

using namespace gpu;
using emulator::launch;

namespace {

int32_t ceil_div(int32_t a, int32_t b) { return (a + b - 1) / b; }

/// run.operator()<kMaxDim>() with the smallest that has a kernel.
template <typename Run>
void with_max_dim(int32_t dim, const Run& run) {
  if (dim <= 128) return run.template operator()<128>();
  if (dim <= 256) return run.template operator()<256>();
  run.template operator()<576>();
}

}  // namespace

void run_rope_and_store_codes(const DeviceRopeCodes& a, const RopeCodesParams& params) {
  with_max_dim(std::max(params.kv.head_dim_k, params.kv.head_dim_v), [&]<int kMaxDim>() {
    constexpr int32_t kMany = TurnShape<kMaxDim>::kTokens;
    const int32_t n_blocks = ceil_div(params.n_tokens, kMany);
    const auto kernel = params.n_tokens == 1 ? rope_and_store_codes<kMaxDim, 1> : rope_and_store_codes<kMaxDim, kMany>;
    launch({{params.n_head + 2 * params.kv.n_head_kv, n_blocks}, kRopeThreads, Schedule::kRandom, 2}, [&] {
      kernel(a.q, a.k, a.v, a.turns, a.positions, a.slots, a.forms, a.matrices, a.means, a.arena, params);
    });
  });
}

void run_turn_back(DeviceArray<float>& y, DeviceArray<float>& matrices, DeviceArray<float>& means,
                   const RopeCodesParams& params) {
  with_max_dim(params.kv.head_dim_v, [&]<int kMaxDim>() {
    launch(
        {{params.n_head, ceil_div(params.n_tokens, TurnShape<kMaxDim>::kTokens)}, kRopeThreads, Schedule::kRandom, 2},
        [&] { turn_back<kMaxDim>(y, matrices, means, params); });
  });
}

void run_pack_pages(DeviceArray<int32_t>& pages, DeviceArray<int64_t>& forms, DeviceArray<uint32_t>& arena,
                    int32_t n_pages, const CodesLayout& kv) {
  launch({{2 * n_pages, 2 * kv.n_head_kv}, kPackThreads, Schedule::kRandom, 3},
         [&] { pack_pages(pages, forms, arena, kv); });
}

void run_unpack_pages(DeviceArray<UnpackedPage>& entries, DeviceArray<int64_t>& forms, DeviceArray<uint32_t>& arena,
                      DeviceArray<uint16_t>& pages, int32_t n_entries, const CodesLayout& kv, const KvLayout& result) {
  launch({{n_entries, 2 * kv.n_head_kv}, kPackThreads, Schedule::kReverse, 3},
         [&] { unpack_pages(entries, forms, arena, pages, kv, result); });
}

int32_t rows_of(CodesUnits units) { return units == CodesUnits::kMatrix16 ? 16 : 8; }

void run_attention_codes(const DeviceCodesAttention& a, const RopeCodesParams& codes,
                         const AttentionKernelParams& params, CodesUnits units, Schedule schedule) {
  // No more than the launcher has.
  const int32_t n_spans = visible_splits(a.n_spans, kCodesSpan, params.n_window, rows_of(units));
  emulator::LaunchConfig config{{a.n_tiles, codes.kv.n_head_kv, n_spans}, kAttentionThreads, schedule, 1};
  if (units != CodesUnits::kAny) config.max_shared_bytes = 48 << 10;  // CUDA's
  with_max_dim(codes.kv.head_dim_k, [&]<int kMaxDim>() {
    auto kernel = attention_codes<8, kMaxDim>;
    if (units == CodesUnits::kMatrix) kernel = attention_codes_mma<8, kMaxDim>;
    if (units == CodesUnits::kMatrix16) kernel = attention_codes_mma<16, kMaxDim>;
    launch(config,
           [&] { kernel(a.q, a.arena, a.forms, a.page_tables, a.tiles, a.partial, a.states, codes.kv, params); });
  });
  with_max_dim(codes.kv.head_dim_v, [&]<int kMaxDim>() {
    launch({{params.n_head, params.n_tokens}, kAttentionThreads, schedule, 2}, [&] {
      merge_and_turn_back<kMaxDim>(a.partial, a.states, a.positions, a.sinks, a.matrices, a.means, a.y, params, codes);
    });
  });
}

}  // namespace outpost::test

#endif
