// Activations as signed bytes, the other side of a product with quantized weights: 32 neighbours share a scale, or 256
// where the weights' blocks have so many columns, as on the CPU.
#pragma once

#include "kernels/portable/reduce.h"

namespace outpost {
namespace gpu {

struct QuantizeParams {
  int32_t n_groups;  ///< of 32, in all rows together
  int32_t is_super;  ///< 256 neighbours share a scale; n_groups is a multiple of 8
};

OUTPOST_CONSTANT int kQuantizeThreads = 256;
/// Groups whose largest magnitude is below this count as zero: 127 / max would not be finite.
OUTPOST_CONSTANT float kSmallestActivation = 1e-30f;

GPU_FN void load_eight(GPU_LOCAL float (&values)[8], DevicePtr<const float> x) {
  GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
    const Float4 four = load_float4(x + 4 * i);
    values[4 * i] = four.x;
    values[4 * i + 1] = four.y;
    values[4 * i + 2] = four.z;
    values[4 * i + 3] = four.w;
  }
}

GPU_FN void store_eight(DevicePtr<float> x, GPU_LOCAL const float (&values)[8]) {
  store_float4(x, Float4{values[0], values[1], values[2], values[3]});
  store_float4(x + 4, Float4{values[4], values[5], values[6], values[7]});
}

/// A warp's 256 values, eight neighbours of each lane. code = round(127 x / max |x|), ties to even, four to a word;
/// scale = max |x| / 127, for every 32 codes, also where 256 share it. A group with an infinity or a NaN gets the scale
/// NaN.
/// @param at number of the lane's eight values among all; is_there: whether there are any (they are 0 if not)
/// @param sums of the first and of the second 16 of 32 codes, as two int16 in a word
/// @param pairs of 32 and the next 32 codes, alike; written if is_super
GPU_FN void quantize_eight(GPU_LOCAL const float (&x)[8], int64_t at, bool is_there, bool is_super, int32_t lane,
                           DevicePtr<uint32_t> codes, DevicePtr<float> scales, DevicePtr<uint32_t> sums,
                           DevicePtr<uint32_t> pairs) {
  float max = 0;
  bool is_finite = true;
  GPU_UNROLL for (int32_t i = 0; i < 8; ++i) {
    max = max32(max, abs32(x[i]));
    is_finite = is_finite && abs32(x[i]) < infinity32();
  }
  max = max32(max, shuffle_xor(max, 1));
  max = max32(max, shuffle_xor(max, 2));
  if (is_super) {
    GPU_UNROLL for (int32_t distance = 16; distance > 2; distance /= 2) max = max32(max, shuffle_xor(max, distance));
  }
  const uint32_t infinite = ballot(!is_finite);
  is_finite = (is_super ? infinite : (infinite >> (lane / 4 * 4)) & 15u) == 0;
  const float inverse = is_finite && max >= kSmallestActivation ? 127.0f / max : 0.0f;
  uint32_t words[2] = {0, 0};
  int32_t sum = 0;
  GPU_UNROLL for (int32_t i = 0; i < 8; ++i) {
    const int32_t code = is_finite ? int32_t(round32(x[i] * inverse)) : 0;
    words[i / 4] |= (uint32_t(code) & 255u) << (8 * (i % 4));
    sum += code;
  }
  const int32_t half_sum = sum + shuffle_xor(sum, 1), other_half = shuffle_xor(half_sum, 2);
  const int32_t group_sum = half_sum + other_half, other_group = shuffle_xor(group_sum, 4);
  if (!is_there) return;
  codes[2 * at] = words[0];
  codes[2 * at + 1] = words[1];
  if (lane % 4 == 0) {
    scales[at / 4] = !is_finite ? float_of_bits(0x7fc00000u) : inverse > 0 ? max / 127.0f : 0.0f;
    sums[at / 4] = (uint32_t(half_sum) & 0xffffu) | uint32_t(other_half) << 16;
  }
  if (is_super && lane % 8 == 0) pairs[at / 8] = (uint32_t(group_sum) & 0xffffu) | uint32_t(other_group) << 16;
}

/// Grid: n_groups / 64 blocks, rounded up; a warp does 256 neighbours by quantize_eight.
/// @param x [n_groups, 32], codes [n_groups, 8], scales [n_groups], sums [n_groups], pairs [n_groups / 2]
GPU_KERNEL(kQuantizeThreads)
quantize_activations(GPU_RESULT(0, float, x), GPU_IO(1, uint32_t, codes), GPU_IO(2, float, scales),
                     GPU_IO(3, uint32_t, sums), GPU_IO(4, uint32_t, pairs), GPU_PARAMS(5, QuantizeParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int64_t at = int64_t(here.block_x) * kQuantizeThreads + here.thread_id;
  if ((at - here.lane) * 8 >= int64_t(p.n_groups) * 32) return;  // the whole warp
  const bool is_there = at * 8 < int64_t(p.n_groups) * 32;
  float values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  if (is_there) load_eight(values, x + at * 8);
  quantize_eight(values, at, is_there, p.is_super != 0, here.lane, codes, scales, sums, pairs);
}

}  // namespace gpu
}  // namespace outpost
