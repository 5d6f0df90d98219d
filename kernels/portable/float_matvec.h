// Products with weights that are stored as floats, and rows of a table as f32 (the embedding of tokens).
#pragma once

#include "kernels/portable/expert_tile.h"
#include "kernels/portable/matvec.h"

namespace outpost {
namespace gpu {

/// Elements of the types without blocks. Bf16 and F16 are told apart by a type of their own.
struct ElementF32 {
  float value;
};
struct ElementF16 {
  uint16_t bits;
};
struct ElementBF16 {
  uint16_t bits;
};

GPU_FN float float_of(GPU_BLOCK_REF(ElementF32) element) { return element.value; }
GPU_FN float float_of(GPU_BLOCK_REF(ElementF16) element) { return float_of_half(element.bits); }
GPU_FN float float_of(GPU_BLOCK_REF(ElementBF16) element) { return float_of_bits(uint32_t(element.bits) << 16); }

struct FloatMatvecParams {
  int32_t n_rows, n_cols, n_tokens;
  int32_t has_bias;
};

/// y[t, row] = weight[row] * x[t] + bias[row]. Lane l adds up columns l, l + 32, ... in this order, the lanes as
/// warp_sum does: the same for every number of tokens.
/// Grid: (n_rows / kMatvecBlockRows, n_tokens / kTokens), both rounded up.
/// @param weight [n_rows, n_cols], x [n_tokens, n_cols], bias [n_rows] or unused, y [n_tokens, n_rows]
template <typename Element, int kTokens>
GPU_KERNEL(kMatvecThreads)
float_matvec(GPU_IN(0, Element, weight), GPU_RESULT(1, float, x), GPU_IN(2, float, bias), GPU_IO(3, float, y),
             GPU_PARAMS(4, FloatMatvecParams, p) GPU_GRID) {
  allow_next();
  const Here here = GPU_HERE;
  const int32_t row = here.block_x * kMatvecBlockRows + here.warp * kMatvecRows;
  if (row >= p.n_rows) return;  // the whole warp
  const int32_t first_token = here.block_y * kTokens, n_tokens = p.n_tokens - first_token;
  prefetch_rows(weight, row, p.n_rows, p.n_cols, here.lane);
  wait_for_previous();
  float sums[kMatvecRows][kTokens];
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
    GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) sums[r][t] = 0;
  }
  for (int32_t column = here.lane; column < p.n_cols; column += 32) {
    float values[kMatvecRows];
    GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
      const int64_t at = row + r < p.n_rows ? row + r : p.n_rows - 1;
      values[r] = float_of(weight[at * p.n_cols + column]);
    }
    GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) {
      if (t < n_tokens) {
        const float value = x[int64_t(first_token + t) * p.n_cols + column];
        GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) sums[r][t] = fma32(values[r], value, sums[r][t]);
      }
    }
  }
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
    GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) {
      const float sum = warp_sum(sums[r][t]);
      const bool is_mine = (r * kTokens + t) % 32 == here.lane;
      if (is_mine && t < n_tokens && row + r < p.n_rows)
        y[int64_t(first_token + t) * p.n_rows + row + r] = sum + (p.has_bias ? float(bias[row + r]) : 0.0f);
    }
  }
}

struct FloatExpertParams {
  FloatMatvecParams product;  ///< n_rows of one expert; n_tokens counts the choices
  int32_t n_used;             ///< choices that share a row of x
  int32_t has_slots, round;   ///< as in ExpertParams
};

/// y[c] = weight[expert of c] * x[c / n_used] + bias of the expert, summed up as in float_matvec.
/// Grid: (n_rows / kMatvecBlockRows rounded up, choices).
/// @param weight [n_expert, n_rows, n_cols] or [n_slots, ...], bias [n_expert, n_rows] or unused, choices [n_choices],
///   places as resolve_experts has left them, y [n_choices, n_rows]
template <typename Element>
GPU_KERNEL(kMatvecThreads)
float_experts(GPU_RESULT(0, Element, weight), GPU_RESULT(1, float, x), GPU_IN(2, float, bias),
              GPU_RESULT(3, int32_t, choices), GPU_RESULT(4, int32_t, places), GPU_IO(5, float, y),
              GPU_PARAMS(6, FloatExpertParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t n_rows = p.product.n_rows, n_cols = p.product.n_cols, choice = here.block_y;
  const int32_t row = here.block_x * kMatvecBlockRows + here.warp * kMatvecRows;
  if (row >= n_rows) return;  // the whole warp
  const int32_t expert = choices[choice], place = place_of(places, p.has_slots, p.round, expert);
  if (place < 0) return;  // the whole block
  const int64_t first_row = int64_t(place) * n_rows;
  const int64_t x_row = int64_t(choice / p.n_used) * n_cols;
  float sums[kMatvecRows];
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) sums[r] = 0;
  for (int32_t column = here.lane; column < n_cols; column += 32) {
    GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
      const int64_t at = first_row + (row + r < n_rows ? row + r : n_rows - 1);
      sums[r] = fma32(float_of(weight[at * n_cols + column]), x[x_row + column], sums[r]);
    }
  }
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
    const float sum = warp_sum(sums[r]);
    if (here.lane == r && row + r < n_rows)
      y[int64_t(choice) * n_rows + row + r] =
          sum + (p.product.has_bias ? float(bias[int64_t(expert) * n_rows + row + r]) : 0.0f);
  }
}

OUTPOST_CONSTANT int kEmbedThreads = 256;

struct EmbedParams {
  int32_t n_tokens, n_cols;
};

GPU_FN float code_at(GPU_LOCAL const Group& group, int32_t i) {
  return float(int32_t(int8_t(uint8_t(group.codes[i / 4] >> (8 * (i % 4))))));
}

/// y[t] = row tokens[t] of the table, dequantized; a thread does a group of 32.
/// Grid: n_tokens * n_cols / 32 / kEmbedThreads blocks, rounded up.
/// @param table [n_rows, n_cols / elements of a block], tokens [n_tokens], each below n_rows; y [n_tokens, n_cols]
template <typename Block>
GPU_KERNEL(kEmbedThreads)
embed(GPU_IN(0, Block, table), GPU_IN(1, int32_t, tokens), GPU_IO(2, float, y),
      GPU_PARAMS(3, EmbedParams, p) GPU_GRID) {
  const Here here = GPU_HERE;
  const int64_t i = int64_t(here.block_x) * kEmbedThreads + here.thread_id;
  const int32_t n_groups = p.n_cols / 32;
  if (i >= int64_t(p.n_tokens) * n_groups) return;
  const int32_t g = int32_t(i % n_groups), kGroups = BlockTraits<Block>::kGroups;
  const int64_t row = tokens[i / n_groups];
  const Group group = decode_group(table[row * (n_groups / kGroups) + g / kGroups], g % kGroups);
  GPU_UNROLL for (int32_t e = 0; e < 32; ++e) y[i * 32 + e] =
      group.scale[e / 16] * code_at(group, e) + group.offset[e / 16];
}

/// As embed, for the types without blocks. Grid: n_tokens * n_cols / kEmbedThreads blocks, rounded up.
template <typename Element>
GPU_KERNEL(kEmbedThreads)
float_embed(GPU_IN(0, Element, table), GPU_IN(1, int32_t, tokens), GPU_IO(2, float, y),
            GPU_PARAMS(3, EmbedParams, p) GPU_GRID) {
  const Here here = GPU_HERE;
  const int64_t i = int64_t(here.block_x) * kEmbedThreads + here.thread_id;
  if (i >= int64_t(p.n_tokens) * p.n_cols) return;
  y[i] = float_of(table[int64_t(tokens[i / p.n_cols]) * p.n_cols + i % p.n_cols]);
}

}  // namespace gpu
}  // namespace outpost
