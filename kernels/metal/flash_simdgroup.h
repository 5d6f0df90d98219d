// Flash attention (arXiv:2205.14135, arXiv:2307.08691) for many tokens at once, on Metal's matrix units: 32 rows, each
// a query head of a token, share keys and values. A warp has eight rows.
//
// A chunk is 64 positions (32 where heads are longer than 128): its keys lie in threadgroup memory, then its values in
// the same place. Scores and the sums of a chunk's values go through threadgroup memory too, as nobody may look into
// a matrix; what a chunk's sums are added to is in registers of known lanes. So a row is scaled by a product of its
// own, and what is not finite in one row can't get into another.
//
// Queries, times the scale of scores, and weights of the softmax are rounded to f16; sums and the softmax are f32. A
// row takes positions in chunks that begin at multiples of their size. A chunk of which it sees nothing changes none of
// its bits, so they do not depend on what else is in its tile or how the text was cut into passes.
#pragma once

#include "kernels/metal/simd_matrix.h"
#include "kernels/portable/attention.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kSimdFlashWarps = 4;
OUTPOST_CONSTANT int kSimdFlashThreads = 32 * kSimdFlashWarps;
OUTPOST_CONSTANT int kSimdFlashRows = 8 * kSimdFlashWarps;  ///< that append_tiles has to be given for the tiles

template <int kDim>
struct SimdFlashShape {
  static_assert(kDim % 16 == 0, "sixteen dimensions are four to a lane");
  enum {
    kChunk = kDim <= 128 ? 64 : 32,  ///< positions; divides a page
    kChunkEights = kChunk / 8,
    kDimEights = kDim / 8,
    kWords = kChunk * kDim / 2,  ///< of keys or values, or of the queries
    /// Floats from a row of scores to the next: an odd number of eights, so that rows lie in different banks.
    kPitch = kChunk + 8,
    kScores = kSimdFlashRows * kPitch,
    kWeightWords = kSimdFlashRows * kChunk / 2,
    kSharedBytes = 4 * (kWords + kScores + kWeightWords + kChunk),
  };
  static_assert(kSimdFlashRows <= kChunk, "queries have room where keys will be");
  static_assert(kSharedBytes <= 32 * 1024, "what a device has");
};

/// Slots of a page from `slot` on to `tile` [position, dimension]; what is not in `first` to `last` becomes zeros.
/// @param from of slot 0
template <int kDim>
GPU_FN void bring_chunk(SharedPtr<uint32_t> tile, DevicePtr<const uint16_t> from, int32_t slot, int32_t first,
                        int32_t last, int32_t thread_id) {
  using Shape = SimdFlashShape<kDim>;
  for (int32_t i = thread_id; i < Shape::kWords / 4; i += kSimdFlashThreads) {
    const TilePiece piece = tile_piece(i, Shape::kDimEights);
    const int32_t at = slot + piece.row;
    Words4 words = {0, 0, 0, 0};
    if (at >= first && at <= last) words = load_words4(as_words(from + (at * kDim + 8 * piece.eight)));
    store_words4(tile + 4 * i, words);
  }
}

/// Values that are not finite become zeros, and their positions are marked: a weight of 0 must stand for nothing.
template <int kDim>
GPU_FN void clean_chunk(SharedPtr<uint32_t> tile, SharedPtr<uint32_t> is_spoiled, int32_t thread_id) {
  if (thread_id >= SimdFlashShape<kDim>::kChunk) return;
  uint32_t found = 0;
  for (int32_t eight = 0; eight < kDim / 8; ++eight) {
    for (int32_t i = 0; i < 4; ++i) {
      const int32_t at = tile_word(thread_id, eight, kDim / 8) + i;
      const uint32_t word = tile[at];
      const uint32_t kept =
          ((word & 0x7c00u) == 0x7c00u ? 0u : 0xffffu) | ((word & 0x7c000000u) == 0x7c000000u ? 0u : 0xffff0000u);
      if (kept != 0xffffffffu) {
        tile[at] = word & kept;
        found = 1;
      }
    }
  }
  is_spoiled[thread_id] = found;
}

/// The row that a lane works on with three neighbours.
struct SimdFlashRow {
  int32_t position;
  SoftmaxState state;  ///< the sum is that of this lane's columns
};

/// Scores of a warp's rows, of which a lane has four in every sixteen columns, become weights in f16.
/// @param scores [8, kPitch], weights [8, kChunk] as a tile; start: the position of column 0
/// @param is_partial whether some row of the tile does not see all of the chunk
/// @return what the sums so far are to be multiplied with
template <int kDim>
GPU_FN float weigh_chunk(GPU_LOCAL SimdFlashRow& row, SharedPtr<float> scores, SharedPtr<uint32_t> weights,
                         SharedPtr<uint32_t> is_spoiled, int32_t start, bool is_partial,
                         GPU_PARAMS_REF(AttentionKernelParams) p, int32_t lane) {
  using Shape = SimdFlashShape<kDim>;
  enum { kOwn = Shape::kChunk / 4 };
  const int32_t r = lane / 4, first_column = lane % 4 * 4;
  float own[kOwn];
  GPU_UNROLL for (int32_t i = 0; i < kOwn; i += 4) {
    const Float4 four = load_float4(scores + r * Shape::kPitch + 4 * i + first_column);
    own[i] = four.x;
    own[i + 1] = four.y;
    own[i + 2] = four.z;
    own[i + 3] = four.w;
  }
  float max = row.state.max;
  GPU_UNROLL for (int32_t i = 0; i < kOwn; ++i) {
    if (p.softcap > 0) own[i] = p.softcap * tanh32(own[i] / p.softcap);
    if (is_partial) {
      const int32_t column = i / 4 * 16 + first_column + i % 4, position = start + column;
      if (position > row.position || position < first_visible(row.position, p.n_window))
        own[i] = -infinity32();
      else if (is_spoiled[column] != 0)
        own[i] = float_of_bits(0x7fc00000u);
    }
    max = max32(max, own[i]);
  }
  max = max32(max, shuffle_xor(max, 1));
  max = max32(max, shuffle_xor(max, 2));
  // Where nothing was seen, every score is -infinity, and its weight 0.
  const float base = max == -infinity32() ? 0.0f : max;
  const float factor = max == row.state.max ? 1.0f : exp32(row.state.max - base);
  float sum = 0;
  GPU_UNROLL for (int32_t i = 0; i < kOwn; ++i) {
    own[i] = exp32(own[i] - base);
    sum += own[i];
  }
  row.state.sum = fma32(row.state.sum, factor, sum);
  row.state.max = max;
  GPU_UNROLL for (int32_t i = 0; i < kOwn; i += 4) {
    const int32_t column = 4 * i + first_column;
    const SharedPtr<uint32_t> to = weights + (tile_word(r, column / 8, Shape::kChunkEights) + column % 8 / 2);
    to[0] = half_words(own[i], own[i + 1]);
    to[1] = half_words(own[i + 2], own[i + 3]);
  }
  return factor;
}

/// totals = totals * factor + weights * values, of which a lane has four dimensions in every sixteen of its row.
/// @param values [kChunk, kDim] as a tile; sums [8, kPitch] of this warp
template <int kDim>
GPU_FN void add_chunk(GPU_LOCAL float (&totals)[kDim / 16][4], float factor, bool sees, SharedPtr<uint32_t> weights,
                      SharedPtr<uint32_t> values, SharedPtr<float> sums, int32_t lane) {
  using Shape = SimdFlashShape<kDim>;
  GPU_UNROLL for (int32_t begin = 0; begin < Shape::kDimEights; begin += Shape::kChunkEights) {
    SimdFloat8x8 parts[Shape::kChunkEights];
    GPU_UNROLL for (int32_t j = 0; j < Shape::kChunkEights; ++j) simd_clear(parts[j]);
    GPU_UNROLL for (int32_t k = 0; k < Shape::kChunkEights; ++k) {
      SimdHalf8x8 of_rows;
      load_of_tile<false>(of_rows, weights, 0, k, Shape::kChunkEights);
      GPU_UNROLL for (int32_t j = 0; j < Shape::kChunkEights; ++j) {
        if (begin + j < Shape::kDimEights) {
          SimdHalf8x8 of_values;
          load_of_tile<false>(of_values, values, k, begin + j, Shape::kDimEights);
          simd_multiply_add(parts[j], of_rows, of_values);
        }
      }
    }
    GPU_UNROLL for (int32_t j = 0; j < Shape::kChunkEights; ++j) {
      if (begin + j < Shape::kDimEights) simd_store(parts[j], sums + 8 * j, Shape::kPitch);
    }
    warp_barrier();
    GPU_UNROLL for (int32_t j = 0; j < Shape::kChunkEights; j += 2) {
      if (begin + j < Shape::kDimEights && sees) {
        const Float4 four = load_float4(sums + lane / 4 * Shape::kPitch + 8 * j + lane % 4 * 4);
        GPU_LOCAL float* own = totals[(begin + j) / 2];
        own[0] = fma32(own[0], factor, four.x);
        own[1] = fma32(own[1], factor, four.y);
        own[2] = fma32(own[2], factor, four.z);
        own[3] = fma32(own[3], factor, four.w);
      }
    }
    warp_barrier();  // nobody reads the sums any more
  }
}

/// Attention of one tile of rows over all they see. Grid: (tiles, n_head_kv). Both dimensions of a head are kDim.
/// @param q [n_tokens, n_head, kDim], y alike; pages as KvLayout says, whose strides and offsets are multiples of eight
/// @param tiles of at most kSimdFlashRows rows; sinks [n_head], or unused
template <int kDim>
GPU_KERNEL(kSimdFlashThreads)
flash_simdgroup(GPU_IN(0, float, q), GPU_IN(1, uint16_t, pages), GPU_IN(2, int32_t, page_tables),
                GPU_IN(3, AttentionTile, tiles), GPU_IN(4, float, sinks), GPU_IO(5, float, y),
                GPU_PARAMS(6, AttentionKernelParams, p) GPU_GRID) {
  using Shape = SimdFlashShape<kDim>;
  GPU_SHARED(uint32_t, chunk, Shape::kWords);  // the queries, then keys and values in turn
  GPU_SHARED(float, all_scores, Shape::kScores);
  GPU_SHARED(uint32_t, all_weights, Shape::kWeightWords);
  GPU_SHARED(uint32_t, is_spoiled, Shape::kChunk);
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(AttentionTile) tile = tiles[here.block_x];
  const int32_t head_kv = here.block_y, n_group = p.n_head / p.kv.n_head_kv;
  const int32_t n_rows = tile.n_tokens * tile.n_heads;
  const int32_t last_position = tile.first_position + tile.n_tokens - 1;
  const int32_t first_position = first_visible(tile.first_position, p.n_window);
  const int32_t all_see_from = first_visible(last_position, p.n_window);
  const SharedPtr<float> scores = all_scores + 8 * here.warp * Shape::kPitch;
  const SharedPtr<uint32_t> weights = all_weights + 8 * here.warp * Shape::kChunk / 2;
  const bool is_needed = 8 * here.warp < n_rows;  // the whole warp

  for (int32_t i = here.thread_id; i < kSimdFlashRows * kDim / 4; i += kSimdFlashThreads) {
    const int32_t row = i / (kDim / 4), d = 4 * (i % (kDim / 4));
    Float4 values = {0, 0, 0, 0};
    if (row < n_rows) {
      const int64_t token = tile.first_token + row / tile.n_heads;
      const int32_t head = head_kv * n_group + tile.first_head + row % tile.n_heads;
      values = load_float4(q + ((token * p.n_head + head) * kDim + d));
    }
    const SharedPtr<uint32_t> to = chunk + (tile_word(row, d / 8, Shape::kDimEights) + d % 8 / 2);
    to[0] = half_words(values.x * p.scale, values.y * p.scale);
    to[1] = half_words(values.z * p.scale, values.w * p.scale);
  }
  block_barrier();
  SimdHalf8x8 queries[Shape::kDimEights];
  GPU_UNROLL for (int32_t k = 0; k < Shape::kDimEights; ++k)
      load_of_tile<false>(queries[k], chunk, here.warp, k, Shape::kDimEights);

  const int32_t own_row = 8 * here.warp + here.lane / 4;
  SimdFlashRow row = {tile.first_position + own_row / tile.n_heads, {-infinity32(), 0}};
  float totals[kDim / 16][4];
  GPU_UNROLL for (int32_t j = 0; j < kDim / 16; ++j) { GPU_UNROLL for (int32_t i = 0; i < 4; ++i) totals[j][i] = 0; }

  for (int32_t start = first_position / Shape::kChunk * Shape::kChunk; start <= last_position; start += Shape::kChunk) {
    const int32_t page = page_tables[tile.page_table + start / kPage], slot = start % kPage;
    const int32_t page_start = start - slot;
    const int32_t first = first_position - page_start, last = last_position - page_start;
    block_barrier();  // nobody reads the queries, or the values before, any more
    bring_chunk<kDim>(chunk, pages + key_at(p.kv, page, head_kv, 0), slot, first, last, here.thread_id);
    block_barrier();
    if (is_needed) {
      SimdFloat8x8 products[Shape::kChunkEights];
      GPU_UNROLL for (int32_t j = 0; j < Shape::kChunkEights; ++j) simd_clear(products[j]);
      GPU_UNROLL for (int32_t k = 0; k < Shape::kDimEights; ++k) {
        GPU_UNROLL for (int32_t j = 0; j < Shape::kChunkEights; ++j) {
          SimdHalf8x8 of_keys;
          load_of_tile<true>(of_keys, chunk, j, k, Shape::kDimEights);
          simd_multiply_add(products[j], queries[k], of_keys);
        }
      }
      GPU_UNROLL for (int32_t j = 0; j < Shape::kChunkEights; ++j)
          simd_store(products[j], scores + 8 * j, Shape::kPitch);
    }
    block_barrier();
    bring_chunk<kDim>(chunk, pages + value_at(p.kv, page, head_kv, 0), slot, first, last, here.thread_id);
    block_barrier();
    // Whether some row does not see all of the chunk.
    const bool is_partial = start < all_see_from || start + Shape::kChunk - 1 > tile.first_position;
    if (is_partial) {
      clean_chunk<kDim>(chunk, is_spoiled, here.thread_id);
      block_barrier();
    }
    if (is_needed) {
      const bool sees = start <= row.position && start + Shape::kChunk > first_visible(row.position, p.n_window);
      const float factor = weigh_chunk<kDim>(row, scores, weights, is_spoiled, start, is_partial, p, here.lane);
      warp_barrier();
      add_chunk<kDim>(totals, factor, sees, weights, chunk, scores, here.lane);
    }
  }

  if (!is_needed) return;
  row.state.sum += shuffle_xor(row.state.sum, 1);
  row.state.sum += shuffle_xor(row.state.sum, 2);
  if (own_row < n_rows) {
    const int64_t token = tile.first_token + own_row / tile.n_heads;
    const int32_t head = head_kv * n_group + tile.first_head + own_row % tile.n_heads;
    const float factor = final_factor(row.state, p.has_sinks != 0, p.has_sinks ? float(sinks[head]) : 0.0f);
    GPU_UNROLL for (int32_t j = 0; j < kDim / 16; ++j) {
      const Float4 four = {totals[j][0] * factor, totals[j][1] * factor, totals[j][2] * factor, totals[j][3] * factor};
      store_float4(y + ((token * p.n_head + head) * kDim + 16 * j + here.lane % 4 * 4), four);
    }
  }
}

}  // namespace gpu
}  // namespace outpost
