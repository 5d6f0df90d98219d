// Flash attention (arXiv:2205.14135) over the paged f16 cache: the query heads of a KV head and neighbouring tokens
// are the rows of a tile, and each key and value is read once for all of them.
//
// Numerics do not depend on the batch: positions are taken in tiles of 32 and splits of 256 that begin at multiples
// of these, a split is a softmax of its own, and splits are merged in the order of positions. A block may do one
// split (decode: many blocks for few tokens; attention_merge does the rest) or all of them (prefill): the bits are
// the same, and what a row does not see is skipped, whatever other rows of its tile see.
#pragma once

#include "kernels/portable/kv_layout.h"
#include "kernels/portable/reduce.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kAttentionThreads = 128;
OUTPOST_CONSTANT int kAttentionWarps = kAttentionThreads / 32;

struct AttentionKernelParams {
  KvLayout kv;
  int32_t n_head;
  int32_t n_tokens;
  int32_t n_window;  ///< a token sees itself and the n_window - 1 positions before it; 0: all
  int32_t has_sinks;
  float scale;
  float softcap;  ///< 0: none
};

/// What rows have seen so far: the largest score, the sum of exp(score - max), and the values weighted alike.
struct SoftmaxState {
  float max, sum;
};

GPU_FN bool has_seen(SoftmaxState state) { return state.max > -infinity32() || !(state.max == state.max); }

/// Factors of the old values and of those that come, when `next` joins `state`; state becomes their union.
struct MergeFactors {
  float old_factor, next_factor;
};

GPU_FN MergeFactors merge(GPU_LOCAL SoftmaxState& state, SoftmaxState next) {
  if (!has_seen(next)) return {1.0f, 0.0f};
  if (!has_seen(state)) {
    state = next;
    return {0.0f, 1.0f};
  }
  const float max = max32(state.max, next.max);
  const MergeFactors factors = {exp32(state.max - max), exp32(next.max - max)};
  state.sum = state.sum * factors.old_factor + next.sum * factors.next_factor;
  state.max = max;
  return factors;
}

GPU_FN float merged(float value, float next, MergeFactors factors) {
  // A factor of 0 stands for nothing: what it would multiply may be anything.
  if (factors.next_factor == 0) return value * factors.old_factor;
  if (factors.old_factor == 0) return next * factors.next_factor;
  return value * factors.old_factor + next * factors.next_factor;
}

/// What a sum of values has to be multiplied with at last: the sink is a logit without a value.
GPU_FN float final_factor(SoftmaxState state, bool has_sink, float sink) {
  if (!has_sink) return 1.0f / state.sum;
  const float max = max32(state.max, sink);
  const float factor = exp32(state.max - max);
  return factor / (state.sum * factor + exp32(sink - max));
}

GPU_FN int32_t first_visible(int32_t position, int32_t n_window) {
  return n_window > 0 && position >= n_window ? position - n_window + 1 : 0;
}

GPU_FN float masked_score(float score, int32_t position, int32_t row_position,
                          GPU_PARAMS_REF(AttentionKernelParams) p) {
  if (position > row_position || position < first_visible(row_position, p.n_window)) return -infinity32();
  const float scaled = score * p.scale;
  return p.softcap > 0 ? p.softcap * tanh32(scaled / p.softcap) : scaled;
}

/// Scores of the positions `first` to `last` of a tile for every row, to `scores` [kRows, 32]; not masked. Eight lanes
/// share a position: its key is read once, and with their neighbours they read whole sectors.
template <int kRows, int kMaxDimK>
GPU_FN void score_tile(SharedPtr<float> scores, SharedPtr<float> queries, DevicePtr<const uint16_t> keys, int32_t first,
                       int32_t last, int32_t n_rows, int32_t dim, Here here) {
  const int32_t part = here.lane % 8;
  for (int32_t pass = 0; pass < kKvTile / (4 * kAttentionWarps); ++pass) {
    const int32_t slot = (pass * kAttentionWarps + here.warp) * 4 + here.lane / 8;
    float sums[kRows];
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) sums[r] = 0;
    if (slot >= first && slot <= last) {
      for (int32_t d = 4 * part; d < dim; d += 32) {
        const Float4 key = load_half4(keys + int64_t(slot) * dim + d);
        GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
          if (r < n_rows) {
            const SharedPtr<float> query = queries + r * kMaxDimK + d;
            sums[r] = fma32(query[0], key.x, sums[r]);
            sums[r] = fma32(query[1], key.y, sums[r]);
            sums[r] = fma32(query[2], key.z, sums[r]);
            sums[r] = fma32(query[3], key.w, sums[r]);
          }
        }
      }
    }
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
      GPU_UNROLL for (int32_t distance = 4; distance > 0; distance /= 2) sums[r] += shuffle_xor(sums[r], distance);
      if (part == r % 8 && r < n_rows) scores[r * kKvTile + slot] = sums[r];
    }
  }
}

/// Attention of one tile of rows over one split (kIsSplit: to partial and states) or over all it sees (to y).
/// Grid: (tiles, n_head_kv, kIsSplit ? splits up to the last position : 1).
/// kMaxDimK and kMaxDimV are at least the dimensions, which are multiples of 4.
/// @param q [n_tokens, n_head, head_dim_k], y [n_tokens, n_head, head_dim_v]
/// @param partial [n_splits, n_tokens, n_head, head_dim_v], states [n_splits, n_tokens, n_head, 2]: what a row does not
///   see is left as it is
/// @param sinks [n_head], or unused
template <int kRows, int kMaxDimK, int kMaxDimV, bool kIsSplit>
GPU_KERNEL(kAttentionThreads)
attention(GPU_IN(0, float, q), GPU_IN(1, uint16_t, pages), GPU_IN(2, int32_t, page_tables),
          GPU_IN(3, AttentionTile, tiles), GPU_IN(4, float, sinks), GPU_IO(5, float, y), GPU_IO(6, float, partial),
          GPU_IO(7, float, states), GPU_PARAMS(8, AttentionKernelParams, p) GPU_GRID) {
  // Dimensions of the values that a thread sums up, and rows whose softmax a warp does.
  const int32_t kDims = (kMaxDimV + kAttentionThreads - 1) / kAttentionThreads;
  const int32_t kWarpRows = (kRows + kAttentionWarps - 1) / kAttentionWarps;
  GPU_SHARED(float, queries, kRows* kMaxDimK);
  GPU_SHARED(float, scores, kRows* kKvTile);
  GPU_SHARED(float, tile_factors, kRows);
  GPU_SHARED(float, split_factors, 2 * kRows);
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(AttentionTile) tile = tiles[here.block_x];
  const int32_t head_kv = here.block_y, n_group = p.n_head / p.kv.n_head_kv;
  const int32_t n_rows = tile.n_tokens * tile.n_heads;
  const int32_t dim_k = p.kv.head_dim_k, dim_v = p.kv.head_dim_v;
  const int32_t last_position = tile.first_position + tile.n_tokens - 1;
  const int32_t first_position = first_visible(tile.first_position, p.n_window);
  int32_t split = first_position / kKvSplit, last_split = last_position / kKvSplit;
  if (kIsSplit) {
    if (here.block_z < split || here.block_z > last_split) return;  // the whole block
    split = last_split = here.block_z;
  }

  for (int32_t i = here.thread_id; i < n_rows * dim_k; i += kAttentionThreads) {
    const int32_t row = i / dim_k, d = i % dim_k;
    const int64_t token = tile.first_token + row / tile.n_heads;
    const int32_t head = head_kv * n_group + tile.first_head + row % tile.n_heads;
    queries[row * kMaxDimK + d] = q[(token * p.n_head + head) * dim_k + d];
  }
  block_barrier();

  float totals[kRows][kDims], sums[kRows][kDims];
  SoftmaxState total_states[kWarpRows], row_states[kWarpRows];  // every lane has those of its warp's rows
  GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) total_states[i] = {-infinity32(), 0};
  GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) { GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) totals[r][i] = 0; }

  for (; split <= last_split; ++split) {
    GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) row_states[i] = {-infinity32(), 0};
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) { GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) sums[r][i] = 0; }
    const int32_t split_end = (split + 1) * kKvSplit;
    const int32_t begin = first_position > split * kKvSplit ? first_position / kKvTile * kKvTile : split * kKvSplit;
    const int32_t end = last_position + 1 < split_end ? last_position + 1 : split_end;
    for (int32_t start = begin; start < end; start += kKvTile) {
      const int32_t page = page_tables[tile.page_table + start / kPage], slot = start % kPage;
      const int32_t first = first_position > start ? first_position - start : 0;
      const int32_t last = end - start < kKvTile ? end - start - 1 : kKvTile - 1;
      score_tile<kRows, kMaxDimK>(scores, queries, pages + key_at(p.kv, page, head_kv, slot), first, last, n_rows,
                                  dim_k, here);
      block_barrier();

      GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
        const int32_t row = here.warp + i * kAttentionWarps;
        if (row < n_rows) {  // the whole warp
          const int32_t row_position = tile.first_position + row / tile.n_heads;
          float score = -infinity32();
          if (here.lane >= first && here.lane <= last)
            score = masked_score(scores[row * kKvTile + here.lane], start + here.lane, row_position, p);
          const float max = max32(row_states[i].max, warp_max(score));
          const bool is_empty = !(max > -infinity32()) && ballot(!(score == -infinity32())) == 0;
          const float weight = is_empty || score == -infinity32() ? 0.0f : exp32(score - max);
          const float factor = row_states[i].max == -infinity32() ? 1.0f : exp32(row_states[i].max - max);
          row_states[i].sum = row_states[i].sum * factor + warp_sum(weight);
          row_states[i].max = max;
          scores[row * kKvTile + here.lane] = weight;
          if (here.lane == 0) tile_factors[row] = factor;
        }
      }
      block_barrier();

      const DevicePtr<const uint16_t> values = pages + value_at(p.kv, page, head_kv, slot);
      GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
        const int32_t d = here.thread_id + i * kAttentionThreads;
        if (d < dim_v) {
          GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
            if (r < n_rows) sums[r][i] *= tile_factors[r];
          }
          // Eight values are asked for before the first is used. Those before `first` and after `last` are not there.
          for (int32_t begin_k = first / 8 * 8; begin_k <= last; begin_k += 8) {
            float loaded[8];
            GPU_UNROLL for (int32_t j = 0; j < 8; ++j) {
              const int32_t k = begin_k + j;
              loaded[j] = k >= first && k <= last ? float_of_half(values[int64_t(k) * dim_v + d]) : 0.0f;
            }
            GPU_UNROLL for (int32_t j = 0; j < 8; ++j) {
              GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
                // A weight of 0 may be that of a position which the row does not see.
                if (r < n_rows) {
                  const float weight = scores[r * kKvTile + begin_k + j];
                  if (weight != 0) sums[r][i] = fma32(weight, loaded[j], sums[r][i]);
                }
              }
            }
          }
        }
      }
      block_barrier();
    }

    GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
      const int32_t row = here.warp + i * kAttentionWarps;
      if (row < n_rows) {
        const int64_t at = (int64_t(split) * p.n_tokens + tile.first_token + row / tile.n_heads) * p.n_head +
                           head_kv * n_group + tile.first_head + row % tile.n_heads;
        if (kIsSplit) {
          if (here.lane == 0) {
            states[2 * at] = row_states[i].max;
            states[2 * at + 1] = row_states[i].sum;
          }
        } else {
          const MergeFactors factors = merge(total_states[i], row_states[i]);
          if (here.lane == 0) {
            split_factors[2 * row] = factors.old_factor;
            split_factors[2 * row + 1] = factors.next_factor;
          }
        }
      }
    }
    block_barrier();
    if (!kIsSplit) {
      GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
        if (r < n_rows) {
          const MergeFactors factors = {split_factors[2 * r], split_factors[2 * r + 1]};
          GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) totals[r][i] = merged(totals[r][i], sums[r][i], factors);
        }
      }
      block_barrier();
    }
  }

  if (!kIsSplit) {
    GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
      const int32_t row = here.warp + i * kAttentionWarps;
      if (row < n_rows && here.lane == 0) {
        const float sink = p.has_sinks ? float(sinks[head_kv * n_group + tile.first_head + row % tile.n_heads]) : 0.0f;
        tile_factors[row] = final_factor(total_states[i], p.has_sinks != 0, sink);
      }
    }
    block_barrier();
  }
  GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
    if (r < n_rows) {
      const int64_t token = tile.first_token + r / tile.n_heads;
      const int64_t head = head_kv * n_group + tile.first_head + r % tile.n_heads;
      GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
        const int32_t d = here.thread_id + i * kAttentionThreads;
        if (d < dim_v) {
          if (kIsSplit)
            partial[((int64_t(here.block_z) * p.n_tokens + token) * p.n_head + head) * dim_v + d] = sums[r][i];
          else
            y[(token * p.n_head + head) * dim_v + d] = totals[r][i] * tile_factors[r];
        }
      }
    }
  }
}

/// The splits of each row, merged in order. Grid: (n_head, n_tokens).
/// @param positions [n_tokens]; otherwise as attention
GPU_KERNEL(kAttentionThreads)
attention_merge(GPU_IN(0, float, partial), GPU_IN(1, float, states), GPU_IN(2, int32_t, positions),
                GPU_IN(3, float, sinks), GPU_IO(4, float, y), GPU_PARAMS(5, AttentionKernelParams, p) GPU_GRID) {
  const Here here = GPU_HERE;
  const int32_t head = here.block_x, token = here.block_y, dim_v = p.kv.head_dim_v;
  const int32_t position = positions[token];
  const int32_t first_split = first_visible(position, p.n_window) / kKvSplit, last_split = position / kKvSplit;
  for (int32_t d = here.thread_id; d < dim_v; d += kAttentionThreads) {
    SoftmaxState state = {-infinity32(), 0};
    float total = 0;
    for (int32_t split = first_split; split <= last_split; ++split) {
      const int64_t at = (int64_t(split) * p.n_tokens + token) * p.n_head + head;
      const SoftmaxState next = {states[2 * at], states[2 * at + 1]};
      const MergeFactors factors = merge(state, next);
      total = merged(total, partial[at * dim_v + d], factors);
    }
    const float factor = final_factor(state, p.has_sinks != 0, p.has_sinks ? float(sinks[head]) : 0.0f);
    y[(int64_t(token) * p.n_head + head) * dim_v + d] = total * factor;
  }
}

}  // namespace gpu
}  // namespace outpost
