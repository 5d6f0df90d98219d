// Flash attention (arXiv:2205.14135) over the paged f16 cache: the query heads of a KV head and neighbouring tokens
// are the rows of a tile, and each key and value is read once for all of them.
//
// Numerics do not depend on the batch: positions are taken in splits of 64 that begin at multiples of it, a split is a
// softmax of its own, summed in an order of its own, and splits are merged in the order of positions. A block may do
// one split (decode: many blocks for few tokens; attention_merge does the rest) or all of them (prefill): the bits are
// the same, and what a row does not see is skipped, whatever other rows of its tile see.
#pragma once

#include "kernels/portable/kv_layout.h"
#include "kernels/portable/prefetch.h"
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

/// Positions whose keys and values are not taken from pages: none. See NewPositions (rope_attention.h).
struct NoNewPositions {
  /// Whether the position is one of them, and then four dimensions of its key and its value.
  GPU_FN bool has(int32_t) const { return false; }
  GPU_FN Float4 key(int32_t, int32_t) const { return Float4{0, 0, 0, 0}; }
  GPU_FN Float4 value(int32_t, int32_t) const { return Float4{0, 0, 0, 0}; }
};

/// Scores of the positions `first` to `last` of a split for every row, to `scores` [kRows, kKvSplit]; not masked. Eight
/// lanes share a position: its key is read once, and with their neighbours they read whole sectors.
template <int kRows, int kMaxDimK, typename NewOnes>
GPU_FN void score_split(SharedPtr<float> scores, SharedPtr<float> queries, DevicePtr<const uint16_t> pages,
                        DevicePtr<const int32_t> page_table, const GPU_LOCAL NewOnes& new_ones,
                        GPU_PARAMS_REF(KvLayout) kv, int32_t head_kv, int32_t split, int32_t first, int32_t last,
                        int32_t n_rows, Here here) {
  enum { kSteps = (kMaxDimK + 31) / 32, kSlots = kMaxDimK <= 128 ? 4 : 1, kSlotsOfBlock = 4 * kAttentionWarps };
  const int32_t part = here.lane % 8, dim = kv.head_dim_k;
  const int32_t begin = first / kSlotsOfBlock * kSlotsOfBlock;
  for (int32_t base = begin; base <= last; base += kSlots * kSlotsOfBlock) {
    // All keys are asked for before the first is used.
    Float4 keys[kSlots][kSteps];
    GPU_UNROLL for (int32_t i = 0; i < kSlots; ++i) {
      const int32_t slot = base + i * kSlotsOfBlock + 4 * here.warp + here.lane / 8;
      const int32_t position = split * kKvSplit + slot;
      const bool is_there = slot >= first && slot <= last;
      const int32_t page = is_there ? int32_t(page_table[position / kPage]) : 0;
      const DevicePtr<const uint16_t> key = pages + key_at(kv, page, head_kv, slot % kPage);
      GPU_UNROLL for (int32_t step = 0; step < kSteps; ++step) {
        const int32_t d = 32 * step + 4 * part;
        keys[i][step] = Float4{0, 0, 0, 0};
        if (is_there && d < dim)
          keys[i][step] = new_ones.has(position) ? new_ones.key(position, d) : load_half4(key + d);
      }
    }
    GPU_UNROLL for (int32_t i = 0; i < kSlots; ++i) {
      const int32_t slot = base + i * kSlotsOfBlock + 4 * here.warp + here.lane / 8;
      GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
        if (r < n_rows) {  // the whole block
          float sum = 0;
          GPU_UNROLL for (int32_t step = 0; step < kSteps; ++step) {
            const int32_t d = 32 * step + 4 * part;
            if (d < dim) {
              const Float4 query = load_float4(queries + r * kMaxDimK + d);
              sum = fma32(query.x, keys[i][step].x, sum);
              sum = fma32(query.y, keys[i][step].y, sum);
              sum = fma32(query.z, keys[i][step].z, sum);
              sum = fma32(query.w, keys[i][step].w, sum);
            }
          }
          GPU_UNROLL for (int32_t distance = 4; distance > 0; distance /= 2) sum += shuffle_xor(sum, distance);
          if (part == r % 8 && slot < kKvSplit) scores[r * kKvSplit + slot] = sum;
        }
      }
    }
  }
}

OUTPOST_CONSTANT int kSplitSteps = kKvSplit / 32;  ///< positions of a split that a lane has: lane, lane + 32

/// The softmax of a row over a split, by a warp: a lane's scores become weights, 0 for what the row does not see.
GPU_FN SoftmaxState weigh_scores(GPU_LOCAL float (&row_scores)[kSplitSteps], int32_t split, int32_t first, int32_t last,
                                 int32_t row_position, GPU_PARAMS_REF(AttentionKernelParams) p, int32_t lane) {
  SoftmaxState state = {-infinity32(), 0};
  bool has_nan = false, is_empty = true;
  GPU_UNROLL for (int32_t step = 0; step < kSplitSteps; ++step) {
    const int32_t slot = 32 * step + lane;
    row_scores[step] = slot >= first && slot <= last
                           ? masked_score(row_scores[step], split * kKvSplit + slot, row_position, p)
                           : -infinity32();
    has_nan = has_nan || !(row_scores[step] == row_scores[step]);
    is_empty = is_empty && row_scores[step] == -infinity32();
    state.max = max32(state.max, row_scores[step]);
  }
  state.max = warp_max(state.max);
  if (ballot(has_nan) != 0) state.max = float_of_bits(0x7fc00000u);
  is_empty = ballot(!is_empty) == 0;
  float sum = 0;
  GPU_UNROLL for (int32_t step = 0; step < kSplitSteps; ++step) {
    const bool is_seen = !is_empty && !(row_scores[step] == -infinity32());
    row_scores[step] = is_seen ? exp32(row_scores[step] - state.max) : 0.0f;
    sum += row_scores[step];
  }
  state.sum = warp_sum(sum);
  return state;
}

/// A lane's scores of a row. @param scores [kKvSplit], of which those from `first` to `last` are there
GPU_FN void load_scores(GPU_LOCAL float (&row_scores)[kSplitSteps], SharedPtr<float> scores, int32_t first,
                        int32_t last, int32_t lane) {
  GPU_UNROLL for (int32_t step = 0; step < kSplitSteps; ++step) {
    const int32_t slot = 32 * step + lane;
    row_scores[step] = slot >= first && slot <= last ? float(scores[slot]) : 0.0f;
  }
}

/// weigh_scores for scores in shared memory. @param scores [kKvSplit]
GPU_FN SoftmaxState weigh_row(SharedPtr<float> scores, int32_t split, int32_t first, int32_t last, int32_t row_position,
                              GPU_PARAMS_REF(AttentionKernelParams) p, int32_t lane) {
  float row_scores[kSplitSteps];
  load_scores(row_scores, scores, first, last, lane);
  const SoftmaxState state = weigh_scores(row_scores, split, first, last, row_position, p, lane);
  GPU_UNROLL for (int32_t step = 0; step < kSplitSteps; ++step) scores[32 * step + lane] = row_scores[step];
  return state;
}

/// sums[r] += weights[r, k] * values[k] for the positions `first` to `last` of a split, of four dimensions from d on.
template <int kRows, typename NewOnes>
GPU_FN void add_values(GPU_LOCAL float (&sums)[kRows][4], SharedPtr<float> weights, DevicePtr<const uint16_t> pages,
                       DevicePtr<const int32_t> page_table, const GPU_LOCAL NewOnes& new_ones,
                       GPU_PARAMS_REF(KvLayout) kv, int32_t head_kv, int32_t split, int32_t first, int32_t last,
                       int32_t d, int32_t n_rows) {
  for (int32_t begin = first / 8 * 8; begin <= last; begin += 8) {
    const int32_t page = page_table[(split * kKvSplit + begin) / kPage];
    const DevicePtr<const uint16_t> values = pages + value_at(kv, page, head_kv, begin % kPage) + d;
    // Eight are asked for before the first is used. Those before `first` and after `last` are not there.
    Float4 loaded[8];
    GPU_UNROLL for (int32_t j = 0; j < 8; ++j) {
      const int32_t k = begin + j, position = split * kKvSplit + k;
      loaded[j] = Float4{0, 0, 0, 0};
      if (k >= first && k <= last) {
        loaded[j] =
            new_ones.has(position) ? new_ones.value(position, d) : load_half4(values + int64_t(j) * kv.head_dim_v);
      }
    }
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
      if (r < n_rows) {
        GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
          const Float4 four = load_float4(weights + r * kKvSplit + begin + 4 * part);
          const float w[4] = {four.x, four.y, four.z, four.w};
          GPU_UNROLL for (int32_t j = 0; j < 4; ++j) {
            // A weight of 0 may be that of a position which the row does not see: its value may be anything.
            const Float4 value = loaded[4 * part + j];
            if (w[j] != 0) {
              sums[r][0] = fma32(w[j], value.x, sums[r][0]);
              sums[r][1] = fma32(w[j], value.y, sums[r][1]);
              sums[r][2] = fma32(w[j], value.z, sums[r][2]);
              sums[r][3] = fma32(w[j], value.w, sums[r][3]);
            }
          }
        }
      }
    }
  }
}

/// The splits that a tile's rows see; of a block that has one alone, that or none.
struct TileSplits {
  int32_t first_position, last_position;
  int32_t first, last;  ///< splits
};

/// @param i_split of a block that does one split: counted from the first that the tile sees, so that a window needs no
///   blocks for what is before it
template <bool kIsSplit>
GPU_FN TileSplits tile_splits(GPU_BLOCK_REF(AttentionTile) tile, int32_t n_window, int32_t i_split) {
  TileSplits splits;
  splits.first_position = first_visible(tile.first_position, n_window);
  splits.last_position = tile.first_position + tile.n_tokens - 1;
  splits.first = splits.first_position / kKvSplit;
  splits.last = splits.last_position / kKvSplit;
  if (kIsSplit) {
    splits.first += i_split;
    splits.last = splits.last < splits.first ? splits.last : splits.first;
  }
  return splits;
}

/// Has the keys and values of the first split of a block come to the device's cache, before their addresses are needed.
GPU_FN void prefetch_split(DevicePtr<const uint16_t> pages, DevicePtr<const int32_t> page_table,
                           GPU_PARAMS_REF(KvLayout) kv, TileSplits splits, Here here) {
  const int32_t start = splits.first * kKvSplit, page = page_table[start / kPage];
  prefetch_elements<uint16_t>(pages + key_at(kv, page, here.block_y, start % kPage), kKvSplit * kv.head_dim_k,
                              here.thread_id, kAttentionThreads);
  prefetch_elements<uint16_t>(pages + value_at(kv, page, here.block_y, start % kPage), kKvSplit * kv.head_dim_v,
                              here.thread_id, kAttentionThreads);
}

/// Values of up to 128 dimensions: a warp has a quarter of the positions and all dimensions, four to a lane; the parts
/// are added at last, and a thread has one dimension of the sum. More: a thread has four dimensions of all positions.
template <int kRows, int kMaxDimV>
struct TileShape {
  enum {
    kIsShared = kMaxDimV <= 128 ? 1 : 0,
    kDims = kIsShared ? 1 : 4,
    kParts = kAttentionWarps * ((kRows + 1) / 2) * kMaxDimV,
    kWeights = kRows * kKvSplit,
    kScores = kIsShared && int(kParts) > int(kWeights) ? kParts : kWeights,  // and then the parts of half the rows
    kWarpRows = (kRows + kAttentionWarps - 1) / kAttentionWarps,             // rows whose softmax a warp does
  };
};

/// Of a block: queries [kRows, kMaxDimK], scores [TileShape::kScores], split_factors [2 * kRows].
struct TileMemory {
  SharedPtr<float> queries, scores, split_factors;
};

struct TileResults {
  DevicePtr<float> y, partial, states;
};

/// Which row of [n_tokens, n_head] a tile's row is.
GPU_FN int64_t batch_row(GPU_BLOCK_REF(AttentionTile) tile, int32_t row, GPU_PARAMS_REF(AttentionKernelParams) p,
                         Here here) {
  const int64_t token = tile.first_token + row / tile.n_heads;
  return token * p.n_head + here.block_y * (p.n_head / p.kv.n_head_kv) + tile.first_head + row % tile.n_heads;
}

/// The state of a row after a split, by a warp: to `to.states` for who merges splits, or joined with that of the splits
/// before, and the factors of both to `split_factors`.
template <bool kIsSplit>
GPU_FN void keep_state(SoftmaxState state, GPU_LOCAL SoftmaxState& total, TileResults to,
                       SharedPtr<float> split_factors, int32_t row, int32_t split, GPU_BLOCK_REF(AttentionTile) tile,
                       GPU_PARAMS_REF(AttentionKernelParams) p, Here here) {
  if (kIsSplit) {
    const int64_t at = int64_t(split) * p.n_tokens * p.n_head + batch_row(tile, row, p, here);
    if (here.lane == 0) {
      to.states[2 * at] = state.max;
      to.states[2 * at + 1] = state.sum;
    }
  } else {
    const MergeFactors factors = merge(total, state);
    if (here.lane == 0) {
      split_factors[2 * row] = factors.old_factor;
      split_factors[2 * row + 1] = factors.next_factor;
    }
  }
}

/// What attention does once the queries of the tile are in its memory, and all threads have come to a barrier.
/// @param new_ones NoNewPositions, or NewPositions
template <int kRows, int kMaxDimK, int kMaxDimV, bool kIsSplit, typename NewOnes>
GPU_FN void attend_tile(TileMemory memory, TileResults to, DevicePtr<const uint16_t> pages,
                        DevicePtr<const int32_t> page_table, DevicePtr<const float> sinks,
                        const GPU_LOCAL NewOnes& new_ones, GPU_BLOCK_REF(AttentionTile) tile, TileSplits splits,
                        GPU_PARAMS_REF(AttentionKernelParams) p, Here here) {
  typedef TileShape<kRows, kMaxDimV> Shape;
  enum { kIsShared = Shape::kIsShared, kDims = Shape::kDims };
  const int32_t kWarpRows = Shape::kWarpRows;
  const SharedPtr<float> queries = memory.queries, scores = memory.scores, split_factors = memory.split_factors;
  const int32_t head_kv = here.block_y, n_rows = tile.n_tokens * tile.n_heads, dim_v = p.kv.head_dim_v;
  const NoNewPositions none = NoNewPositions();

  float totals[kRows][kDims], results[kRows][kDims];
  SoftmaxState total_states[kWarpRows];  // every lane has those of its warp's rows
  GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) total_states[i] = {-infinity32(), 0};
  GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
    GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) totals[r][i] = results[r][i] = 0;
  }

  for (int32_t split = splits.first; split <= splits.last; ++split) {
    const int32_t start = split * kKvSplit;
    const int32_t first = splits.first_position > start ? splits.first_position - start : 0;
    const int32_t last = splits.last_position - start < kKvSplit ? splits.last_position - start : kKvSplit - 1;
    const bool has_new = new_ones.has(start + last);  // the whole block: most blocks take everything from pages
    if (has_new) {
      score_split<kRows, kMaxDimK>(scores, queries, pages, page_table, new_ones, p.kv, head_kv, split, first, last,
                                   n_rows, here);
    } else {
      score_split<kRows, kMaxDimK>(scores, queries, pages, page_table, none, p.kv, head_kv, split, first, last, n_rows,
                                   here);
    }
    block_barrier();

    GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
      const int32_t row = here.warp + i * kAttentionWarps;
      if (row < n_rows) {  // the whole warp
        const SoftmaxState state = weigh_row(scores + row * kKvSplit, split, first, last,
                                             tile.first_position + row / tile.n_heads, p, here.lane);
        keep_state<kIsSplit>(state, total_states[i], to, split_factors, row, split, tile, p, here);
      }
    }
    block_barrier();

    float sums[kRows][4];
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) { GPU_UNROLL for (int32_t i = 0; i < 4; ++i) sums[r][i] = 0; }
    const int32_t d = 4 * (kIsShared ? here.lane : here.thread_id);
    if (d < dim_v) {
      const int32_t kPart = kKvSplit / kAttentionWarps;
      const int32_t begin = kIsShared ? here.warp * kPart : 0, end = kIsShared ? begin + kPart : kKvSplit;
      const int32_t own_first = first > begin ? first : begin, own_last = last < end - 1 ? last : end - 1;
      if (has_new) {
        add_values<kRows>(sums, scores, pages, page_table, new_ones, p.kv, head_kv, split, own_first, own_last, d,
                          n_rows);
      } else {
        add_values<kRows>(sums, scores, pages, page_table, none, p.kv, head_kv, split, own_first, own_last, d, n_rows);
      }
    }
    if (kIsShared) {
      const int32_t kHalf = (kRows + 1) / 2;
      GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
        block_barrier();  // nobody reads weights, or the parts of the other half, any more
        if (d < dim_v) {
          GPU_UNROLL for (int32_t r = 0; r < kHalf; ++r) {
            const int32_t row = part * kHalf + r;
            if (row < n_rows && row < kRows) {
              const GPU_LOCAL float* own = sums[row < kRows ? row : 0];
              store_float4(scores + (here.warp * kHalf + r) * kMaxDimV + d, Float4{own[0], own[1], own[2], own[3]});
            }
          }
        }
        block_barrier();
        GPU_UNROLL for (int32_t r = 0; r < kHalf; ++r) {
          const int32_t row = part * kHalf + r;
          if (row < n_rows && row < kRows && here.thread_id < dim_v) {
            float sum = 0;
            GPU_UNROLL for (int32_t w = 0; w < kAttentionWarps; ++w) sum +=
                scores[(w * kHalf + r) * kMaxDimV + here.thread_id];
            results[row < kRows ? row : 0][0] = sum;
          }
        }
      }
    } else {
      GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
        GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) results[r][i] = sums[r][i];
      }
    }
    if (!kIsSplit) {
      GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
        if (r < n_rows) {
          const MergeFactors factors = {split_factors[2 * r], split_factors[2 * r + 1]};
          GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) totals[r][i] = merged(totals[r][i], results[r][i], factors);
        }
      }
      block_barrier();
    }
  }

  if (!kIsSplit) {
    GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
      const int32_t row = here.warp + i * kAttentionWarps;
      if (row < n_rows && here.lane == 0) {
        const float sink = p.has_sinks ? float(sinks[batch_row(tile, row, p, here) % p.n_head]) : 0.0f;
        split_factors[row] = final_factor(total_states[i], p.has_sinks != 0, sink);
      }
    }
    block_barrier();
  }
  GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
    if (r < n_rows) {
      const int64_t row = batch_row(tile, r, p, here);
      GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
        const int32_t d = kDims * here.thread_id + i;
        if (d < dim_v) {
          if (kIsSplit)
            to.partial[(int64_t(splits.first) * p.n_tokens * p.n_head + row) * dim_v + d] = results[r][i];
          else
            to.y[row * dim_v + d] = totals[r][i] * split_factors[r];
        }
      }
    }
  }
}

/// Rows of queries to shared memory, kPitch apart.
template <int kPitch>
GPU_FN void load_queries(SharedPtr<float> queries, DevicePtr<const float> q, GPU_BLOCK_REF(AttentionTile) tile,
                         GPU_PARAMS_REF(AttentionKernelParams) p, Here here) {
  const int32_t dim_k = p.kv.head_dim_k;
  for (int32_t i = here.thread_id; i < tile.n_tokens * tile.n_heads * dim_k; i += kAttentionThreads) {
    const int32_t row = i / dim_k, d = i % dim_k;
    queries[row * kPitch + d] = q[batch_row(tile, row, p, here) * dim_k + d];
  }
}

/// Attention of one tile of rows over one split (kIsSplit: to partial and states) or over all it sees (to y).
/// Grid: (tiles, n_head_kv, kIsSplit ? splits that a tile sees at most : 1).
/// kMaxDimK and kMaxDimV are at least the dimensions, which are multiples of 4.
/// @param q [n_tokens, n_head, head_dim_k], y [n_tokens, n_head, head_dim_v]
/// @param partial [n_splits, n_tokens, n_head, head_dim_v], states [n_splits, n_tokens, n_head, 2]: what a row does not
///   see is left as it is
/// @param sinks [n_head], or unused
template <int kRows, int kMaxDimK, int kMaxDimV, bool kIsSplit>
GPU_KERNEL(kAttentionThreads)
attention(GPU_RESULT(0, float, q), GPU_RESULT(1, uint16_t, pages), GPU_IN(2, int32_t, page_tables),
          GPU_IN(3, AttentionTile, tiles), GPU_IN(4, float, sinks), GPU_IO(5, float, y), GPU_IO(6, float, partial),
          GPU_IO(7, float, states), GPU_PARAMS(8, AttentionKernelParams, p) GPU_GRID) {
  typedef TileShape<kRows, kMaxDimV> Shape;
  GPU_SHARED(float, queries, kRows* kMaxDimK);
  GPU_SHARED(float, scores, Shape::kScores);
  GPU_SHARED(float, split_factors, 2 * kRows);
  allow_next();
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(AttentionTile) tile = tiles[here.block_x];
  const TileSplits splits = tile_splits<kIsSplit>(tile, p.n_window, here.block_z);
  if (splits.first > splits.last) return;  // the whole block, which has nothing to wait for
  if (kIsSplit) prefetch_split(pages, page_tables + tile.page_table, p.kv, splits, here);
  wait_for_previous();
  load_queries<kMaxDimK>(queries, q, tile, p, here);
  block_barrier();
  attend_tile<kRows, kMaxDimK, kMaxDimV, kIsSplit>(
      TileMemory{queries, scores, split_factors}, TileResults{y, partial, states}, pages, page_tables + tile.page_table,
      sinks, NoNewPositions(), tile, splits, p, here);
}

}  // namespace gpu
}  // namespace outpost
