// Flash attention (arXiv:2205.14135, arXiv:2307.08691) for many tokens at once, on f16 matrix units: 64 rows, each a
// query head of a token, share keys and values, a page of which is copied while the one before is computed with.
//
// Queries, times the scale of scores, and weights of the softmax are rounded to f16; sums and the softmax are f32. A
// row takes positions in pages from the first that any row of its tile sees. A page of which it sees nothing changes
// none of its bits, so they do not depend on what else is in its tile or how the text was cut into passes.
#pragma once

#include "kernels/cuda/async_copy.h"
#include "kernels/cuda/flash_scores.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kPrefillWarps = 4;
OUTPOST_CONSTANT int kPrefillThreads = 32 * kPrefillWarps;
OUTPOST_CONSTANT int kPrefillRows = 16 * kPrefillWarps;  ///< that append_tiles has to be given for the tiles

/// Shared memory, in f16: queries, and two stages of keys and values. Rows are 16 bytes further apart than they are
/// long, an odd number of 16 bytes, so that eight of them lie in different banks.
template <int kDim>
struct PrefillShape {
  static_assert(kDim % 16 == 0);
  enum {
    kPitch = kDim + 8,
    kTile = kPage * kPitch,
    kShared = kPrefillRows * kPitch + 4 * kTile,
  };
};

#ifdef __CUDACC__
/// f16 that the launch gives room for.
#define OUTPOST_DYNAMIC_SHARED(name, n)        \
  extern __shared__ uint4 dynamic_shared_16[]; \
  uint16_t* name = reinterpret_cast<uint16_t*>(dynamic_shared_16)
#else
#define OUTPOST_DYNAMIC_SHARED(name, n) GPU_SHARED(uint16_t, name, n)
#endif

/// Starts the copies of a page of keys and values, to `keys` and the tile behind; slots before `first` and after `last`
/// become zeros.
template <int kDim>
GPU_FN void bring_page(SharedPtr<uint16_t> keys, DevicePtr<const uint16_t> page_keys,
                       DevicePtr<const uint16_t> page_values, int32_t first, int32_t last, int32_t thread_id) {
  constexpr int32_t kPieces = kDim / 8;
  constexpr int32_t kPitch = PrefillShape<kDim>::kPitch, kTile = PrefillShape<kDim>::kTile;
  for (int32_t i = thread_id; i < kPage * kPieces; i += kPrefillThreads) {
    const int32_t slot = i / kPieces, d = 8 * (i % kPieces);
    const uint32_t n_bytes = slot >= first && slot <= last ? 16 : 0;
    copy_async16(keys + (slot * kPitch + d), page_keys + (slot * kDim + d), n_bytes);
    copy_async16(keys + (kTile + slot * kPitch + d), page_values + (slot * kDim + d), n_bytes);
  }
}

/// Values that are not finite become zeros, and their slots are marked: a weight of 0 must stand for nothing.
template <int kDim>
GPU_FN void clean_values(SharedPtr<uint16_t> values, SharedPtr<uint32_t> is_spoiled, int32_t thread_id) {
  if (thread_id >= kPage) return;
  uint32_t found = 0;
  const SharedPtr<uint16_t> row = values + thread_id * PrefillShape<kDim>::kPitch;
  for (int32_t d = 0; d < kDim; ++d) {
    if ((row[d] & 0x7c00u) == 0x7c00u) {
      row[d] = 0;
      found = 1;
    }
  }
  is_spoiled[thread_id] = found;
}

/// Attention of one tile of rows over all they see. Grid: (tiles, n_head_kv); 2 kShared bytes of shared memory. Both
/// dimensions of a head are kDim. Arrays are those of attention().
template <int kDim>
GPU_KERNEL(kPrefillThreads)
flash_prefill(GPU_IN(0, float, q), GPU_IN(1, uint16_t, pages), GPU_IN(2, int32_t, page_tables),
              GPU_IN(3, AttentionTile, tiles), GPU_IN(4, float, sinks), GPU_IO(5, float, y),
              GPU_PARAMS(6, AttentionKernelParams, p) GPU_GRID) {
  using Shape = PrefillShape<kDim>;
  constexpr int32_t kPitch = Shape::kPitch, kTile = Shape::kTile;
  constexpr int32_t kSteps = kDim / 16, kScoreBlocks = kPage / 8, kValueBlocks = kDim / 8;
  OUTPOST_DYNAMIC_SHARED(queries, Shape::kShared);
  GPU_SHARED(uint32_t, is_spoiled, kPage);
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(AttentionTile) tile = tiles[here.block_x];
  const int32_t head_kv = here.block_y, n_group = p.n_head / p.kv.n_head_kv;
  const int32_t n_rows = tile.n_tokens * tile.n_heads;
  const int32_t last_position = tile.first_position + tile.n_tokens - 1;
  const int32_t first_position = first_visible(tile.first_position, p.n_window);
  const int32_t all_see_from = first_visible(last_position, p.n_window);
  const SharedPtr<uint16_t> stages = queries + kPrefillRows * kPitch;

  int32_t start = first_position / kPage * kPage;
  {
    const int32_t page = page_tables[tile.page_table + start / kPage];
    bring_page<kDim>(stages, pages + key_at(p.kv, page, head_kv, 0), pages + value_at(p.kv, page, head_kv, 0),
                     first_position - start, last_position - start, here.thread_id);
    commit_copies();
  }
  for (int32_t i = here.thread_id; i < kPrefillRows * kDim / 4; i += kPrefillThreads) {
    const int32_t row = i / (kDim / 4), d = 4 * (i % (kDim / 4));
    const SharedPtr<uint16_t> to = queries + (row * kPitch + d);
    if (row < n_rows) {
      const int64_t token = tile.first_token + row / tile.n_heads;
      const int32_t head = head_kv * n_group + tile.first_head + row % tile.n_heads;
      const Float4 values = load_float4(q + ((token * p.n_head + head) * kDim + d));
      to[0] = half_of_float(values.x * p.scale);
      to[1] = half_of_float(values.y * p.scale);
      to[2] = half_of_float(values.z * p.scale);
      to[3] = half_of_float(values.w * p.scale);
    } else {
      GPU_UNROLL for (int32_t k = 0; k < 4; ++k) to[k] = 0;
    }
  }
  block_barrier();

  // Rows of this thread's sums: quad and quad + 8 of its warp's sixteen.
  const int32_t own_row = 16 * here.warp + here.lane / 4;
  const int32_t row_positions[2] = {tile.first_position + own_row / tile.n_heads,
                                    tile.first_position + (own_row + 8) / tile.n_heads};
  const SharedPtr<uint16_t> own_queries = queries + (16 * here.warp * kPitch + matrix_row<false>(here.lane, kPitch));
  constexpr bool kHoldsQueries = kDim <= 128;
  Words4 held_queries[kHoldsQueries ? kSteps : 1];
  if (kHoldsQueries) {
    GPU_UNROLL for (int32_t k = 0; k < kSteps; ++k) held_queries[kHoldsQueries ? k : 0] =
        load_matrices<false>(own_queries + 16 * k);
  }
  float totals[kValueBlocks][4];
  GPU_UNROLL for (int32_t j = 0; j < kValueBlocks; ++j) { GPU_UNROLL for (int32_t i = 0; i < 4; ++i) totals[j][i] = 0; }
  SoftmaxState states[2] = {{-infinity32(), 0}, {-infinity32(), 0}};  // a sum is that of this thread's columns

  for (int32_t stage = 0; start <= last_position; start += kPage, stage ^= 1) {
    const SharedPtr<uint16_t> keys = stages + stage * 2 * kTile, values = keys + kTile;
    const int32_t next = start + kPage;
    if (next <= last_position) {
      const int32_t page = page_tables[tile.page_table + next / kPage];
      bring_page<kDim>(stages + (stage ^ 1) * 2 * kTile, pages + key_at(p.kv, page, head_kv, 0),
                       pages + value_at(p.kv, page, head_kv, 0), 0, last_position - next, here.thread_id);
    }
    commit_copies();
    wait_for_copies<1>();
    block_barrier();
    // Whether some row does not see all of the page.
    const bool is_partial = start < all_see_from || start + kPage - 1 > tile.first_position;
    if (is_partial) {
      clean_values<kDim>(values, is_spoiled, here.thread_id);
      block_barrier();
    }

    float scores[kScoreBlocks][4];
    GPU_UNROLL for (int32_t j = 0; j < kScoreBlocks; ++j) {
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) scores[j][i] = 0;
    }
    const SharedPtr<uint16_t> own_keys = keys + matrix_row<true>(here.lane, kPitch);
    GPU_UNROLL for (int32_t k = 0; k < kSteps; ++k) {
      const Words4 a = kHoldsQueries ? held_queries[kHoldsQueries ? k : 0] : load_matrices<false>(own_queries + 16 * k);
      GPU_UNROLL for (int32_t j = 0; j < kScoreBlocks; j += 2) {
        const Words4 b = load_matrices<false>(own_keys + (8 * j * kPitch + 16 * k));
        mma_f16(scores[j], a, b.x, b.y);
        mma_f16(scores[j + 1], a, b.z, b.w);
      }
    }

    if (p.softcap > 0) cap_scores(scores, p.softcap);
    if (is_partial) mask_scores(scores, start, row_positions, p.n_window, is_spoiled, here.lane);
    float factors[2];
    GPU_UNROLL for (int32_t h = 0; h < 2; ++h) factors[h] =
        weigh_scores(scores, h, largest_score(scores, h, states[h].max), states[h]);
    if (ballot(factors[0] != 1.0f || factors[1] != 1.0f) != 0) {
      GPU_UNROLL for (int32_t j = 0; j < kValueBlocks; ++j) {
        GPU_UNROLL for (int32_t i = 0; i < 4; ++i) totals[j][i] *= factors[i / 2];
      }
    }

    const SharedPtr<uint16_t> own_values = values + matrix_row<false>(here.lane, kPitch);
    GPU_UNROLL for (int32_t k = 0; k < kPage / 16; ++k) {
      const Words4 a = {pack_halves(scores[2 * k][0], scores[2 * k][1]),
                        pack_halves(scores[2 * k][2], scores[2 * k][3]),
                        pack_halves(scores[2 * k + 1][0], scores[2 * k + 1][1]),
                        pack_halves(scores[2 * k + 1][2], scores[2 * k + 1][3])};
      GPU_UNROLL for (int32_t j = 0; j < kValueBlocks; j += 2) {
        const Words4 b = load_matrices<true>(own_values + (16 * k * kPitch + 8 * j));
        mma_f16(totals[j], a, b.x, b.y);
        mma_f16(totals[j + 1], a, b.z, b.w);
      }
    }
    block_barrier();
  }

  GPU_UNROLL for (int32_t h = 0; h < 2; ++h) {
    const SoftmaxState state = {states[h].max, sum_of_row(states[h].sum)};
    const int32_t row = own_row + 8 * h;
    if (row < n_rows) {
      const int64_t token = tile.first_token + row / tile.n_heads;
      const int32_t head = head_kv * n_group + tile.first_head + row % tile.n_heads;
      const float factor = final_factor(state, p.has_sinks != 0, p.has_sinks ? float(sinks[head]) : 0.0f);
      const DevicePtr<float> to = y + ((token * p.n_head + head) * kDim + 2 * (here.lane % 4));
      GPU_UNROLL for (int32_t j = 0; j < kValueBlocks; ++j) {
        to[8 * j] = totals[j][2 * h] * factor;
        to[8 * j + 1] = totals[j][2 * h + 1] * factor;
      }
    }
  }
}

}  // namespace gpu
}  // namespace outpost
