// The second half of attention where each split of positions was a block's own (attention.h): splits are merged in the
// order of positions.
#pragma once

#include "kernels/portable/activations.h"
#include "kernels/portable/attention.h"

namespace outpost {
namespace gpu {

/// The splits of each row, of kSpan positions, merged in order. Grid: (n_head, n_tokens).
/// @param positions [n_tokens]; otherwise as attention
template <int kSpan>
GPU_KERNEL(kAttentionThreads)
attention_merge(GPU_RESULT(0, float, partial), GPU_RESULT(1, float, states), GPU_IN(2, int32_t, positions),
                GPU_IN(3, float, sinks), GPU_IO(4, float, y), GPU_PARAMS(5, AttentionKernelParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t head = here.block_x, token = here.block_y, dim_v = p.kv.head_dim_v;
  const int32_t position = positions[token];
  const int32_t first_split = first_visible(position, p.n_window) / kSpan, last_split = position / kSpan;
  enum { kAtOnce = 8 };
  for (int32_t d = here.thread_id; d < dim_v; d += kAttentionThreads) {
    SoftmaxState state = {-infinity32(), 0};
    float total = 0;
    // Eight splits are asked for while the eight before are merged.
    SoftmaxState states_of[2][kAtOnce] = {};
    float values_of[2][kAtOnce] = {};
    for (int32_t begin = first_split - kAtOnce; begin <= last_split; begin += kAtOnce) {
      GPU_UNROLL for (int32_t i = 0; i < kAtOnce; ++i) {
        states_of[0][i] = states_of[1][i];
        values_of[0][i] = values_of[1][i];
        const int32_t split = begin + kAtOnce + i;
        if (split <= last_split) {
          const int64_t at = (int64_t(split) * p.n_tokens + token) * p.n_head + head;
          states_of[1][i] = {states[2 * at], states[2 * at + 1]};
          values_of[1][i] = partial[at * dim_v + d];
        }
      }
      GPU_UNROLL for (int32_t i = 0; i < kAtOnce; ++i) {
        if (begin + i >= first_split && begin + i <= last_split) {
          const MergeFactors factors = merge(state, states_of[0][i]);
          total = merged(total, values_of[0][i], factors);
        }
      }
    }
    const float factor = final_factor(state, p.has_sinks != 0, p.has_sinks ? float(sinks[head]) : 0.0f);
    y[(int64_t(token) * p.n_head + head) * dim_v + d] = total * factor;
  }
}

/// As attention_merge for few splits, with y as codes too: attention_merge and quantize_activations to the same bits
/// in one launch. Grid: (n_head * head_dim_v / (256 * kAttentionWarps) rounded up, n_tokens); a warp does 256
/// neighbours. head_dim_v is a multiple of 8, n_head * head_dim_v of 32, and of 256 if is_super.
struct MergeCodesParams {
  AttentionKernelParams attention;
  int32_t is_super;  ///< see QuantizeParams
};

template <int kSpan>
GPU_KERNEL(kAttentionThreads)
attention_merge_codes(GPU_RESULT(0, float, partial), GPU_RESULT(1, float, states), GPU_IN(2, int32_t, positions),
                      GPU_IN(3, float, sinks), GPU_IO(4, float, y), GPU_IO(5, uint32_t, codes),
                      GPU_IO(6, float, scales), GPU_IO(7, uint32_t, sums), GPU_IO(8, uint32_t, pairs),
                      GPU_PARAMS(9, MergeCodesParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t dim_v = p.attention.kv.head_dim_v, width = p.attention.n_head * dim_v, token = here.block_y;
  const int32_t column = (here.block_x * kAttentionThreads + here.thread_id) * 8;
  if (column - 8 * here.lane >= width) return;  // the whole warp
  const bool is_there = column < width;
  float totals[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  if (is_there) {
    const int32_t head = column / dim_v, position = positions[token];
    const int32_t first_split = first_visible(position, p.attention.n_window) / kSpan, last_split = position / kSpan;
    SoftmaxState state = {-infinity32(), 0};
    enum { kAtOnce = 4 };  // splits that are asked for before the first is used
    for (int32_t begin = first_split; begin <= last_split; begin += kAtOnce) {
      SoftmaxState states_of[kAtOnce] = {};
      float values_of[kAtOnce][8] = {};
      GPU_UNROLL for (int32_t i = 0; i < kAtOnce; ++i) {
        if (begin + i <= last_split) {
          const int64_t at = (int64_t(begin + i) * p.attention.n_tokens + token) * p.attention.n_head + head;
          states_of[i] = {states[2 * at], states[2 * at + 1]};
          load_eight(values_of[i], partial + at * dim_v + column % dim_v);
        }
      }
      GPU_UNROLL for (int32_t i = 0; i < kAtOnce; ++i) {
        if (begin + i <= last_split) {
          const MergeFactors factors = merge(state, states_of[i]);
          GPU_UNROLL for (int32_t d = 0; d < 8; ++d) totals[d] = merged(totals[d], values_of[i][d], factors);
        }
      }
    }
    const float sink = p.attention.has_sinks ? float(sinks[head]) : 0.0f;
    const float factor = final_factor(state, p.attention.has_sinks != 0, sink);
    GPU_UNROLL for (int32_t d = 0; d < 8; ++d) totals[d] *= factor;
    store_eight(y + int64_t(token) * width + column, totals);
  }
  quantize_eight(totals, (int64_t(token) * width + column) / 8, is_there, p.is_super != 0, here.lane, codes, scales,
                 sums, pairs);
}

}  // namespace gpu
}  // namespace outpost
