// What the launchers of attention over codes have in common. Private to them.
#pragma once

#include "kernels/launchers/launch.h"
#include "kernels/launchers/launchers.h"
#include "kernels/portable/attention_tiles.h"

namespace outpost::gpu {

/// Of the spans of launch_attention_codes, without their merge.
struct CodesLaunch {
  Stream stream;
  const CodesAttentionArrays& arrays;
  int32_t n_tiles, n_spans;
  const CodesLayout& codes;
  const AttentionKernelParams& params;
};

/// By attention_codes, or a kernel with the same arguments.
template <typename Kernel>
Error launch_spans(const CodesLaunch& a, Kernel kernel) {
  const int32_t n_visible = visible_splits(a.n_spans, kCodesSpan, a.params.n_window, a.arrays.n_tile_rows);
  const OverlappedLaunch launch(a.stream, Grid(a.n_tiles, a.codes.n_head_kv, n_visible), kAttentionThreads);
  return launch(kernel, a.arrays.q, a.arrays.memory.arena, a.arrays.memory.forms, a.arrays.page_tables, a.arrays.tiles,
                a.arrays.partial, a.arrays.states, a.codes, a.params);
}

/// Of the runtime: on matrix units where it has them for bytes. @pre dimensions and tiles have a kernel
Error launch_codes_spans(const CodesLaunch& arguments);

/// Calls visitor.operator()<kMaxDim>() with the smallest that there are kernels for.
template <typename Visitor>
void visit_max_dim(int32_t dim, Visitor&& visitor) {
  if (dim <= 128) return visitor.template operator()<128>();
  if (dim <= 256) return visitor.template operator()<256>();
  visitor.template operator()<kMaxKvDim>();
}

}  // namespace outpost::gpu
