// Products of quantized weights with few tokens (1 to 16): each weight is read and decoded once for all of them.
//
// One order of summation for every number of tokens, which a matrix-unit kernel can keep too: the 32 products inside
// a group are integers and exact; a group's value is rounded once; group g is added to slot g % 32, the slots in the
// order of their groups, and the 32 slots as warp_sum adds lanes.
#pragma once

#include "kernels/portable/decode_group.h"
#include "kernels/portable/gate.h"
#include "kernels/portable/prefetch.h"
#include "kernels/portable/reduce.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kMatvecThreads = 128;
/// Rows of a warp: each activation that it loads serves so many. Four keep the codes in registers for 16 tokens.
OUTPOST_CONSTANT int kMatvecRows = 4;
OUTPOST_CONSTANT int kMatvecBlockRows = kMatvecThreads / 32 * kMatvecRows;
OUTPOST_CONSTANT int kMatvecMaxTokens = 16;

struct MatvecParams {
  int32_t n_rows;
  int32_t n_groups;  ///< of 32 columns, in one row
  int32_t n_tokens;
  int32_t has_bias;
  int32_t gate;  ///< kind of the gate (gate.h), for matvec_gated
};

/// Sums of 16 codes each, from a word that quantize_activations has written.
GPU_FN int32_t first_sum(uint32_t sums) { return int32_t(int16_t(sums & 0xffffu)); }
GPU_FN int32_t second_sum(uint32_t sums) { return int32_t(sums) >> 16; }

/// sum of value_i * x_i over a group, from the exact sums of code products: one formula, so that all kernels round
/// alike.
template <typename Block>
GPU_FN float group_product(GPU_LOCAL const Group& group, int32_t first, int32_t second, float x_scale, uint32_t sums) {
  float value;
  if (BlockTraits<Block>::kIsSplit) {
    value = fma32(group.scale[1], float(second), group.scale[0] * float(first));
    if (BlockTraits<Block>::kHasOffset) {
      value = fma32(group.offset[0], float(first_sum(sums)), value);
      value = fma32(group.offset[1], float(second_sum(sums)), value);
    }
  } else {
    value = group.scale[0] * float(first + second);
    if (BlockTraits<Block>::kHasOffset)
      value = fma32(group.offset[0], float(first_sum(sums) + second_sum(sums)), value);
  }
  return value * x_scale;
}

/// Where the activations of token t of a product lie: the t-th, or those of a list.
struct OwnTokens {
  GPU_FN int64_t operator()(int32_t t) const { return t; }
};

struct ListedTokens {
  DevicePtr<const int32_t> list;
  int32_t first, divisor;  ///< token t is list[first + t] / divisor

  GPU_FN int64_t operator()(int32_t t) const { return list[first + t] / divisor; }
};

/// Rows `row` to row + kMatvecRows - 1 times n_tokens tokens: every lane has the sums. Rows past the end repeat the
/// last.
template <typename Block, int kTokens, typename Tokens>
GPU_FN void multiply_rows(GPU_LOCAL float (&sums)[kMatvecRows][kTokens], DevicePtr<const Block> weight,
                          DevicePtr<const uint32_t> x_codes, DevicePtr<const float> x_scales,
                          DevicePtr<const uint32_t> x_sums, GPU_PARAMS_REF(MatvecParams) p, int32_t row, int32_t lane,
                          int32_t n_tokens, Tokens tokens) {
  const int32_t kGroups = BlockTraits<Block>::kGroups;
  const int64_t n_blocks = p.n_groups / kGroups;
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
    GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) sums[r][t] = 0;
  }
  for (int32_t g = lane; g < p.n_groups; g += 32) {
    Group groups[kMatvecRows];
    GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
      const int64_t at = row + r < p.n_rows ? row + r : p.n_rows - 1;
      groups[r] = decode_group(weight[at * n_blocks + g / kGroups], g % kGroups);
    }
    GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) {
      if (t < n_tokens) {
        const int64_t x_group = tokens(t) * p.n_groups + g;
        const Words4 low = load_words4(x_codes + x_group * 8), high = load_words4(x_codes + x_group * 8 + 4);
        const int32_t x[8] = {int32_t(low.x),  int32_t(low.y),  int32_t(low.z),  int32_t(low.w),
                              int32_t(high.x), int32_t(high.y), int32_t(high.z), int32_t(high.w)};
        const float scale = x_scales[x_group];
        const uint32_t code_sums = BlockTraits<Block>::kHasOffset ? uint32_t(x_sums[x_group]) : 0u;
        GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
          int32_t first = 0, second = 0;
          GPU_UNROLL for (int32_t w = 0; w < 4; ++w) {
            first = dot4(int32_t(groups[r].codes[w]), x[w], first);
            second = dot4(int32_t(groups[r].codes[4 + w]), x[4 + w], second);
          }
          sums[r][t] += group_product<Block>(groups[r], first, second, scale, code_sums);
        }
      }
    }
  }
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
    GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) sums[r][t] = warp_sum(sums[r][t]);
  }
}

/// Rows `row` to row + kMatvecRows - 1, of which a warp asks for the beginnings.
template <typename Block>
GPU_FN void prefetch_rows(DevicePtr<const Block> weight, int32_t row, int32_t n_rows, int32_t n_blocks, int32_t lane) {
  for (int32_t r = row; r < row + kMatvecRows && r < n_rows; ++r)
    prefetch_row(weight + int64_t(r) * n_blocks, 0, n_blocks, kPrefetchBytes / kMatvecRows, lane);
}

/// y[t, row] = weight[row] * x[t] + bias[row].
/// Grid: n_rows / kMatvecBlockRows blocks, rounded up. kTokens is at least n_tokens.
/// @param weight [n_rows, n_groups / groups of a block], x_codes [n_tokens, n_groups, 8], x_scales and x_sums
///   [n_tokens, n_groups], bias [n_rows] or unused, y [n_tokens, n_rows]
template <typename Block, int kTokens>
GPU_KERNEL(kMatvecThreads)
matvec(GPU_IN(0, Block, weight), GPU_RESULT(1, uint32_t, x_codes), GPU_RESULT(2, float, x_scales),
       GPU_RESULT(3, uint32_t, x_sums), GPU_IN(4, float, bias), GPU_IO(5, float, y),
       GPU_PARAMS(6, MatvecParams, p) GPU_GRID) {
  allow_next();
  const Here here = GPU_HERE;
  const int32_t row = here.block_x * kMatvecBlockRows + here.warp * kMatvecRows;
  if (row >= p.n_rows) return;  // the whole warp
  prefetch_rows(weight, row, p.n_rows, p.n_groups / BlockTraits<Block>::kGroups, here.lane);
  wait_for_previous();
  float sums[kMatvecRows][kTokens];
  multiply_rows<Block, kTokens>(sums, weight, x_codes, x_scales, x_sums, p, row, here.lane, p.n_tokens, OwnTokens());
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
    GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) {
      // A store of each lane rather than all stores of one.
      const bool is_mine = (r * kTokens + t) % 32 == here.lane;
      if (is_mine && t < p.n_tokens && row + r < p.n_rows)
        y[int64_t(t) * p.n_rows + row + r] = sums[r][t] + (p.has_bias ? float(bias[row + r]) : 0.0f);
    }
  }
}

/// y[t, row] = gate function of gate[row] * x[t] + gate_bias[row] and up[row] * x[t] + up_bias[row]; otherwise as
/// matvec. Both biases are there or neither.
template <typename Block, int kTokens>
GPU_KERNEL(kMatvecThreads)
matvec_gated(GPU_IN(0, Block, gate), GPU_IN(1, Block, up), GPU_RESULT(2, uint32_t, x_codes),
             GPU_RESULT(3, float, x_scales), GPU_RESULT(4, uint32_t, x_sums), GPU_IN(5, float, gate_bias),
             GPU_IN(6, float, up_bias), GPU_IO(7, float, y), GPU_PARAMS(8, MatvecParams, p) GPU_GRID) {
  allow_next();
  const Here here = GPU_HERE;
  const int32_t row = here.block_x * kMatvecBlockRows + here.warp * kMatvecRows;
  if (row >= p.n_rows) return;  // the whole warp
  prefetch_rows(gate, row, p.n_rows, p.n_groups / BlockTraits<Block>::kGroups, here.lane);
  wait_for_previous();
  float gates[kMatvecRows][kTokens], ups[kMatvecRows][kTokens];
  multiply_rows<Block, kTokens>(gates, gate, x_codes, x_scales, x_sums, p, row, here.lane, p.n_tokens, OwnTokens());
  multiply_rows<Block, kTokens>(ups, up, x_codes, x_scales, x_sums, p, row, here.lane, p.n_tokens, OwnTokens());
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
    GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) {
      const bool is_mine = (r * kTokens + t) % 32 == here.lane;
      if (is_mine && t < p.n_tokens && row + r < p.n_rows) {
        const float g = gates[r][t] + (p.has_bias ? float(gate_bias[row + r]) : 0.0f);
        const float u = ups[r][t] + (p.has_bias ? float(up_bias[row + r]) : 0.0f);
        y[int64_t(t) * p.n_rows + row + r] = gated(g, u, p.gate);
      }
    }
  }
}

}  // namespace gpu
}  // namespace outpost
