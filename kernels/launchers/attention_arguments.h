// What a runtime does of attention with matrix units. Private to the launchers.
#pragma once

#include "kernels/launchers/launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {

/// The tiles of launch_attention, or with `rope` of launch_rope_and_attention, without their merge.
struct TilesLaunch {
  Stream stream;
  const AttentionArrays& arrays;
  const RopeKvArrays* rope;
  Grid grid;
  const RopeAttentionParams& params;  ///< without `rope` those of the attention alone

  bool is_split() const { return arrays.partial != nullptr; }
};

/// By `attention`, or a kernel with the same arguments.
template <typename Kernel>
Error launch_tiles_by(const TilesLaunch& a, Kernel kernel) {
  const OverlappedLaunch launch(a.stream, a.grid, kAttentionThreads);
  return launch(kernel, a.arrays.q, a.arrays.pages, a.arrays.page_tables, a.arrays.tiles, a.arrays.sinks, a.arrays.y,
                a.arrays.partial, a.arrays.states, a.params.attention);
}

/// By `rope_and_attention`, or a kernel with the same arguments. @pre a.rope is not null
template <typename Kernel>
Error launch_rope_tiles_by(const TilesLaunch& a, Kernel kernel) {
  const OverlappedLaunch launch(a.stream, a.grid, kAttentionThreads);
  return launch(kernel, a.arrays.q, a.rope->k, a.rope->v, a.rope->turns, a.rope->pages, a.arrays.page_tables,
                a.arrays.tiles, a.arrays.sinks, a.arrays.y, a.arrays.partial, a.arrays.states, a.params);
}

/// Of the runtime: whether launch_tiles_on_units has kernels for such heads.
bool has_attention_units(int32_t head_dim_k, int32_t head_dim_v);
Error launch_tiles_on_units(const TilesLaunch& arguments);

}  // namespace outpost::gpu
