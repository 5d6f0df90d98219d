// What kernels of flash attention do with a warp's scores between their two products: kBlocks sums of 16 rows and 8
// slots, of which a lane holds two columns of two rows (mma.h). `start` is the position of the first of these slots.
#pragma once

#include "kernels/cuda/mma.h"
#include "kernels/portable/attention.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT float kLog2E = 1.44269504f;

/// Where this lane's row begins for load_matrices: of two matrices down (kIsAcross false) or across, then the other
/// two.
template <bool kIsAcross>
GPU_FN int32_t matrix_row(int32_t lane, int32_t pitch) {
  const int32_t first = lane / 8 % 2, second = lane / 16;
  return kIsAcross ? (8 * second + lane % 8) * pitch + 8 * first : (8 * first + lane % 8) * pitch + 8 * second;
}

template <int kBlocks>
GPU_FN void cap_scores(float (&scores)[kBlocks][4], float softcap) {
  GPU_UNROLL for (int32_t j = 0; j < kBlocks; ++j) {
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) scores[j][i] = softcap * tanh32(scores[j][i] / softcap);
  }
}

/// What a row does not see becomes -infinity; a slot whose value is spoiled makes NaN of those that see it.
/// @param row_positions of the lane's two rows. @param is_spoiled of the slots, from the first one on
template <int kBlocks>
GPU_FN void mask_scores(float (&scores)[kBlocks][4], int32_t start, const int32_t (&row_positions)[2], int32_t n_window,
                        SharedPtr<uint32_t> is_spoiled, int32_t lane) {
  GPU_UNROLL for (int32_t j = 0; j < kBlocks; ++j) {
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
      const int32_t slot = 8 * j + 2 * (lane % 4) + i % 2, position = start + slot;
      const int32_t row_position = row_positions[i / 2];
      if (position > row_position || position < first_visible(row_position, n_window))
        scores[j][i] = -infinity32();
      else if (is_spoiled[slot] != 0)
        scores[j][i] = float_of_bits(0x7fc00000u);
    }
  }
}

/// The largest score of the lane's row h, and `max`.
template <int kBlocks>
GPU_FN float largest_score(const float (&scores)[kBlocks][4], int32_t h, float max) {
  GPU_UNROLL for (int32_t j = 0; j < kBlocks; ++j) max = max32(max, max32(scores[j][2 * h], scores[j][2 * h + 1]));
  max = max32(max, shuffle_xor(max, 1));
  return max32(max, shuffle_xor(max, 2));
}

/// Makes weights of the scores of the lane's row h. @param max of all its scores so far
/// @param state of the row: its sum is that of this lane's columns
/// @return what earlier results of the row have to be multiplied with
template <int kBlocks>
GPU_FN float weigh_scores(float (&scores)[kBlocks][4], int32_t h, float max, SoftmaxState& state) {
  // Where nothing was seen, every score is -infinity, and its weight 0.
  const float base = max == -infinity32() ? 0.0f : max * kLog2E;
  const float factor = max == state.max ? 1.0f : fast_exp2(fma32(state.max, kLog2E, -base));
  float sum = 0;
  GPU_UNROLL for (int32_t j = 0; j < kBlocks; ++j) {
    GPU_UNROLL for (int32_t i = 2 * h; i < 2 * h + 2; ++i) {
      scores[j][i] = fast_exp2(fma32(scores[j][i], kLog2E, -base));
      sum += scores[j][i];
    }
  }
  state.sum = fma32(state.sum, factor, sum);
  state.max = max;
  return factor;
}

/// The sum over the four lanes that have columns of a row.
GPU_FN float sum_of_row(float sum) {
  sum += shuffle_xor(sum, 1);
  return sum + shuffle_xor(sum, 2);
}

}  // namespace gpu
}  // namespace outpost
