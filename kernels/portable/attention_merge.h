// The second half of attention where each split of positions was a block's own (attention.h): splits are merged in the
// order of positions.
#pragma once

#include "kernels/portable/activations.h"
#include "kernels/portable/attention.h"

namespace outpost {
namespace gpu {

/// Splits whose factors a block finds at once, one to a thread; and values that a thread asks for at once.
OUTPOST_CONSTANT int kMergeSplits = kAttentionThreads;
OUTPOST_CONSTANT int kMergeAtOnce = 16;

/// The largest score of what has been seen, when `b` follows `a`: what merge leaves. Of three it does not matter which
/// two come first.
GPU_FN float merged_max(float a, float b) {
  if (!has_seen({b, 0})) return a;
  return has_seen({a, 0}) ? max32(a, b) : b;
}

/// Of a block, for merge_splits: factors [2 * kMergeSplits], sums [kMergeSplits], maxima [kAttentionWarps].
struct MergeMemory {
  SharedPtr<float> factors, sums, maxima;
};

/// What merge has to say of a thread's split, which joins those of the threads before it and all before those. So the
/// exponentials of a long context are not taken one after the other, though its splits are added in order.
/// @param max the largest score before this block's splits; becomes that after them
GPU_FN MergeFactors factors_in_order(GPU_LOCAL float& max, SoftmaxState own, SharedPtr<float> maxima, Here here) {
  float largest = own.max;  // of the warp's lanes up to this one
  GPU_UNROLL for (int32_t distance = 1; distance < 32; distance *= 2) {
    const float before = shuffle(largest, (here.lane - distance) & 31);
    if (here.lane >= distance) largest = merged_max(before, largest);
  }
  if (here.lane == 31) maxima[here.warp] = largest;
  const float of_lanes = shuffle(largest, (here.lane - 1) & 31);
  block_barrier();  // after which nobody reads the factors of the splits before
  float before = max;
  GPU_UNROLL for (int32_t warp = 0; warp < kAttentionWarps; ++warp) {
    const float of_warp = maxima[warp];
    if (warp < here.warp) before = merged_max(before, of_warp);
    max = merged_max(max, of_warp);
  }
  if (here.lane > 0) before = merged_max(before, of_lanes);
  SoftmaxState state = {before, 0};
  return merge(state, own);
}

/// Dimension d of what a token's head has seen, its splits of kSpan positions merged in order and divided by the sum
/// of all weights. By a whole block; threads of dimensions that are not there get nothing of use.
/// @param partial, states, sinks as attention
template <int kSpan>
GPU_FN float merge_splits(MergeMemory memory, DevicePtr<const float> partial, DevicePtr<const float> states,
                          DevicePtr<const float> sinks, int32_t position, int32_t token, int32_t head, int32_t d,
                          GPU_PARAMS_REF(AttentionKernelParams) p, Here here) {
  const int32_t dim_v = p.kv.head_dim_v;
  const int32_t first_split = first_visible(position, p.n_window) / kSpan, last_split = position / kSpan;
  const int64_t rows = int64_t(p.n_tokens) * p.n_head;  // of a split
  SoftmaxState state = {-infinity32(), 0};
  float total = 0;
  for (int32_t first = first_split; first <= last_split; first += kMergeSplits) {
    const int32_t n = last_split - first + 1 < kMergeSplits ? last_split - first + 1 : kMergeSplits;
    const int64_t row = (int64_t(first) * p.n_tokens + token) * p.n_head + head;
    const DevicePtr<const float> values = partial + (row * dim_v + d);
    // As many values are asked for while as many before are added.
    float values_of[2][kMergeAtOnce] = {};
    GPU_UNROLL for (int32_t i = 0; i < kMergeAtOnce; ++i) {
      if (i < n && d < dim_v) values_of[1][i] = values[i * (rows * dim_v)];
    }
    SoftmaxState own = {-infinity32(), 0};
    if (here.thread_id < n) {
      const int64_t at = row + here.thread_id * rows;
      own = {states[2 * at], states[2 * at + 1]};
    }
    const MergeFactors factors = factors_in_order(state.max, own, memory.maxima, here);
    memory.factors[2 * here.thread_id] = factors.old_factor;
    memory.factors[2 * here.thread_id + 1] = factors.next_factor;
    memory.sums[here.thread_id] = own.sum;
    block_barrier();
    for (int32_t begin = 0; begin < n; begin += kMergeAtOnce) {
      GPU_UNROLL for (int32_t i = 0; i < kMergeAtOnce; ++i) {
        values_of[0][i] = values_of[1][i];
        const int32_t next = begin + kMergeAtOnce + i;
        if (next < n && d < dim_v) values_of[1][i] = values[next * (rows * dim_v)];
      }
      GPU_UNROLL for (int32_t i = 0; i < kMergeAtOnce; ++i) {
        if (begin + i < n) {  // the whole block
          const int32_t split = begin + i;
          const MergeFactors of_split = {memory.factors[2 * split], memory.factors[2 * split + 1]};
          state.sum = state.sum * of_split.old_factor + memory.sums[split] * of_split.next_factor;
          total = merged(total, values_of[0][i], of_split);
        }
      }
    }
  }
  return total * final_factor(state, p.has_sinks != 0, p.has_sinks ? float(sinks[head]) : 0.0f);
}

/// The splits of each row, of kSpan positions, merged in order. Grid: (n_head, n_tokens).
/// @param positions [n_tokens]; otherwise as attention
template <int kSpan>
GPU_KERNEL(kAttentionThreads)
attention_merge(GPU_RESULT(0, float, partial), GPU_RESULT(1, float, states), GPU_IN(2, int32_t, positions),
                GPU_IN(3, float, sinks), GPU_IO(4, float, y), GPU_PARAMS(5, AttentionKernelParams, p) GPU_GRID) {
  GPU_SHARED(float, factors, 2 * kMergeSplits);
  GPU_SHARED(float, sums, kMergeSplits);
  GPU_SHARED(float, maxima, kAttentionWarps);
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t head = here.block_x, token = here.block_y, dim_v = p.kv.head_dim_v;
  for (int32_t begin = 0; begin < dim_v; begin += kAttentionThreads) {
    const int32_t d = begin + here.thread_id;
    const float value = merge_splits<kSpan>(MergeMemory{factors, sums, maxima}, partial, states, sinks,
                                            positions[token], token, head, d, p, here);
    if (d < dim_v) y[(int64_t(token) * p.n_head + head) * dim_v + d] = value;
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
