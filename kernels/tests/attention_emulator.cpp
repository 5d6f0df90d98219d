// Attention over pages of f16, portable and on CUDA's matrix units, under the SIMT emulator.
#ifndef OUTPOST_ON_GPU

#include <algorithm>

#include "kernels/cuda/attention_mma.h"
#include "kernels/portable/attention_tiles.h"
#include "kernels/tests/operations.h"

namespace outpost::test {

using namespace gpu;
using emulator::launch;

namespace {

/// The splits that blocks of their own have left.
void run_merge(const DeviceAttention& a, const AttentionKernelParams& params, Schedule schedule) {
  if (!a.is_split) return;
  if (a.codes != nullptr) {
    DeviceActivations& x = *a.codes;
    const int32_t n_columns = params.n_head * params.kv.head_dim_v, n_of_block = 8 * kAttentionThreads;
    launch({{(n_columns + n_of_block - 1) / n_of_block, params.n_tokens}, kAttentionThreads, schedule, 2}, [&] {
      attention_merge_codes<kKvSplit>(a.partial, a.states, a.positions, a.sinks, a.y, x.codes, x.scales, x.sums,
                                      x.pairs, {params, x.is_super ? 1 : 0});
    });
    return;
  }
  launch({{params.n_head, params.n_tokens}, kAttentionThreads, schedule, 2},
         [&] { attention_merge<kKvSplit>(a.partial, a.states, a.positions, a.sinks, a.y, params); });
}

template <typename Kernel>
void launch_tiles(const DeviceAttention& a, const AttentionKernelParams& params, int32_t n_rows, Schedule schedule,
                  const Kernel& kernel) {
  // No more than the launcher has.
  const int32_t n_splits = a.is_split ? visible_splits(a.n_splits, kKvSplit, params.n_window, n_rows) : 1;
  emulator::LaunchConfig config{{a.n_tiles, params.kv.n_head_kv, n_splits}, kAttentionThreads, schedule, 1};
  if (a.is_on_units) config.max_shared_bytes = 48 << 10;  // CUDA's
  launch(config, kernel);
}

template <int kRows, int kMaxDimK, int kMaxDimV>
void run_attention_dims(const DeviceAttention& a, const AttentionKernelParams& params, Schedule schedule) {
  launch_tiles(a, params, kRows, schedule, [&] {
    const auto kernel =
        a.is_split ? attention<kRows, kMaxDimK, kMaxDimV, true> : attention<kRows, kMaxDimK, kMaxDimV, false>;
    kernel(a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, a.partial, a.states, params);
  });
}

template <int kRows, int kMaxDimK, int kMaxDimV>
void run_attention_on_units(const DeviceAttention& a, const AttentionKernelParams& params, Schedule schedule) {
  launch_tiles(a, params, kRows, schedule, [&] {
    const auto kernel =
        a.is_split ? attention_mma<kRows, kMaxDimK, kMaxDimV, true> : attention_mma<8, kMaxDimK, kMaxDimV, false>;
    kernel(a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, a.partial, a.states, params);
  });
}

template <int kRows>
void run_attention_on_units(const DeviceAttention& a, const AttentionKernelParams& params, Schedule schedule) {
  const int32_t dim = std::max(params.kv.head_dim_k, params.kv.head_dim_v);
  if (dim <= 64)
    run_attention_on_units<kRows, 64, 64>(a, params, schedule);
  else if (dim <= 128)
    run_attention_on_units<kRows, 128, 128>(a, params, schedule);
  else if constexpr (kRows <= most_mma_rows(576)) {
    if (dim <= 256)
      run_attention_on_units<kRows, 256, 256>(a, params, schedule);
    else
      run_attention_on_units<kRows, 576, 512>(a, params, schedule);
  }
}

template <int kMaxDim>
void run_rope_and_attention_dims(const DeviceAttention& a, const DeviceNewKv& added, const RopeAttentionParams& params,
                                 Schedule schedule) {
  launch_tiles(a, params.attention, 8, schedule, [&] {
    const auto kernel =
        a.is_split ? rope_and_attention<8, kMaxDim, kMaxDim, true> : rope_and_attention<8, kMaxDim, kMaxDim, false>;
    kernel(a.q, added.k, added.v, added.turns, a.pages, a.page_tables, a.tiles, a.sinks, a.y, a.partial, a.states,
           params);
  });
}

template <int kRows, int kMaxDim>
void run_rope_and_attention_on_units(const DeviceAttention& a, const DeviceNewKv& added,
                                     const RopeAttentionParams& params, Schedule schedule) {
  launch_tiles(a, params.attention, kRows, schedule, [&] {
    const auto kernel =
        a.is_split ? rope_and_attention_mma<kRows, kMaxDim, true> : rope_and_attention_mma<8, kMaxDim, false>;
    kernel(a.q, added.k, added.v, added.turns, a.pages, a.page_tables, a.tiles, a.sinks, a.y, a.partial, a.states,
           params);
  });
}

template <int kRows>
void run_rope_and_attention_on_units(const DeviceAttention& a, const DeviceNewKv& added,
                                     const RopeAttentionParams& params, Schedule schedule) {
  const int32_t dim = std::max(params.attention.kv.head_dim_k, params.attention.kv.head_dim_v);
  if (dim <= 64)
    run_rope_and_attention_on_units<kRows, 64>(a, added, params, schedule);
  else if (dim <= 128)
    run_rope_and_attention_on_units<kRows, 128>(a, added, params, schedule);
  else if constexpr (kRows <= most_mma_rows(256))
    run_rope_and_attention_on_units<kRows, 256>(a, added, params, schedule);
}

}  // namespace

int32_t most_rows_on_units(int32_t dim_k, int32_t dim_v) { return most_mma_rows(std::max(dim_k, dim_v)); }

void run_attention(const DeviceAttention& a, const AttentionKernelParams& params, int32_t n_rows, Schedule schedule) {
  if (a.is_on_units) {
    if (n_rows == 8) run_attention_on_units<8>(a, params, schedule);
    if (n_rows == 16) run_attention_on_units<16>(a, params, schedule);
    if (n_rows == 32) run_attention_on_units<32>(a, params, schedule);
  } else if (n_rows == 16) {
    run_attention_dims<16, 64, 128>(a, params, schedule);
  } else if (params.kv.head_dim_k <= 64) {
    run_attention_dims<8, 64, 128>(a, params, schedule);
  } else if (params.kv.head_dim_k <= 128) {
    run_attention_dims<8, 128, 128>(a, params, schedule);
  } else if (params.kv.head_dim_k <= 256) {
    run_attention_dims<8, 256, 256>(a, params, schedule);
  } else {
    run_attention_dims<8, 576, 512>(a, params, schedule);
  }
  run_merge(a, params, schedule);
}

void run_rope_and_attention(const DeviceAttention& a, const DeviceNewKv& added, const RopeAttentionParams& params,
                            int32_t n_rows, Schedule schedule) {
  const int32_t dim = std::max(params.attention.kv.head_dim_k, params.attention.kv.head_dim_v);
  if (a.is_on_units) {
    if (n_rows == 8) run_rope_and_attention_on_units<8>(a, added, params, schedule);
    if (n_rows == 16) run_rope_and_attention_on_units<16>(a, added, params, schedule);
    if (n_rows == 32) run_rope_and_attention_on_units<32>(a, added, params, schedule);
  } else if (dim <= 128) {
    run_rope_and_attention_dims<128>(a, added, params, schedule);
  } else {
    run_rope_and_attention_dims<256>(a, added, params, schedule);
  }
  run_merge(a, params.attention, schedule);
}

}  // namespace outpost::test

#endif
