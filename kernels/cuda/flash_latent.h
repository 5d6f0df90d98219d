// Flash attention of many tokens, as flash_prefill.h has it, for heads that are too long for that: those of latent
// attention (arXiv:2405.04434), whose keys have 576 numbers and whose values 512, and which all query heads share.
//
// 64 rows share keys and values, 32 positions at a time. What a row adds up is too much for the registers of one warp:
// of the eight warps two have the same sixteen rows, each half of the slots of a product with keys and half of the
// columns of one with values, and tell each other the largest score of a row and its weights. Values are copied while
// keys are multiplied by, and the next keys while values are.
#pragma once

#include "kernels/cuda/flash_prefill.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kLatentWarps = 8;
OUTPOST_CONSTANT int kLatentThreads = 32 * kLatentWarps;
OUTPOST_CONSTANT int kLatentPositions = 32;  ///< at a time: half a page

/// Shared memory, in f16: queries, keys, values, weights. Rows are apart as in PrefillShape.
template <int kDimK, int kDimV>
struct LatentShape {
  static_assert(kDimK % 16 == 0 && kDimV % 32 == 0);
  enum {
    kPitchK = kDimK + 8,
    kPitchV = kDimV + 8,
    kPitchW = kLatentPositions + 8,
    kKeys = kPrefillRows * kPitchK,
    kValues = kKeys + kLatentPositions * kPitchK,
    kWeights = kValues + kLatentPositions * kPitchV,
    kShared = kWeights + kPrefillRows * kPitchW,
  };
};

/// Starts the copies of rows of kDim; those before `first` and after `last` become zeros.
template <int kDim>
GPU_FN void bring_rows(SharedPtr<uint16_t> to, DevicePtr<const uint16_t> from, int32_t first, int32_t last,
                       int32_t thread_id) {
  constexpr int32_t kPieces = kDim / 8, kPitch = kDim + 8;
  for (int32_t i = thread_id; i < kLatentPositions * kPieces; i += kLatentThreads) {
    const int32_t slot = i / kPieces, d = 8 * (i % kPieces);
    copy_async16(to + (slot * kPitch + d), from + (slot * kDim + d), slot >= first && slot <= last ? 16 : 0);
  }
}

/// As clean_values, with eight lanes for a slot.
template <int kDim>
GPU_FN void clean_rows(SharedPtr<uint16_t> values, SharedPtr<uint32_t> is_spoiled, Here here) {
  constexpr int32_t kLanes = kLatentThreads / kLatentPositions;
  const int32_t slot = here.thread_id / kLanes;
  const SharedPtr<uint16_t> row = values + slot * (kDim + 8);
  bool found = false;
  for (int32_t d = here.thread_id % kLanes; d < kDim; d += kLanes) {
    if ((row[d] & 0x7c00u) == 0x7c00u) {
      row[d] = 0;
      found = true;
    }
  }
  const uint32_t of_slot = ballot(found) >> (here.lane / kLanes * kLanes) & ((1u << kLanes) - 1);
  if (here.lane % kLanes == 0) is_spoiled[slot] = of_slot;
}

/// Attention of one tile of rows over all they see. Grid: (tiles, n_head_kv); 2 kShared bytes of shared memory. Arrays
/// are those of attention().
template <int kDimK, int kDimV>
GPU_KERNEL(kLatentThreads)
flash_latent(GPU_IN(0, float, q), GPU_IN(1, uint16_t, pages), GPU_IN(2, int32_t, page_tables),
             GPU_IN(3, AttentionTile, tiles), GPU_IN(4, float, sinks), GPU_IO(5, float, y),
             GPU_PARAMS(6, AttentionKernelParams, p) GPU_GRID) {
  using Shape = LatentShape<kDimK, kDimV>;
  constexpr int32_t kPitchK = Shape::kPitchK, kPitchV = Shape::kPitchV, kPitchW = Shape::kPitchW;
  constexpr int32_t kSlots = kLatentPositions / 2;  // of a warp
  constexpr int32_t kScoreBlocks = kSlots / 8, kValueBlocks = kDimV / 2 / 8;
  OUTPOST_DYNAMIC_SHARED(queries, Shape::kShared);
  GPU_SHARED(uint32_t, is_spoiled, kLatentPositions);
  GPU_SHARED(float, of_halves, 2 * kPrefillRows);  // what the warps of a row tell each other
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(AttentionTile) tile = tiles[here.block_x];
  const int32_t head_kv = here.block_y, n_group = p.n_head / p.kv.n_head_kv;
  const int32_t n_rows = tile.n_tokens * tile.n_heads;
  const int32_t last_position = tile.first_position + tile.n_tokens - 1;
  const int32_t all_see_from = first_visible(last_position, p.n_window);
  const SharedPtr<uint16_t> keys = queries + Shape::kKeys, values = queries + Shape::kValues;
  const SharedPtr<uint16_t> weights = queries + Shape::kWeights;

  const int32_t first_position = first_visible(tile.first_position, p.n_window);
  int32_t start = first_position / kLatentPositions * kLatentPositions;
  const auto bring_keys = [&](int32_t from) {
    const int32_t page = page_tables[tile.page_table + from / kPage];
    bring_rows<kDimK>(keys, pages + (key_at(p.kv, page, head_kv, from % kPage)), first_position - from,
                      last_position - from, here.thread_id);
    commit_copies();
  };
  bring_keys(start);
  for (int32_t i = here.thread_id; i < kPrefillRows * kDimK / 4; i += kLatentThreads) {
    const int32_t row = i / (kDimK / 4), d = 4 * (i % (kDimK / 4));
    Float4 x = {0, 0, 0, 0};
    if (row < n_rows) {
      const int64_t token = tile.first_token + row / tile.n_heads;
      const int32_t head = head_kv * n_group + tile.first_head + row % tile.n_heads;
      x = load_float4(q + ((token * p.n_head + head) * kDimK + d));
    }
    const SharedPtr<uint16_t> to = queries + (row * kPitchK + d);
    to[0] = half_of_float(x.x * p.scale);
    to[1] = half_of_float(x.y * p.scale);
    to[2] = half_of_float(x.z * p.scale);
    to[3] = half_of_float(x.w * p.scale);
  }

  // Rows of this thread's sums: quad and quad + 8 of its warp's sixteen.
  const int32_t warp_row = here.warp / 2 * 16, half = here.warp % 2;
  const int32_t own_row = warp_row + here.lane / 4;
  const int32_t row_positions[2] = {tile.first_position + own_row / tile.n_heads,
                                    tile.first_position + (own_row + 8) / tile.n_heads};
  float totals[kValueBlocks][4];
  GPU_UNROLL for (int32_t j = 0; j < kValueBlocks; ++j) { GPU_UNROLL for (int32_t i = 0; i < 4; ++i) totals[j][i] = 0; }
  SoftmaxState states[2] = {{-infinity32(), 0}, {-infinity32(), 0}};  // a sum is that of this thread's columns

  for (; start <= last_position; start += kLatentPositions) {
    wait_for_copies<0>();
    block_barrier();  // keys are there, and nobody reads the values of before
    {
      const int32_t page = page_tables[tile.page_table + start / kPage];
      bring_rows<kDimV>(values, pages + (value_at(p.kv, page, head_kv, start % kPage)), first_position - start,
                        last_position - start, here.thread_id);
      commit_copies();
    }
    float scores[kScoreBlocks][4];
    GPU_UNROLL for (int32_t j = 0; j < kScoreBlocks; ++j) {
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) scores[j][i] = 0;
    }
    const SharedPtr<uint16_t> own_queries = queries + (warp_row * kPitchK + matrix_row<false>(here.lane, kPitchK));
    const SharedPtr<uint16_t> own_keys = keys + (half * kSlots * kPitchK + matrix_row<true>(here.lane, kPitchK));
    for (int32_t k = 0; k < kDimK; k += 16) {
      const Words4 a = load_matrices<false>(own_queries + k);
      GPU_UNROLL for (int32_t j = 0; j < kScoreBlocks; j += 2) {
        const Words4 b = load_matrices<false>(own_keys + (8 * j * kPitchK + k));
        mma_f16(scores[j], a, b.x, b.y);
        mma_f16(scores[j + 1], a, b.z, b.w);
      }
    }
    if (p.softcap > 0) cap_scores(scores, p.softcap);
    // Where some row does not see all slots, what is no number must not reach it by a weight of 0.
    if (start < all_see_from || start + kLatentPositions - 1 > tile.first_position) {
      wait_for_copies<0>();
      block_barrier();
      clean_rows<kDimV>(values, is_spoiled, here);
      block_barrier();
      mask_scores(scores, start + half * kSlots, row_positions, p.n_window, is_spoiled + half * kSlots, here.lane);
    }

    GPU_UNROLL for (int32_t h = 0; h < 2; ++h) {
      const float own = largest_score(scores, h, states[h].max);
      if (here.lane % 4 == 0) of_halves[half * kPrefillRows + own_row + 8 * h] = own;
    }
    block_barrier();  // nobody reads the keys any more
    const int32_t next = start + kLatentPositions;
    if (next <= last_position) bring_keys(next);
    float factors[2];
    GPU_UNROLL for (int32_t h = 0; h < 2; ++h) {
      const int32_t row = own_row + 8 * h;
      const float max = max32(of_halves[row], of_halves[kPrefillRows + row]);
      factors[h] = weigh_scores(scores, h, max, states[h]);
      GPU_UNROLL for (int32_t j = 0; j < kScoreBlocks; ++j) {
        const SharedPtr<uint16_t> to = weights + (row * kPitchW + half * kSlots + 8 * j + 2 * (here.lane % 4));
        to[0] = half_of_float(scores[j][2 * h]);
        to[1] = half_of_float(scores[j][2 * h + 1]);
      }
    }
    if (ballot(factors[0] != 1.0f || factors[1] != 1.0f) != 0) {
      GPU_UNROLL for (int32_t j = 0; j < kValueBlocks; ++j) {
        GPU_UNROLL for (int32_t i = 0; i < 4; ++i) totals[j][i] *= factors[i / 2];
      }
    }
    if (next <= last_position)
      wait_for_copies<1>();
    else
      wait_for_copies<0>();
    block_barrier();  // values and weights are there

    const SharedPtr<uint16_t> own_weights = weights + (warp_row * kPitchW + matrix_row<false>(here.lane, kPitchW));
    const SharedPtr<uint16_t> own_values = values + (half * (kDimV / 2) + matrix_row<false>(here.lane, kPitchV));
    GPU_UNROLL for (int32_t k = 0; k < kLatentPositions; k += 16) {
      const Words4 a = load_matrices<false>(own_weights + k);
      GPU_UNROLL for (int32_t j = 0; j < kValueBlocks; j += 2) {
        const Words4 b = load_matrices<true>(own_values + (k * kPitchV + 8 * j));
        mma_f16(totals[j], a, b.x, b.y);
        mma_f16(totals[j + 1], a, b.z, b.w);
      }
    }
  }

  GPU_UNROLL for (int32_t h = 0; h < 2; ++h) {
    const float own = sum_of_row(states[h].sum);
    if (here.lane % 4 == 0) of_halves[half * kPrefillRows + own_row + 8 * h] = own;
  }
  block_barrier();
  GPU_UNROLL for (int32_t h = 0; h < 2; ++h) {
    const int32_t row = own_row + 8 * h;
    if (row < n_rows) {
      const SoftmaxState state = {states[h].max, of_halves[row] + of_halves[kPrefillRows + row]};
      const int64_t token = tile.first_token + row / tile.n_heads;
      const int32_t head = head_kv * n_group + tile.first_head + row % tile.n_heads;
      const float factor = final_factor(state, p.has_sinks != 0, p.has_sinks ? float(sinks[head]) : 0.0f);
      const DevicePtr<float> to = y + ((token * p.n_head + head) * kDimV + half * (kDimV / 2) + 2 * (here.lane % 4));
      GPU_UNROLL for (int32_t j = 0; j < kValueBlocks; ++j) {
        to[8 * j] = totals[j][2 * h] * factor;
        to[8 * j + 1] = totals[j][2 * h + 1] * factor;
      }
    }
  }
}

}  // namespace gpu
}  // namespace outpost
