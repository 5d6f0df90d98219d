// Activations as signed bytes, the other side of a product with quantized weights: 32 neighbours share a scale.
#pragma once

#include "kernels/portable/reduce.h"

namespace outpost {
namespace gpu {

struct QuantizeParams {
  int32_t n_groups;  ///< of 32, in all rows together
};

OUTPOST_CONSTANT int kQuantizeThreads = 256;
/// Groups whose largest magnitude is below this count as zero: 127 / max would not be finite.
OUTPOST_CONSTANT float kSmallestActivation = 1e-30f;

/// What a warp makes of 32 values, one of each lane.
struct QuantizedGroup {
  uint32_t word;  ///< codes of this lane and the three that it shares a word with
  uint32_t sums;
  float scale;
};

/// code = round(127 x / max |x|), ties to even, four to a word; scale = max |x| / 127; sums are those of the first and
/// of the second 16 codes, as two int16 in a word. A group with an infinity or a NaN gets the scale NaN.
GPU_FN QuantizedGroup quantize_group(float value, int32_t lane) {
  const float max = warp_max(abs32(value));
  const bool is_finite = ballot(!(abs32(value) < infinity32())) == 0;
  const float inverse = is_finite && max >= kSmallestActivation ? 127.0f / max : 0.0f;
  const int32_t code = is_finite ? int32_t(round32(value * inverse)) : 0;
  QuantizedGroup group;
  group.word = (uint32_t(code) & 255u) << (8 * (lane % 4));
  group.word |= shuffle_xor(group.word, 1);
  group.word |= shuffle_xor(group.word, 2);
  int32_t sum = code;
  GPU_UNROLL for (int32_t distance = 8; distance > 0; distance /= 2) sum += shuffle_xor(sum, distance);
  const int32_t other_sum = shuffle_xor(sum, 16);
  group.sums = lane < 16 ? (uint32_t(sum) & 0xffffu) | uint32_t(other_sum) << 16
                         : (uint32_t(other_sum) & 0xffffu) | uint32_t(sum) << 16;
  group.scale = !is_finite ? float_of_bits(0x7fc00000u) : inverse > 0 ? max / 127.0f : 0.0f;
  return group;
}

/// Each lane writes what it has to of group number `at`.
GPU_FN void store_group(GPU_LOCAL const QuantizedGroup& group, int64_t at, int32_t lane, DevicePtr<uint32_t> codes,
                        DevicePtr<float> scales, DevicePtr<uint32_t> sums) {
  if (lane % 4 == 0) codes[at * 8 + lane / 4] = group.word;
  if (lane == 0) {
    scales[at] = group.scale;
    sums[at] = group.sums;
  }
}

/// Groups of 32 neighbours, each by quantize_group. Grid: n_groups / 8 blocks, rounded up; a warp does one group.
/// @param x [n_groups, 32], codes [n_groups, 8], scales [n_groups], sums [n_groups]
GPU_KERNEL(kQuantizeThreads)
quantize_activations(GPU_IN(0, float, x), GPU_IO(1, uint32_t, codes), GPU_IO(2, float, scales),
                     GPU_IO(3, uint32_t, sums), GPU_PARAMS(4, QuantizeParams, p) GPU_GRID) {
  const Here here = GPU_HERE;
  const int64_t group = int64_t(here.block_x) * (kQuantizeThreads / 32) + here.warp;
  if (group >= p.n_groups) return;  // the whole warp
  const QuantizedGroup quantized = quantize_group(x[group * 32 + here.lane], here.lane);
  store_group(quantized, group, here.lane, codes, scales, sums);
}

}  // namespace gpu
}  // namespace outpost
