// The end of attention over codes: what the spans of a text have left is merged, and turned back out of the rotation in
// which values are packed, by one launch.
#pragma once

#include "kernels/portable/attention_codes.h"
#include "kernels/portable/attention_merge.h"
#include "kernels/portable/rope_codes.h"

namespace outpost {
namespace gpu {

static_assert(kAttentionThreads == kRopeThreads, "a block merges and turns");

/// attention_merge of spans, and turn_back of its y, to the same bits. Grid: (n_head, n_tokens). kMaxDim is at least
/// head_dim_v.
template <int kMaxDim>
GPU_KERNEL(kAttentionThreads)
merge_and_turn_back(GPU_RESULT(0, float, partial), GPU_RESULT(1, float, states), GPU_IN(2, int32_t, positions),
                    GPU_IN(3, float, sinks), GPU_IN(4, float, matrices), GPU_IN(5, float, means), GPU_IO(6, float, y),
                    GPU_PARAMS(7, AttentionKernelParams, p), GPU_PARAMS(8, RopeCodesParams, turn) GPU_GRID) {
  enum { kDims = TurnShape<kMaxDim>::kDims };
  GPU_SHARED(float, factors, 2 * kMergeSplits);
  GPU_SHARED(float, sums, kMergeSplits);
  GPU_SHARED(float, maxima, kAttentionWarps);
  GPU_SHARED(float, merged_values, kMaxDim);
  allow_next();
  const Here here = GPU_HERE;
  const int32_t head = here.block_x, token = here.block_y, dim = p.kv.head_dim_v;
  const int32_t head_kv = head / (p.n_head / p.kv.n_head_kv);
  const DevicePtr<const float> matrix = matrices + matrix_at(turn, 3, head_kv);
  prefetch_elements<float>(matrix, dim * dim, here.thread_id, kRopeThreads);
  wait_for_previous();
  for (int32_t begin = 0; begin < dim; begin += kAttentionThreads) {
    const int32_t d = begin + here.thread_id;
    const float value = merge_splits<kCodesSpan>(MergeMemory{factors, sums, maxima}, partial, states, sinks,
                                                 positions[token], token, head, d, p, here);
    if (d < dim) merged_values[d] = value;
  }
  block_barrier();
  TurnColumns<kDims> columns;
  load_columns(columns, matrix, 0, dim, here.thread_id);
  float results[1][kDims];
  turn_rows<1, kDims>(results, merged_values, columns, matrix, dim, here.thread_id);
  const DevicePtr<const float> mean = means + mean_at(turn, true, head_kv);
  GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
    const int32_t d = here.thread_id + i * kRopeThreads;
    const float shift = turn.has_means && d < dim ? float(mean[d]) : 0.0f;
    if (d < dim) y[(int64_t(token) * p.n_head + head) * dim + d] = results[0][i] + shift;
  }
}

}  // namespace gpu
}  // namespace outpost
