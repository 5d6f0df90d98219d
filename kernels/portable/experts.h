// Products with the weights of chosen experts: each expert's rows are read once for the tokens that chose it. The
// numerics are those of matvec, so a token's result does not depend on who else chose its experts.
#pragma once

#include "kernels/portable/expert_tile.h"
#include "kernels/portable/matvec.h"

namespace outpost {
namespace gpu {

struct ExpertParams {
  MatvecParams product;  ///< n_rows and n_groups of one expert; n_tokens is not used
  int32_t n_used;        ///< choices that share a row of x: choice c has x[c / n_used]; 1: each its own
  int32_t has_slots;     ///< 0: all experts are resident, and `places` is unused
  int32_t round;         ///< whose experts are computed
};

/// y[c] = gate function of gate[expert of c] * x[c / n_used] and up[...] * x[...], with biases of the expert.
/// Grid: (n_rows / kMatvecBlockRows rounded up, as many tiles as there may be).
/// @param gate, up [n_expert, n_rows, blocks], or [n_slots, ...]; biases [n_expert, n_rows] or unused; order, tiles,
///   n_tiles as group_experts has left them, places as resolve_experts has; y [n_choices, n_rows], of which a round
///   writes its experts' rows
template <typename Block>
GPU_KERNEL(kMatvecThreads)
experts_gated(GPU_RESULT(0, Block, gate), GPU_RESULT(1, Block, up), GPU_RESULT(2, uint32_t, x_codes),
              GPU_RESULT(3, float, x_scales), GPU_RESULT(4, uint32_t, x_sums), GPU_IN(5, float, gate_bias),
              GPU_IN(6, float, up_bias), GPU_RESULT(7, int32_t, order), GPU_RESULT(8, int32_t, tiles),
              GPU_RESULT(9, int32_t, n_tiles), GPU_RESULT(10, int32_t, places), GPU_IO(11, float, y),
              GPU_PARAMS(12, ExpertParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t n_rows = p.product.n_rows;
  const int32_t row = here.block_x * kMatvecBlockRows + here.warp * kMatvecRows;
  if (here.block_y >= n_tiles[0] || row >= n_rows) return;  // the whole warp
  const ExpertTile tile = expert_tile(tiles, here.block_y);
  const int32_t place = place_of(places, p.has_slots, p.round, tile.expert);
  if (place < 0) return;  // the whole block
  const int64_t first_block = int64_t(place) * n_rows * (p.product.n_groups / BlockTraits<Block>::kGroups);
  const ListedTokens tokens = {order, tile.first, p.n_used};
  float gates[kMatvecRows][kExpertTileTokens], ups[kMatvecRows][kExpertTileTokens];
  multiply_rows<Block, kExpertTileTokens>(gates, gate + first_block, x_codes, x_scales, x_sums, p.product, row,
                                          here.lane, tile.n, tokens);
  multiply_rows<Block, kExpertTileTokens>(ups, up + first_block, x_codes, x_scales, x_sums, p.product, row, here.lane,
                                          tile.n, tokens);
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
    GPU_UNROLL for (int32_t t = 0; t < kExpertTileTokens; ++t) {
      const bool is_mine = r * kExpertTileTokens + t == here.lane;
      if (is_mine && t < tile.n && row + r < n_rows) {
        const float g =
            gates[r][t] + (p.product.has_bias ? float(gate_bias[int64_t(tile.expert) * n_rows + row + r]) : 0.0f);
        const float u =
            ups[r][t] + (p.product.has_bias ? float(up_bias[int64_t(tile.expert) * n_rows + row + r]) : 0.0f);
        y[int64_t(order[tile.first + t]) * n_rows + row + r] = gated(g, u, p.product.gate);
      }
    }
  }
}

/// y[c] = weight[expert of c] * x[c / n_used] + bias of the expert; otherwise as experts_gated.
template <typename Block>
GPU_KERNEL(kMatvecThreads)
experts_matvec(GPU_RESULT(0, Block, weight), GPU_RESULT(1, uint32_t, x_codes), GPU_RESULT(2, float, x_scales),
               GPU_RESULT(3, uint32_t, x_sums), GPU_IN(4, float, bias), GPU_RESULT(5, int32_t, order),
               GPU_RESULT(6, int32_t, tiles), GPU_RESULT(7, int32_t, n_tiles), GPU_RESULT(8, int32_t, places),
               GPU_IO(9, float, y), GPU_PARAMS(10, ExpertParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t n_rows = p.product.n_rows;
  const int32_t row = here.block_x * kMatvecBlockRows + here.warp * kMatvecRows;
  if (here.block_y >= n_tiles[0] || row >= n_rows) return;  // the whole warp
  const ExpertTile tile = expert_tile(tiles, here.block_y);
  const int32_t place = place_of(places, p.has_slots, p.round, tile.expert);
  if (place < 0) return;  // the whole block
  const int64_t first_block = int64_t(place) * n_rows * (p.product.n_groups / BlockTraits<Block>::kGroups);
  const ListedTokens tokens = {order, tile.first, p.n_used};
  float sums[kMatvecRows][kExpertTileTokens];
  multiply_rows<Block, kExpertTileTokens>(sums, weight + first_block, x_codes, x_scales, x_sums, p.product, row,
                                          here.lane, tile.n, tokens);
  GPU_UNROLL for (int32_t r = 0; r < kMatvecRows; ++r) {
    GPU_UNROLL for (int32_t t = 0; t < kExpertTileTokens; ++t) {
      const bool is_mine = r * kExpertTileTokens + t == here.lane;
      if (is_mine && t < tile.n && row + r < n_rows) {
        const float bias_of_row = p.product.has_bias ? float(bias[int64_t(tile.expert) * n_rows + row + r]) : 0.0f;
        y[int64_t(order[tile.first + t]) * n_rows + row + r] = sums[r][t] + bias_of_row;
      }
    }
  }
}

OUTPOST_CONSTANT int kCombineThreads = 256;

struct CombineParams {
  int32_t n_tokens, n_used, width;
};

/// y[t] = sum over i of weights[t, i] * x[t, i], in the order of the choices.
/// Grid: n_tokens * width / kCombineThreads blocks, rounded up.
/// @param x [n_tokens, n_used, width], weights [n_tokens, n_used], y [n_tokens, width]
GPU_KERNEL(kCombineThreads)
combine_experts(GPU_RESULT(0, float, x), GPU_RESULT(1, float, weights), GPU_IO(2, float, y),
                GPU_PARAMS(3, CombineParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int64_t i = int64_t(here.block_x) * kCombineThreads + here.thread_id;
  if (i >= int64_t(p.n_tokens) * p.width) return;
  const int64_t token = i / p.width, column = i % p.width;
  float sum = 0;
  for (int32_t k = 0; k < p.n_used; ++k)
    sum = fma32(weights[token * p.n_used + k], x[(token * p.n_used + k) * p.width + column], sum);
  y[i] = sum;
}

}  // namespace gpu
}  // namespace outpost
