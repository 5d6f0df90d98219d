// attention and rope_and_attention on f16 matrix units, for heads whose dimensions are multiples of 8.
#pragma once

#include "kernels/cuda/attend_mma.h"

namespace outpost {
namespace gpu {

/// Larger tiles read keys and values fewer times; but queries, and what a pass adds, have to fit into the 48 KiB of
/// shared memory that every block can have.
constexpr int32_t most_mma_rows(int32_t max_dim) { return max_dim <= 128 ? 32 : 16; }

/// Shared memory of attend_tile_mma, as `memory`.
#define OUTPOST_MMA_MEMORY(n_rows, max_dim_k)                        \
  GPU_SHARED(float, queries, n_rows* MmaPitch<max_dim_k>::kQueries); \
  GPU_SHARED(float, units, n_rows);                                  \
  GPU_SHARED(float, scores, n_rows* kScorePitch);                    \
  GPU_SHARED(float, split_factors, 2 * n_rows);                      \
  const MmaMemory memory = {queries, units, scores, split_factors}

/// As attention, with tiles of up to kRows rows.
template <int kRows, int kMaxDimK, int kMaxDimV, bool kIsSplit>
GPU_KERNEL(kAttentionThreads, kRows < 32 ? 4 : 3)
attention_mma(GPU_RESULT(0, float, q), GPU_RESULT(1, uint16_t, pages), GPU_IN(2, int32_t, page_tables),
              GPU_IN(3, AttentionTile, tiles), GPU_IN(4, float, sinks), GPU_IO(5, float, y), GPU_IO(6, float, partial),
              GPU_IO(7, float, states), GPU_PARAMS(8, AttentionKernelParams, p) GPU_GRID) {
  OUTPOST_MMA_MEMORY(kRows, kMaxDimK);
  allow_next();
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(AttentionTile) tile = tiles[here.block_x];
  const TileSplits splits = tile_splits<kIsSplit>(tile, p.n_window, here.block_z);
  if (splits.first > splits.last) return;  // the whole block, which has nothing to wait for
  if (kIsSplit) prefetch_split(pages, page_tables + tile.page_table, p.kv, splits, here);
  wait_for_previous();
  load_queries<MmaPitch<kMaxDimK>::kQueries>(queries, q, tile, p, here);
  block_barrier();
  split_queries<kRows, kMaxDimK>(memory, tile.n_tokens * tile.n_heads, p.kv.head_dim_k, here);
  block_barrier();
  attend_tile_mma<kRows, kMaxDimK, kMaxDimV, kIsSplit>(memory, TileResults{y, partial, states}, pages,
                                                       page_tables + tile.page_table, sinks, NoNewPositions(), tile,
                                                       splits, p, here);
}

/// As rope_and_attention, with tiles of up to kRows rows.
template <int kRows, int kMaxDim, bool kIsSplit>
GPU_KERNEL(kAttentionThreads, kRows < 32 ? 4 : 3)
rope_and_attention_mma(GPU_RESULT(0, float, q), GPU_RESULT(1, float, k), GPU_RESULT(2, float, v),
                       GPU_IN(3, float, turns), GPU_IO(4, uint16_t, pages), GPU_IN(5, int32_t, page_tables),
                       GPU_IN(6, AttentionTile, tiles), GPU_IN(7, float, sinks), GPU_IO(8, float, y),
                       GPU_IO(9, float, partial), GPU_IO(10, float, states),
                       GPU_PARAMS(11, RopeAttentionParams, p) GPU_GRID) {
  OUTPOST_MMA_MEMORY(kRows, kMaxDim);
  GPU_SHARED(uint16_t, new_keys, kMaxNewPositions * kMaxDim);
  GPU_SHARED(uint16_t, new_values, kMaxNewPositions * kMaxDim);
  allow_next();
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(AttentionTile) tile = tiles[here.block_x];
  const TileSplits splits = tile_splits<kIsSplit>(tile, p.attention.n_window, here.block_z);
  if (splits.first > splits.last) return;  // the whole block, which has nothing to wait for
  const NewPositions<kMaxDim, kMaxDim> new_ones =
      rope_tile<kRows, kMaxDim, kMaxDim, kIsSplit, MmaPitch<kMaxDim>::kQueries>(
          queries, new_keys, new_values, q, k, v, turns, pages, page_tables + tile.page_table, tile, splits, p, here);
  block_barrier();
  split_queries<kRows, kMaxDim>(memory, tile.n_tokens * tile.n_heads, p.attention.kv.head_dim_k, here);
  block_barrier();
  attend_tile_mma<kRows, kMaxDim, kMaxDim, kIsSplit>(memory, TileResults{y, partial, states}, pages,
                                                     page_tables + tile.page_table, sinks, new_ones, tile, splits,
                                                     p.attention, here);
}

#undef OUTPOST_MMA_MEMORY

}  // namespace gpu
}  // namespace outpost
