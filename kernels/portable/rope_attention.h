// rope_and_store_kv and attention in one launch, for passes of few tokens. What the two are to each other is kept to
// the bit: queries are rotated in f32, keys are rotated and rounded to f16, values are rounded to f16.
//
// Blocks are not ordered, so none may find in a page what another writes. Every block rotates the queries of its tile;
// what this pass adds to the cache each block takes from what the products have left, and makes the same f16 of it. The
// block that has a position's own token, and the first heads of its group, writes it to the page besides.
#pragma once

#include "kernels/portable/attention.h"
#include "kernels/portable/rope_kv.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kMaxNewPositions = 16;  ///< of a sequence in a pass

struct RopeAttentionParams {
  AttentionKernelParams attention;
  int32_t n_pairs, offset, is_halves;  ///< as in RopeKvParams
};

/// Pairs of a head as they were before the rotation, and their angles: a lane has every 32nd.
template <int kMaxDimK>
struct HeadPairs {
  enum { kSteps = (kMaxDimK + 63) / 64 };
  float first[kSteps], second[kSteps];
};
template <int kMaxDimK>
struct HeadTurns {
  enum { kSteps = HeadPairs<kMaxDimK>::kSteps };
  float cosine[kSteps], sine[kSteps];
};

template <int kMaxDimK>
GPU_FN void load_turns(GPU_LOCAL HeadTurns<kMaxDimK>& turns, DevicePtr<const float> table, int32_t position,
                       int32_t n_pairs, int32_t lane) {
  GPU_UNROLL for (int32_t step = 0; step < HeadTurns<kMaxDimK>::kSteps; ++step) {
    const int32_t pair = 32 * step + lane;
    const int64_t at = (int64_t(position) * n_pairs + pair) * 2;
    turns.cosine[step] = pair < n_pairs ? float(table[at]) : 0.0f;
    turns.sine[step] = pair < n_pairs ? float(table[at + 1]) : 0.0f;
  }
}

template <int kMaxDimK>
GPU_FN void load_pairs(GPU_LOCAL HeadPairs<kMaxDimK>& pairs, DevicePtr<const float> head,
                       GPU_PARAMS_REF(RopeAttentionParams) p, int32_t lane) {
  GPU_UNROLL for (int32_t step = 0; step < HeadPairs<kMaxDimK>::kSteps; ++step) {
    const int32_t pair = 32 * step + lane;
    const PairPlace at = pair_place(p, pair);
    pairs.first[step] = pair < p.n_pairs ? float(head[at.first]) : 0.0f;
    pairs.second[step] = pair < p.n_pairs ? float(head[at.second]) : 0.0f;
  }
}

/// Which dimension is number i of those that are left as they are.
GPU_FN int32_t unturned_dim(GPU_PARAMS_REF(RopeAttentionParams) p, int32_t i) {
  return i < p.offset ? i : i + 2 * p.n_pairs;
}
GPU_FN int32_t n_unturned(GPU_PARAMS_REF(RopeAttentionParams) p) { return p.attention.kv.head_dim_k - 2 * p.n_pairs; }

/// A query of the tile, by a warp. @param head as it was before
template <int kMaxDimK>
GPU_FN void keep_query(SharedPtr<float> query, DevicePtr<const float> head, const GPU_LOCAL HeadPairs<kMaxDimK>& pairs,
                       const GPU_LOCAL HeadTurns<kMaxDimK>& turns, GPU_PARAMS_REF(RopeAttentionParams) p,
                       int32_t lane) {
  GPU_UNROLL for (int32_t step = 0; step < HeadPairs<kMaxDimK>::kSteps; ++step) {
    const int32_t pair = 32 * step + lane;
    if (pair < p.n_pairs) {
      const PairPlace at = pair_place(p, pair);
      const Turned two = turned(pairs.first[step], pairs.second[step], turns.cosine[step], turns.sine[step]);
      query[at.first] = two.first;
      query[at.second] = two.second;
    }
  }
  for (int32_t i = lane; i < n_unturned(p); i += 32) {
    const int32_t d = unturned_dim(p, i);
    query[d] = head[d];
  }
}

/// A key, by a warp, to shared memory and, if is_stored, to its page.
template <int kMaxDimK>
GPU_FN void keep_key(SharedPtr<uint16_t> kept, DevicePtr<uint16_t> stored, bool is_stored, DevicePtr<const float> head,
                     const GPU_LOCAL HeadPairs<kMaxDimK>& pairs, const GPU_LOCAL HeadTurns<kMaxDimK>& turns,
                     GPU_PARAMS_REF(RopeAttentionParams) p, int32_t lane) {
  GPU_UNROLL for (int32_t step = 0; step < HeadPairs<kMaxDimK>::kSteps; ++step) {
    const int32_t pair = 32 * step + lane;
    if (pair < p.n_pairs) {
      const PairPlace at = pair_place(p, pair);
      const Turned two = turned(pairs.first[step], pairs.second[step], turns.cosine[step], turns.sine[step]);
      const uint16_t first = half_of_float(two.first), second = half_of_float(two.second);
      kept[at.first] = first;
      kept[at.second] = second;
      if (is_stored) {
        stored[at.first] = first;
        stored[at.second] = second;
      }
    }
  }
  for (int32_t i = lane; i < n_unturned(p); i += 32) {
    const int32_t d = unturned_dim(p, i);
    kept[d] = half_of_float(head[d]);
  }
  if (!is_stored) return;
  for (int32_t i = lane; i < n_unturned(p); i += 32) {  // now that all of them have been asked for
    const int32_t d = unturned_dim(p, i);
    stored[d] = kept[d];
  }
}

/// The positions that a pass adds and a block sees, from `first` on, as f16 in shared memory. See NoNewPositions.
template <int kMaxDimK, int kMaxDimV>
struct NewPositions {
  SharedPtr<uint16_t> keys;    ///< [kMaxNewPositions, kMaxDimK] rotated
  SharedPtr<uint16_t> values;  ///< [kMaxNewPositions, kMaxDimV]
  int32_t first;

  GPU_FN bool has(int32_t position) const { return position >= first; }
  GPU_FN Float4 key(int32_t position, int32_t d) const { return load_half4(keys + (position - first) * kMaxDimK + d); }
  GPU_FN Float4 value(int32_t position, int32_t d) const {
    return load_half4(values + (position - first) * kMaxDimV + d);
  }
};

/// Makes those of one KV head up to `last` from what products have left: a warp has every fourth position.
/// @param first_stored from there on they go to their pages as well
/// @param token_shift from a position to its token
template <int kMaxDimK, int kMaxDimV>
GPU_FN void make_new_positions(const GPU_LOCAL NewPositions<kMaxDimK, kMaxDimV>& new_ones, int32_t last,
                               int32_t first_stored, int32_t token_shift, DevicePtr<const float> k,
                               DevicePtr<const float> v, DevicePtr<const float> turn_table, DevicePtr<uint16_t> pages,
                               DevicePtr<const int32_t> page_table, GPU_PARAMS_REF(RopeAttentionParams) p, Here here) {
  enum { kValueSteps = (kMaxDimV + 31) / 32 };
  const int32_t head_kv = here.block_y, dim_k = p.attention.kv.head_dim_k, dim_v = p.attention.kv.head_dim_v;
  for (int32_t position = new_ones.first + here.warp; position <= last; position += kAttentionWarps) {
    const int64_t row = int64_t(position + token_shift) * p.attention.kv.n_head_kv + head_kv;
    // Everything is asked for before the first is used.
    HeadTurns<kMaxDimK> turns;
    HeadPairs<kMaxDimK> pairs;
    float value[kValueSteps];
    load_turns(turns, turn_table, position, p.n_pairs, here.lane);
    load_pairs(pairs, k + row * dim_k, p, here.lane);
    GPU_UNROLL for (int32_t step = 0; step < kValueSteps; ++step) {
      const int32_t d = 32 * step + here.lane;
      value[step] = d < dim_v ? float(v[row * dim_v + d]) : 0.0f;
    }
    const bool is_stored = position >= first_stored;
    const int32_t page = page_table[position / kPage], i = position - new_ones.first;
    keep_key(new_ones.keys + i * kMaxDimK, pages + key_at(p.attention.kv, page, head_kv, position % kPage), is_stored,
             k + row * dim_k, pairs, turns, p, here.lane);
    const DevicePtr<uint16_t> stored = pages + value_at(p.attention.kv, page, head_kv, position % kPage);
    GPU_UNROLL for (int32_t step = 0; step < kValueSteps; ++step) {
      const int32_t d = 32 * step + here.lane;
      if (d < dim_v) {
        const uint16_t bits = half_of_float(value[step]);
        new_ones.values[i * kMaxDimV + d] = bits;
        if (is_stored) stored[d] = bits;
      }
    }
  }
}

/// What a block of rope_and_attention does before attention: queries to shared memory, and the positions that the pass
/// adds, which it returns. Waits for the launch before. Threads have not met since. @pre the block has a split
/// @param queries [kRows, kPitch], new_keys [kMaxNewPositions, kMaxDimK], new_values [kMaxNewPositions, kMaxDimV]
template <int kRows, int kMaxDimK, int kMaxDimV, bool kIsSplit, int kPitch>
GPU_FN NewPositions<kMaxDimK, kMaxDimV> rope_tile(SharedPtr<float> queries, SharedPtr<uint16_t> new_keys,
                                                  SharedPtr<uint16_t> new_values, DevicePtr<const float> q,
                                                  DevicePtr<const float> k, DevicePtr<const float> v,
                                                  DevicePtr<const float> turns, DevicePtr<uint16_t> pages,
                                                  DevicePtr<const int32_t> page_table,
                                                  GPU_BLOCK_REF(AttentionTile) tile, TileSplits splits,
                                                  GPU_PARAMS_REF(RopeAttentionParams) p, Here here) {
  const int32_t kWarpRows = TileShape<kRows, kMaxDimV>::kWarpRows;
  const int32_t n_heads = tile.n_heads, n_rows = tile.n_tokens * n_heads, dim_k = p.attention.kv.head_dim_k;
  // Angles are nobody's result: those of the rows of this warp are asked for before the queries are there.
  HeadTurns<kMaxDimK> row_turns[kWarpRows];
  GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
    const int32_t row = here.warp + i * kAttentionWarps;
    if (row < n_rows) load_turns(row_turns[i], turns, tile.first_position + row / n_heads, p.n_pairs, here.lane);
  }
  prefetch_split(pages, page_table, p.attention.kv, splits, here);
  wait_for_previous();
  NewPositions<kMaxDimK, kMaxDimV> new_ones = {new_keys, new_values, 0};
  const int32_t n_group = p.attention.n_head / p.attention.kv.n_head_kv;
  const int64_t first_row = int64_t(tile.first_token) * p.attention.n_head + here.block_y * n_group + tile.first_head;
  HeadPairs<kMaxDimK> row_pairs[kWarpRows];
  GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
    const int32_t row = here.warp + i * kAttentionWarps;
    const int64_t at = first_row + row / n_heads * p.attention.n_head + row % n_heads;
    if (row < n_rows) load_pairs(row_pairs[i], q + at * dim_k, p, here.lane);
  }

  int32_t last_new = splits.last_position;
  new_ones.first = tile.first_position - tile.n_before;
  if (new_ones.first < splits.first_position) new_ones.first = splits.first_position;
  if (kIsSplit) {
    const int32_t start = splits.first * kKvSplit;
    if (new_ones.first < start) new_ones.first = start;
    if (last_new > start + kKvSplit - 1) last_new = start + kKvSplit - 1;
  }
  make_new_positions(new_ones, last_new, tile.first_head == 0 ? tile.first_position : last_new + 1,
                     tile.first_token - tile.first_position, k, v, turns, pages, page_table, p, here);

  GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
    const int32_t row = here.warp + i * kAttentionWarps;
    const int64_t at = first_row + row / n_heads * p.attention.n_head + row % n_heads;
    if (row < n_rows) keep_query(queries + row * kPitch, q + at * dim_k, row_pairs[i], row_turns[i], p, here.lane);
  }
  return new_ones;
}

/// attention, with queries, keys and values as products have left them. Grid and otherwise undescribed: as attention.
/// @param q, k, v as of rope_and_store_kv; they are left as they are
/// @param turns [n_positions, n_pairs, 2] cosine and sine times the rope's magnitude
/// @param pages read up to where the sequences of the pass began, and written from there on
template <int kRows, int kMaxDimK, int kMaxDimV, bool kIsSplit>
GPU_KERNEL(kAttentionThreads, kMaxDimK <= 128 ? 4 : 3)
rope_and_attention(GPU_RESULT(0, float, q), GPU_RESULT(1, float, k), GPU_RESULT(2, float, v), GPU_IN(3, float, turns),
                   GPU_IO(4, uint16_t, pages), GPU_IN(5, int32_t, page_tables), GPU_IN(6, AttentionTile, tiles),
                   GPU_IN(7, float, sinks), GPU_IO(8, float, y), GPU_IO(9, float, partial), GPU_IO(10, float, states),
                   GPU_PARAMS(11, RopeAttentionParams, p) GPU_GRID) {
  GPU_SHARED(float, queries, kRows* kMaxDimK);
  GPU_SHARED(float, scores, (TileShape<kRows, kMaxDimV>::kScores));
  GPU_SHARED(float, split_factors, 2 * kRows);
  GPU_SHARED(uint16_t, new_keys, kMaxNewPositions * kMaxDimK);
  GPU_SHARED(uint16_t, new_values, kMaxNewPositions * kMaxDimV);
  allow_next();
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(AttentionTile) tile = tiles[here.block_x];
  const TileSplits splits = tile_splits<kIsSplit>(tile, p.attention.n_window, here.block_z);
  if (splits.first > splits.last) return;  // the whole block, which has nothing to wait for
  const NewPositions<kMaxDimK, kMaxDimV> new_ones = rope_tile<kRows, kMaxDimK, kMaxDimV, kIsSplit, kMaxDimK>(
      queries, new_keys, new_values, q, k, v, turns, pages, page_tables + tile.page_table, tile, splits, p, here);
  block_barrier();
  attend_tile<kRows, kMaxDimK, kMaxDimV, kIsSplit>(
      TileMemory{queries, scores, split_factors}, TileResults{y, partial, states}, pages, page_tables + tile.page_table,
      sinks, new_ones, tile, splits, p.attention, here);
}

}  // namespace gpu
}  // namespace outpost
