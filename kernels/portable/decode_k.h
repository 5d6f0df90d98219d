// Groups of the superblocks of 256 without a codebook. Part of decode_group.h.
#pragma once

#include "kernels/portable/decode_group.h"

namespace outpost {
namespace gpu {

template <>
struct BlockTraits<BlockQ2_K> {
  enum { kHasOffset = true, kIsSplit = true, kGroups = 8 };
};
template <>
struct BlockTraits<BlockQ3_K> {
  enum { kHasOffset = false, kIsSplit = true, kGroups = 8 };
};
template <>
struct BlockTraits<BlockQ4_K> {
  enum { kHasOffset = true, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<BlockQ5_K> {
  enum { kHasOffset = true, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<BlockQ6_K> {
  enum { kHasOffset = false, kIsSplit = true, kGroups = 8 };
};
template <>
struct BlockTraits<BlockQ8_K> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<BlockIQ4_XS> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<BlockTQ1_0> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<BlockTQ2_0> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 8 };
};

/// `kBits` bits at `shift` of each of 32 bytes.
template <int kAlignment, int kBits>
GPU_FN void unpack_bits(BlockBytes bytes, int32_t shift, GPU_LOCAL uint32_t* codes) {
  const uint32_t mask = ((1u << kBits) - 1) * 0x01010101u;
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) codes[w] = (load_bytes4<kAlignment>(bytes + 4 * w) >> shift) & mask;
}

/// Puts `kBits` bits at `shift` of each of 32 bytes on top of codes that have `place` bits.
template <int kAlignment, int kBits>
GPU_FN void add_high_bits(BlockBytes bytes, int32_t shift, int32_t place, GPU_LOCAL uint32_t* codes) {
  const uint32_t mask = ((1u << kBits) - 1) * 0x01010101u;
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) codes[w] |= ((load_bytes4<kAlignment>(bytes + 4 * w) >> shift) & mask)
                                                         << place;
}

/// As unpack_bits with 16 bytes at a time.
template <int kBits>
GPU_FN void unpack_wide_bits(BlockBytes bytes, int32_t shift, GPU_LOCAL uint32_t* codes) {
  const uint32_t mask = ((1u << kBits) - 1) * 0x01010101u;
  GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
    const Words4 words = load_bytes16(bytes + 16 * i);
    codes[4 * i] = (words.x >> shift) & mask;
    codes[4 * i + 1] = (words.y >> shift) & mask;
    codes[4 * i + 2] = (words.z >> shift) & mask;
    codes[4 * i + 3] = (words.w >> shift) & mask;
  }
}

/// As add_high_bits with 16 bytes at a time.
template <int kBits>
GPU_FN void add_wide_high_bits(BlockBytes bytes, int32_t shift, int32_t place, GPU_LOCAL uint32_t* codes) {
  uint32_t high[8];
  unpack_wide_bits<kBits>(bytes, shift, high);
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) codes[w] |= high[w] << place;
}

/// Scale and offset of group g of Q4_K or Q5_K from the 16 bytes that their blocks begin with: k4_scale_min without a
/// branch that lanes would not take together.
GPU_FN void set_k4_scale(GPU_LOCAL Group& group, Words4 head, int32_t g) {
  const int32_t shift = 8 * (g & 3);
  const uint32_t a = (head.y >> shift) & 255u, b = (head.z >> shift) & 255u, c = (head.w >> shift) & 255u;
  const uint32_t scale = g < 4 ? a & 63u : (c & 15u) | ((a >> 6) << 4);
  const uint32_t min = g < 4 ? b & 63u : (c >> 4) | ((b >> 6) << 4);
  set_scale(group, float_of_half(uint16_t(head.x)) * float(scale),
            -(float_of_half(uint16_t(head.x >> 16)) * float(min)));
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ2_K) block, int32_t g) {
  Group group;
  unpack_bits<4, 2>(block.qs + 32 * (g / 4), 2 * (g % 4), group.codes);
  const float d = float_of_half(block.d), dmin = float_of_half(block.dmin);
  GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
    const uint32_t scale = block.scales[2 * g + part];
    group.scale[part] = d * float(scale & 15u);
    group.offset[part] = -(dmin * float(scale >> 4));
  }
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ3_K) block, int32_t g) {
  Group group;
  unpack_bits<2, 2>(block.qs + 32 * (g / 4), 2 * (g % 4), group.codes);
  add_high_bits<2, 1>(block.hmask, g, 2, group.codes);
  const float d = float_of_half(block.d);
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) group.codes[w] = subtract_from_bytes(group.codes[w], 4);
  GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
    group.scale[part] = d * float(k3_scale(block.scales, 2 * g + part) - 32);
    group.offset[part] = 0;
  }
  return group;
}

// Blocks of Q4_K and Q5_K are multiples of 16 bytes: so is the address of each, in an array that begins at one.
GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ4_K) block, int32_t g) {
  Group group;
  unpack_wide_bits<4>(block.qs + 32 * (g / 2), 4 * (g % 2), group.codes);
  set_k4_scale(group, load_bytes16(reinterpret_cast<BlockBytes>(&block)), g);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ5_K) block, int32_t g) {
  Group group;
  unpack_wide_bits<4>(block.qs + 32 * (g / 2), 4 * (g % 2), group.codes);
  add_wide_high_bits<1>(block.qh, g, 4, group.codes);
  set_k4_scale(group, load_bytes16(reinterpret_cast<BlockBytes>(&block)), g);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ6_K) block, int32_t g) {
  Group group;
  unpack_bits<2, 4>(block.ql + 64 * (g / 4) + 32 * (g % 2), 4 * (g % 4 / 2), group.codes);
  add_high_bits<2, 2>(block.qh + 32 * (g / 4), 2 * (g % 4), 4, group.codes);
  const float d = float_of_half(block.d);
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) group.codes[w] = subtract_from_bytes(group.codes[w], 32);
  GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
    group.scale[part] = d * float(block.scales[2 * g + part]);
    group.offset[part] = 0;
  }
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ8_K) block, int32_t g) {
  Group group;
  const BlockBytes bytes = reinterpret_cast<BlockBytes>(block.qs) + 32 * g;
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) group.codes[w] = load_bytes4<4>(bytes + 4 * w);
  set_scale(group, block.d, 0);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockIQ4_XS) block, int32_t g) {
  Group group;
  look_up_nibbles<4>(block.qs + 16 * g, iq4_table(), group.codes);
  const int32_t low = (block.scales_l[g / 2] >> (4 * (g % 2))) & 15;
  const int32_t high = (block.scales_h >> (2 * g)) & 3;
  set_scale(group, float_of_half(block.d) * float((low | high << 4) - 32), 0);
  return group;
}

/// Digit `digit` of a byte of TQ1_0, minus 1.
GPU_FN int8_t ternary_digit(uint32_t byte, uint32_t digit) {
  const uint32_t power = digit == 0 ? 1 : digit == 1 ? 3 : digit == 2 ? 9 : digit == 3 ? 27 : 81;
  return int8_t(int32_t((((byte * power) & 255u) * 3) >> 8) - 1);
}

GPU_FN int8_t ternary_element(GPU_BLOCK_REF(BlockTQ1_0) block, int32_t i) {
  if (i < 160) return ternary_digit(block.qs[i % 32], uint32_t(i / 32));
  if (i < 240) return ternary_digit(block.qs[32 + (i - 160) % 16], uint32_t((i - 160) / 16));
  return ternary_digit(block.qh[(i - 240) % 4], uint32_t((i - 240) / 4));
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockTQ1_0) block, int32_t g) {
  Group group;
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) {
    const int32_t i = 32 * g + 4 * w;
    group.codes[w] = word_of(ternary_element(block, i), ternary_element(block, i + 1), ternary_element(block, i + 2),
                             ternary_element(block, i + 3));
  }
  set_scale(group, float_of_half(block.d), 0);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockTQ2_0) block, int32_t g) {
  Group group;
  unpack_bits<2, 2>(block.qs + 32 * (g / 4), 2 * (g % 4), group.codes);
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) group.codes[w] = subtract_from_bytes(group.codes[w], 1);
  set_scale(group, float_of_half(block.d), 0);
  return group;
}

}  // namespace gpu
}  // namespace outpost
