// Groups of the I-quants: patterns of a codebook, spelled out from the codes that the codebooks are written in. Part
// of decode_group.h.
#pragma once

#include "kernels/common/iq1_grid.h"
#include "kernels/common/iq2_grids.h"
#include "kernels/common/iq2_xxs_grid.h"
#include "kernels/common/iq3_grids.h"
#include "kernels/portable/decode_group.h"

namespace outpost {
namespace gpu {

template <>
struct BlockTraits<BlockIQ2_XXS> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<BlockIQ2_XS> {
  enum { kHasOffset = false, kIsSplit = true, kGroups = 8 };
};
template <>
struct BlockTraits<BlockIQ2_S> {
  enum { kHasOffset = false, kIsSplit = true, kGroups = 8 };
};
template <>
struct BlockTraits<BlockIQ3_XXS> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<BlockIQ3_S> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<BlockIQ1_S> {
  enum { kHasOffset = false, kIsSplit = false, kGroups = 8 };
};
template <>
struct BlockTraits<BlockIQ1_M> {
  enum { kHasOffset = false, kIsSplit = true, kGroups = 8 };
};

/// Four 2-bit codes as nibbles.
GPU_FN uint32_t nibbles_of_pairs(uint32_t pairs) {
  const uint32_t apart = (pairs | pairs << 4) & 0x0f0fu;
  return (apart | apart << 2) & 0x3333u;
}

/// Four 3-bit codes as nibbles.
GPU_FN uint32_t nibbles_of_triples(uint32_t triples) {
  return (triples & 7u) | (triples & 0x38u) << 1 | (triples & 0x1c0u) << 2 | (triples & 0xe00u) << 3;
}

/// Eight magnitudes out of kIq2Magnitudes with signs, to two words.
GPU_FN void write_iq2_run(uint32_t pattern, uint32_t signs, GPU_LOCAL uint32_t* codes, int32_t run) {
  const uint32_t magnitudes = word_of(8, 25, 43, 0);
  codes[2 * run] = negate_bytes(pick_bytes(magnitudes, 0, nibbles_of_pairs(pattern & 255u)), signs);
  codes[2 * run + 1] = negate_bytes(pick_bytes(magnitudes, 0, nibbles_of_pairs(pattern >> 8)), signs >> 4);
}

GPU_FN uint32_t iq3_xxs_word(uint32_t pattern, uint32_t signs) {
  const uint32_t low = word_of(4, 12, 20, 28), high = word_of(36, 44, 52, 62);
  return negate_bytes(pick_bytes(low, high, nibbles_of_triples(pattern)), signs);
}

GPU_FN uint32_t iq3_s_word(uint32_t pattern, uint32_t signs) {
  const uint32_t low = word_of(1, 3, 5, 7), high = word_of(9, 11, 13, 15);
  return negate_bytes(pick_bytes(low, high, nibbles_of_triples(pattern)), signs);
}

/// Eight times value + delta for a run, delta +-1/8.
GPU_FN void write_iq1_run(uint32_t pattern, bool is_down, GPU_LOCAL uint32_t* codes, int32_t run) {
  const uint32_t values = is_down ? word_of(-9, -1, 7, 0) : word_of(-7, 1, 9, 0);
  codes[2 * run] = pick_bytes(values, 0, nibbles_of_pairs(pattern & 255u));
  codes[2 * run + 1] = pick_bytes(values, 0, nibbles_of_pairs(pattern >> 8));
}

GPU_FN float half_step_scale(float d, uint32_t s, float unit) { return d * (0.5f + float(s)) * unit; }

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockIQ2_XXS) block, int32_t g) {
  Group group;
  const uint32_t indices = uint32_t(block.qs[4 * g]) | uint32_t(block.qs[4 * g + 1]) << 16;
  const uint32_t signs_and_scale = uint32_t(block.qs[4 * g + 2]) | uint32_t(block.qs[4 * g + 3]) << 16;
  GPU_UNROLL for (int32_t run = 0; run < 4; ++run) {
    const uint32_t signs = iq2_signs((signs_and_scale >> (7 * run)) & 127u);
    write_iq2_run(kIq2XxsGrid[(indices >> (8 * run)) & 255u], signs, group.codes, run);
  }
  set_scale(group, half_step_scale(float_of_half(block.d), signs_and_scale >> 28, 0.25f), 0);
  return group;
}

/// The scale byte of 32 elements: a nibble for each half.
GPU_FN void set_iq2_scales(GPU_LOCAL Group& group, float d, uint32_t nibbles) {
  group.scale[0] = half_step_scale(d, nibbles & 15u, 0.25f);
  group.scale[1] = half_step_scale(d, nibbles >> 4, 0.25f);
  group.offset[0] = group.offset[1] = 0;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockIQ2_XS) block, int32_t g) {
  Group group;
  GPU_UNROLL for (int32_t run = 0; run < 4; ++run) {
    const uint32_t word = block.qs[4 * g + run];
    write_iq2_run(kIq2XsGrid[word & 511u], iq2_signs(word >> 9), group.codes, run);
  }
  set_iq2_scales(group, float_of_half(block.d), block.scales[g]);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockIQ2_S) block, int32_t g) {
  Group group;
  GPU_UNROLL for (int32_t run = 0; run < 4; ++run) {
    const uint32_t high = (uint32_t(block.qh[g]) >> (2 * run)) & 3u;
    write_iq2_run(kIq2SGrid[block.qs[4 * g + run] | high << 8], block.signs[4 * g + run], group.codes, run);
  }
  set_iq2_scales(group, float_of_half(block.d), block.scales[g]);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockIQ3_XXS) block, int32_t g) {
  Group group;
  const uint32_t signs_and_scale = load_bytes4<2>(block.signs_and_scales + 4 * g);
  GPU_UNROLL for (int32_t run = 0; run < 4; ++run) {
    const uint32_t signs = iq2_signs((signs_and_scale >> (7 * run)) & 127u);
    group.codes[2 * run] = iq3_xxs_word(kIq3XxsGrid[block.qs[8 * g + 2 * run]], signs);
    group.codes[2 * run + 1] = iq3_xxs_word(kIq3XxsGrid[block.qs[8 * g + 2 * run + 1]], signs >> 4);
  }
  set_scale(group, half_step_scale(float_of_half(block.d), signs_and_scale >> 28, 0.5f), 0);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockIQ3_S) block, int32_t g) {
  Group group;
  GPU_UNROLL for (int32_t w = 0; w < 8; ++w) {
    const uint32_t index = block.qs[8 * g + w] | ((uint32_t(block.qh[g]) >> w) & 1u) << 8;
    group.codes[w] = iq3_s_word(kIq3SGrid[index], uint32_t(block.signs[4 * g + w / 2]) >> (4 * (w % 2)));
  }
  const uint32_t s = (uint32_t(block.scales[g / 2]) >> (4 * (g % 2))) & 15u;
  set_scale(group, float_of_half(block.d) * float(2 * s + 1), 0);
  return group;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockIQ1_S) block, int32_t g) {
  Group group;
  const uint32_t high = block.qh[g];
  GPU_UNROLL for (int32_t run = 0; run < 4; ++run) {
    const uint32_t index = block.qs[4 * g + run] | ((high >> (3 * run)) & 7u) << 8;
    write_iq1_run(kIq1Grid[index], (high >> 15) != 0, group.codes, run);
  }
  set_scale(group, float_of_half(block.d) * float(2 * ((high >> 12) & 7u) + 1) * 0.125f, 0);
  return group;
}

GPU_FN uint32_t iq1_m_scale_word(GPU_BLOCK_REF(BlockIQ1_M) block, int32_t i) {
  return uint32_t(block.scales[2 * i]) | uint32_t(block.scales[2 * i + 1]) << 8;
}

GPU_FN Group decode_group(GPU_BLOCK_REF(BlockIQ1_M) block, int32_t g) {
  Group group;
  GPU_UNROLL for (int32_t run = 0; run < 4; ++run) {
    const uint32_t high = (uint32_t(block.qh[2 * g + run / 2]) >> (4 * (run % 2))) & 15u;
    write_iq1_run(kIq1Grid[block.qs[4 * g + run] | (high & 7u) << 8], (high & 8u) != 0, group.codes, run);
  }
  uint32_t d_bits = 0;
  GPU_UNROLL for (int32_t i = 0; i < 4; ++i) d_bits |= (iq1_m_scale_word(block, i) >> 12) << (4 * i);
  const float d = float_of_half(uint16_t(d_bits));
  const uint32_t scales = iq1_m_scale_word(block, g / 2) >> (6 * (g % 2));
  group.scale[0] = d * float(2 * (scales & 7u) + 1) * 0.125f;
  group.scale[1] = d * float(2 * ((scales >> 3) & 7u) + 1) * 0.125f;
  group.offset[0] = group.offset[1] = 0;
  return group;
}

}  // namespace gpu
}  // namespace outpost
