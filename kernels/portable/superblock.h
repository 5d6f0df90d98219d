// Blocks of 256 columns for the kernels that read most of a model's bytes: what a lane, or a lane of the matrix units,
// makes of its part. Q4_K, Q5_K and Q6_K (wide) have integer scales, so that everything inside a block adds up exactly
// in 32 bits and is rounded once: d * sum of scale * products - dmin * sum of min * inputs. Q8_0 (wide) has a float
// scale for each 32 columns, and is rounded once for each.
//
// A "channel" is a float sum of its own: K-quants with mins have two (products, mins), Q6_K one, Q8_0 four, of 64
// columns of a block each. Block b of a row goes to slot b % 8 of every channel; slots add up as lanes at distance 16,
// 8 and 4 do, then channels. Every kernel keeps that order, so that all give the same bits.
#pragma once

#include "kernels/portable/decode_group.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kSuperSlots = 8;

/// Activations of superblock_codes (activations.h).
struct SuperInput {
  DevicePtr<const uint32_t> codes;  ///< [n_tokens, n_super, 64]
  DevicePtr<const float> scales;    ///< [n_tokens, n_super, 8]: of 32 columns; equal in a block but for Q8_0
  DevicePtr<const uint32_t> sums;   ///< [n_tokens, n_super, 8]: of 16 and 16 codes
  DevicePtr<const uint32_t> pairs;  ///< [n_tokens, n_super, 4]: of 32 and 32 codes
};

/// kChannels: see above. A quarter of a block holds the codes of two groups of 32 columns side by side.
template <typename Block>
struct SuperTraits;

template <>
struct SuperTraits<BlockQ4_K> {
  enum { kChannels = 2, kIsInteger = 1 };
};
template <>
struct SuperTraits<BlockQ5_K> {
  enum { kChannels = 2, kIsInteger = 1 };
};
template <>
struct SuperTraits<WideQ6_K> {
  enum { kChannels = 1, kIsInteger = 1 };
};
template <>
struct SuperTraits<WideQ8_0> {
  enum { kChannels = 4, kIsInteger = 0 };
};

/// The groups of a quarter: WideQ6_K has those together that share bytes.
template <typename Block>
GPU_FN int32_t first_group(int32_t quarter) {
  return SuperTraits<Block>::kChannels == 1 ? 4 * (quarter / 2) + quarter % 2 : 2 * quarter;
}
template <typename Block>
GPU_FN int32_t second_group(int32_t quarter) {
  return first_group<Block>(quarter) + (SuperTraits<Block>::kChannels == 1 ? 2 : 1);
}

/// What channels add up to.
template <int kChannels>
GPU_FN float sum_of_channels(GPU_LOCAL const float* channels) {
  if (kChannels == 1) return channels[0];
  if (kChannels == 2) return channels[0] + channels[1];
  return (channels[0] + channels[2 % kChannels]) + (channels[1] + channels[3 % kChannels]);
}

// ---- scales and mins of Q4_K and Q5_K, from the 16 bytes that their blocks begin with

/// Bytes of groups 0 to 3 and 4 to 7.
struct ScaleBytes {
  uint32_t low, high;
};

GPU_FN ScaleBytes k4_scales(Words4 head) {
  return {head.y & 0x3f3f3f3fu, (head.w & 0x0f0f0f0fu) | ((head.y >> 2) & 0x30303030u)};
}
GPU_FN ScaleBytes k4_mins(Words4 head) {
  return {head.z & 0x3f3f3f3fu, ((head.w >> 4) & 0x0f0f0f0fu) | ((head.z >> 2) & 0x30303030u)};
}
/// The bytes of groups 2 * quarter and 2 * quarter + 1, in the low 16 bits.
GPU_FN uint32_t of_quarter(ScaleBytes bytes, int32_t quarter) {
  return (quarter < 2 ? bytes.low : bytes.high) >> (16 * (quarter & 1));
}
GPU_FN int32_t byte_of(uint32_t word, int32_t i) { return int32_t((word >> (8 * i)) & 255u); }
GPU_FN int32_t signed_byte_of(uint32_t word, int32_t i) { return int32_t(int8_t(word >> (8 * i))); }

// ---- a lane's quarter of a block: 64 columns. Loading and computing are apart, so that a kernel can ask for the next
// ---- before it uses this one.

template <typename Block>
struct Quarter;

template <>
struct Quarter<BlockQ4_K> {
  Words4 head, codes[2];
};
template <>
struct Quarter<BlockQ5_K> {
  Words4 head, codes[2], high[2];
};
template <>
struct Quarter<WideQ6_K> {
  Words4 scales, codes[2], high[2];
  uint32_t d;
};
template <>
struct Quarter<WideQ8_0> {
  Words4 codes[4];
  uint32_t d;  ///< two f16
};

GPU_FN void load_quarter(GPU_LOCAL Quarter<BlockQ4_K>& q, GPU_BLOCK_REF(BlockQ4_K) block, int32_t quarter) {
  q.head = load_bytes16(reinterpret_cast<BlockBytes>(&block));
  GPU_UNROLL for (int32_t i = 0; i < 2; ++i) q.codes[i] = load_bytes16(block.qs + 32 * quarter + 16 * i);
}
GPU_FN void load_quarter(GPU_LOCAL Quarter<BlockQ5_K>& q, GPU_BLOCK_REF(BlockQ5_K) block, int32_t quarter) {
  q.head = load_bytes16(reinterpret_cast<BlockBytes>(&block));
  GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
    q.codes[i] = load_bytes16(block.qs + 32 * quarter + 16 * i);
    q.high[i] = load_bytes16(block.qh + 16 * i);
  }
}
GPU_FN void load_quarter(GPU_LOCAL Quarter<WideQ6_K>& q, GPU_BLOCK_REF(WideQ6_K) block, int32_t quarter) {
  q.scales = load_bytes16(reinterpret_cast<BlockBytes>(block.scales));
  q.d = block.d;
  GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
    q.codes[i] = load_bytes16(block.ql + 32 * quarter + 16 * i);
    q.high[i] = load_bytes16(block.qh + 32 * (quarter / 2) + 16 * i);
  }
}
GPU_FN void load_quarter(GPU_LOCAL Quarter<WideQ8_0>& q, GPU_BLOCK_REF(WideQ8_0) block, int32_t quarter) {
  const BlockBytes codes = reinterpret_cast<BlockBytes>(block.qs) + 64 * quarter;
  GPU_UNROLL for (int32_t i = 0; i < 4; ++i) q.codes[i] = load_bytes16(codes + 16 * i);
  q.d = load_bytes4<4>(reinterpret_cast<BlockBytes>(block.d) + 4 * quarter);
}

GPU_FN uint32_t word_at(GPU_LOCAL const Words4* words, int32_t i) {
  const int32_t place = i % 4;
  return place == 0 ? words[i / 4].x : place == 1 ? words[i / 4].y : place == 2 ? words[i / 4].z : words[i / 4].w;
}

/// Codes of columns 4w to 4w + 3 of the first or the second group.
GPU_FN uint32_t first_codes(GPU_LOCAL const Quarter<BlockQ4_K>& q, int32_t, int32_t w) {
  return word_at(q.codes, w) & 0x0f0f0f0fu;
}
GPU_FN uint32_t second_codes(GPU_LOCAL const Quarter<BlockQ4_K>& q, int32_t, int32_t w) {
  return (word_at(q.codes, w) >> 4) & 0x0f0f0f0fu;
}
GPU_FN uint32_t first_codes(GPU_LOCAL const Quarter<BlockQ5_K>& q, int32_t quarter, int32_t w) {
  return (word_at(q.codes, w) & 0x0f0f0f0fu) | (((word_at(q.high, w) >> (2 * quarter)) & 0x01010101u) << 4);
}
GPU_FN uint32_t second_codes(GPU_LOCAL const Quarter<BlockQ5_K>& q, int32_t quarter, int32_t w) {
  return ((word_at(q.codes, w) >> 4) & 0x0f0f0f0fu) | (((word_at(q.high, w) >> (2 * quarter + 1)) & 0x01010101u) << 4);
}
/// Of Q6_K, 32 more than their values.
GPU_FN uint32_t first_codes(GPU_LOCAL const Quarter<WideQ6_K>& q, int32_t quarter, int32_t w) {
  return (word_at(q.codes, w) & 0x0f0f0f0fu) | (((word_at(q.high, w) >> (2 * (quarter % 2))) & 0x03030303u) << 4);
}
GPU_FN uint32_t second_codes(GPU_LOCAL const Quarter<WideQ6_K>& q, int32_t quarter, int32_t w) {
  return ((word_at(q.codes, w) >> 4) & 0x0f0f0f0fu) |
         (((word_at(q.high, w) >> (2 * (quarter % 2) + 4)) & 0x03030303u) << 4);
}
GPU_FN uint32_t first_codes(GPU_LOCAL const Quarter<WideQ8_0>& q, int32_t, int32_t w) { return word_at(q.codes, w); }
GPU_FN uint32_t second_codes(GPU_LOCAL const Quarter<WideQ8_0>& q, int32_t, int32_t w) {
  return word_at(q.codes + 2, w);
}

/// The activations that a quarter is multiplied by.
struct QuarterInput {
  Words4 first[2], second[2];
};

GPU_FN void load_group(GPU_LOCAL Words4* words, DevicePtr<const uint32_t> codes) {
  words[0] = load_words4(codes);
  words[1] = load_words4(codes + 4);
}

/// Exact products of the halves of a group, 16 columns each.
struct HalfProducts {
  int32_t first, second;
};

template <typename Block>
GPU_FN HalfProducts multiply_first(GPU_LOCAL const Quarter<Block>& q, int32_t quarter, GPU_LOCAL const Words4* x) {
  HalfProducts sums = {0, 0};
  GPU_UNROLL for (int32_t w = 0; w < 4; ++w) {
    sums.first = dot4(int32_t(first_codes(q, quarter, w)), int32_t(word_at(x, w)), sums.first);
    sums.second = dot4(int32_t(first_codes(q, quarter, 4 + w)), int32_t(word_at(x, 4 + w)), sums.second);
  }
  return sums;
}
template <typename Block>
GPU_FN HalfProducts multiply_second(GPU_LOCAL const Quarter<Block>& q, int32_t quarter, GPU_LOCAL const Words4* x) {
  HalfProducts sums = {0, 0};
  GPU_UNROLL for (int32_t w = 0; w < 4; ++w) {
    sums.first = dot4(int32_t(second_codes(q, quarter, w)), int32_t(word_at(x, w)), sums.first);
    sums.second = dot4(int32_t(second_codes(q, quarter, 4 + w)), int32_t(word_at(x, 4 + w)), sums.second);
  }
  return sums;
}

/// What a quarter adds to the integers of its block.
struct SuperPart {
  int32_t products, mins;
};

template <typename Block>
GPU_FN SuperPart multiply_k4(GPU_LOCAL const Quarter<Block>& q, int32_t quarter, GPU_LOCAL const QuarterInput& x,
                             uint32_t pair) {
  const HalfProducts first = multiply_first(q, quarter, x.first), second = multiply_second(q, quarter, x.second);
  const uint32_t scales = of_quarter(k4_scales(q.head), quarter);
  SuperPart part;
  part.products =
      byte_of(scales, 0) * (first.first + first.second) + byte_of(scales, 1) * (second.first + second.second);
  part.mins = dot2_low(pair, of_quarter(k4_mins(q.head), quarter), 0);
  return part;
}

GPU_FN SuperPart multiply_quarter(GPU_LOCAL const Quarter<BlockQ4_K>& q, int32_t quarter,
                                  GPU_LOCAL const QuarterInput& x, GPU_LOCAL const SuperInput& input, int64_t block) {
  return multiply_k4(q, quarter, x, input.pairs[block * 4 + quarter]);
}
GPU_FN SuperPart multiply_quarter(GPU_LOCAL const Quarter<BlockQ5_K>& q, int32_t quarter,
                                  GPU_LOCAL const QuarterInput& x, GPU_LOCAL const SuperInput& input, int64_t block) {
  return multiply_k4(q, quarter, x, input.pairs[block * 4 + quarter]);
}
GPU_FN SuperPart multiply_quarter(GPU_LOCAL const Quarter<WideQ6_K>& q, int32_t quarter,
                                  GPU_LOCAL const QuarterInput& x, GPU_LOCAL const SuperInput& input, int64_t block) {
  const HalfProducts first = multiply_first(q, quarter, x.first), second = multiply_second(q, quarter, x.second);
  const int64_t group = block * 8 + first_group<WideQ6_K>(quarter);
  // Two scales of each group: bytes 2g and 2g + 1 of the sixteen.
  const uint32_t scales = quarter < 2 ? (quarter % 2 == 0 ? q.scales.x : q.scales.x >> 16)
                                      : (quarter % 2 == 0 ? q.scales.z : q.scales.z >> 16);
  const uint32_t other_scales = quarter < 2 ? (quarter % 2 == 0 ? q.scales.y : q.scales.y >> 16)
                                            : (quarter % 2 == 0 ? q.scales.w : q.scales.w >> 16);
  int32_t offsets = dot2_low(input.sums[group], scales, 0);
  offsets = dot2_low(input.sums[group + 2], other_scales, offsets);
  SuperPart part;
  part.products = signed_byte_of(scales, 0) * first.first + signed_byte_of(scales, 1) * first.second +
                  signed_byte_of(other_scales, 0) * second.first + signed_byte_of(other_scales, 1) * second.second -
                  32 * offsets;
  part.mins = 0;
  return part;
}

/// d and dmin as they multiply the two integers of a block.
GPU_FN float super_scale(GPU_LOCAL const Quarter<BlockQ4_K>& q, bool is_mins) {
  return is_mins ? -float_of_half(uint16_t(q.head.x >> 16)) : float_of_half(uint16_t(q.head.x));
}
GPU_FN float super_scale(GPU_LOCAL const Quarter<BlockQ5_K>& q, bool is_mins) {
  return is_mins ? -float_of_half(uint16_t(q.head.x >> 16)) : float_of_half(uint16_t(q.head.x));
}
GPU_FN float super_scale(GPU_LOCAL const Quarter<WideQ6_K>& q, bool) { return float_of_half(uint16_t(q.d)); }
GPU_FN float super_scale(GPU_LOCAL const Quarter<WideQ8_0>&, bool) { return 0; }  // has none

/// The quarters of two rows: integers to `parts`, or of Q8_0 floats to `sums`.
template <typename Block>
GPU_FN void add_quarters(GPU_LOCAL float (&)[2], GPU_LOCAL SuperPart (&parts)[2],
                         GPU_LOCAL const Quarter<Block> (&rows)[2], int32_t quarter,
                         GPU_LOCAL const QuarterInput& input, GPU_LOCAL const SuperInput& x, int64_t block) {
  GPU_UNROLL for (int32_t r = 0; r < 2; ++r) parts[r] = multiply_quarter(rows[r], quarter, input, x, block);
}
GPU_FN void add_quarters(GPU_LOCAL float (&sums)[2], GPU_LOCAL SuperPart (&)[2],
                         GPU_LOCAL const Quarter<WideQ8_0> (&rows)[2], int32_t quarter,
                         GPU_LOCAL const QuarterInput& input, GPU_LOCAL const SuperInput& x, int64_t block) {
  const float first_scale = x.scales[block * 8 + 2 * quarter], second_scale = x.scales[block * 8 + 2 * quarter + 1];
  GPU_UNROLL for (int32_t r = 0; r < 2; ++r) {
    const HalfProducts first = multiply_first(rows[r], quarter, input.first);
    const HalfProducts second = multiply_second(rows[r], quarter, input.second);
    const float d = float_of_half(uint16_t(rows[r].d)), other_d = float_of_half(uint16_t(rows[r].d >> 16));
    sums[r] = fma32(d * first_scale, float(first.first + first.second), sums[r]);
    sums[r] = fma32(other_d * second_scale, float(second.first + second.second), sums[r]);
  }
}

}  // namespace gpu
}  // namespace outpost
