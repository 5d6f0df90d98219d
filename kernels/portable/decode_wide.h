// Groups of the blocks that are made on the device (kernels/common/wide_blocks.h). Part of decode_group.h.
#pragma once

#include "kernels/common/wide_blocks.h"
#include "kernels/portable/decode_group.h"
#include "kernels/portable/decode_k.h"

namespace outpost {
namespace gpu {

template <>
struct BlockTraits<WideQ8_0> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<WideQ6_K> {
  enum { kHasOffset = false, kIsSplit = true, kGroups = 8 };
};

GPU_FN Group decode_group(GPU_BLOCK_REF(WideQ8_0) block, int32_t g) {
  Group group;
  const BlockBytes bytes = reinterpret_cast<BlockBytes>(block.qs) + 32 * g;
  GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
    const Words4 words = load_bytes16(bytes + 16 * i);
    group.codes[4 * i] = words.x;
    group.codes[4 * i + 1] = words.y;
    group.codes[4 * i + 2] = words.z;
    group.codes[4 * i + 3] = words.w;
  }
  set_scale(group, float_of_half(block.d[g]), 0);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(WideQ6_K) block, int32_t g) {
  Group group;
  unpack_wide_bits<4>(block.ql + 64 * (g / 4) + 32 * (g % 2), 4 * (g % 4 / 2), group.codes);
  add_wide_high_bits<2>(block.qh + 32 * (g / 4), 2 * (g % 4), 4, group.codes);
  const float d = float_of_half(block.d);
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) group.codes[w] = subtract_from_bytes(group.codes[w], 32);
  GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
    group.scale[part] = d * float(block.scales[2 * g + part]);
    group.offset[part] = 0;
  }
  return group;
}

}  // namespace gpu
}  // namespace outpost
