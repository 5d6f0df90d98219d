// Groups of the formats with blocks of 32. Part of decode_group.h.
#pragma once

#include "kernels/portable/decode_group.h"

namespace outpost {
namespace gpu {

template <>
struct BlockTraits<BlockQ4_0> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 1 };
};
template <>
struct BlockTraits<BlockQ4_1> {
  enum { kHasOffset = true, kIsSplit = false, kGroups = 1 };
};
template <>
struct BlockTraits<BlockQ5_0> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 1 };
};
template <>
struct BlockTraits<BlockQ5_1> {
  enum { kHasOffset = true, kIsSplit = false, kGroups = 1 };
};
template <>
struct BlockTraits<BlockQ8_0> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 1 };
};
template <>
struct BlockTraits<BlockIQ4_NL> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 1 };
};
template <>
struct BlockTraits<BlockMXFP4> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 1 };
};

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ4_0) block, int32_t) {
  Group group;
  unpack_nibbles<2>(block.qs, group.codes);
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) group.codes[w] = subtract_from_bytes(group.codes[w], 8);
  set_scale(group, float_of_half(block.d), 0);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ4_1) block, int32_t) {
  Group group;
  unpack_nibbles<4>(block.qs, group.codes);
  set_scale(group, float_of_half(block.d), float_of_half(block.m));
  return group;
}

/// Puts bit i of `high` on top of the four bits of code i.
GPU_FN void add_fifth_bits(uint32_t high, GPU_LOCAL uint32_t* codes) {
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) codes[w] |= spread_bits(high >> (4 * w)) << 4;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ5_0) block, int32_t) {
  Group group;
  unpack_nibbles<2>(block.qs, group.codes);
  add_fifth_bits(load_bytes4<2>(block.qh), group.codes);
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) group.codes[w] = subtract_from_bytes(group.codes[w], 16);
  set_scale(group, float_of_half(block.d), 0);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ5_1) block, int32_t) {
  Group group;
  unpack_nibbles<4>(block.qs, group.codes);
  add_fifth_bits(load_bytes4<4>(block.qh), group.codes);
  set_scale(group, float_of_half(block.d), float_of_half(block.m));
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockQ8_0) block, int32_t) {
  Group group;
  const BlockBytes bytes = reinterpret_cast<BlockBytes>(block.qs);
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) group.codes[w] = load_bytes4<2>(bytes + 4 * w);
  set_scale(group, float_of_half(block.d), 0);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockIQ4_NL) block, int32_t) {
  Group group;
  look_up_nibbles<2>(block.qs, iq4_table(), group.codes);
  set_scale(group, float_of_half(block.d), 0);
  return group;
}

/// 2^(e - 128), half of the format's scale because the codes are doubled; NaN for 255.
GPU_FN float mxfp4_scale(uint32_t e) {
  if (e == 255) return float_of_bits(0x7fc00000u);
  return float_of_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23);
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockMXFP4) block, int32_t) {
  Group group;
  look_up_nibbles<1>(block.qs, fp4_table(), group.codes);
  set_scale(group, mxfp4_scale(block.e), 0);
  return group;
}

}  // namespace gpu
}  // namespace outpost
