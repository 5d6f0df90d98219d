// Launches of the products with one type of block. Private to matvec_type.cu.in.
#pragma once

#include "kernels/cuda/matmul.h"
#include "kernels/launchers/launch.h"
#include "kernels/launchers/matvec_arguments.h"

namespace outpost::gpu {

template <typename Block, int kTokens>
Error launch_tokens(Stream stream, const MatvecLaunch& a) {
  const auto* weight = static_cast<const Block*>(a.weight);
  const uint32_t n_blocks = (a.params.product.n_rows + kMatvecBlockRows - 1) / kMatvecBlockRows;
  if (a.up != nullptr) {
    return OverlappedLaunch(stream, n_blocks, kMatvecThreads)(matvec_gated<Block, kTokens>, weight,
                                                              static_cast<const Block*>(a.up), a.x.codes, a.x.scales,
                                                              a.x.sums, a.bias, a.up_bias, a.y, a.params.product);
  }
  return OverlappedLaunch(stream, n_blocks, kMatvecThreads)(matvec<Block, kTokens>, weight, a.x.codes, a.x.scales,
                                                            a.x.sums, a.bias, a.y, a.params.product);
}

template <typename Block>
Error launch_experts(Stream stream, const MatvecLaunch& a) {
  const auto* weight = static_cast<const Block*>(a.weight);
  const Grid grid((a.params.product.n_rows + kMatvecBlockRows - 1) / kMatvecBlockRows, a.lists->n_choices);
  if (a.up != nullptr) {
    return OverlappedLaunch(stream, grid, kMatvecThreads)(
        experts_gated<Block>, weight, static_cast<const Block*>(a.up), a.x.codes, a.x.scales, a.x.sums, a.bias,
        a.up_bias, a.lists->order, a.lists->tiles, a.lists->n_tiles, a.lists->places, a.y, a.params);
  }
  return OverlappedLaunch(stream, grid, kMatvecThreads)(experts_matvec<Block>, weight, a.x.codes, a.x.scales, a.x.sums,
                                                        a.bias, a.lists->order, a.lists->tiles, a.lists->n_tiles,
                                                        a.lists->places, a.y, a.params);
}

/// Tokens of a block of matmul: as many as registers have room for.
inline constexpr int32_t kMatmulTokens = 64;

template <typename Block>
Error launch_many_tokens(Stream stream, const MatvecLaunch& a) {
  const MatvecParams& params = a.params.product;
  const Grid grid((params.n_rows + kMatmulRows - 1) / kMatmulRows,
                  (params.n_tokens + kMatmulTokens - 1) / kMatmulTokens);
  return Launch(stream, grid, kMatmulThreads)(matmul<Block, kMatmulTokens>, static_cast<const Block*>(a.weight),
                                              a.x.codes, a.x.scales, a.x.sums, a.bias, a.y, params);
}

template <typename Block>
Error launch_block(Stream stream, const MatvecLaunch& a) {
  const int32_t n_tokens = a.params.product.n_tokens;
  if (a.lists != nullptr) return launch_experts<Block>(stream, a);
  if (n_tokens == 1) return launch_tokens<Block, 1>(stream, a);
  if (n_tokens <= 8) return launch_tokens<Block, 8>(stream, a);
  if (n_tokens <= kMatvecMaxTokens) return launch_tokens<Block, 16>(stream, a);
  return a.up == nullptr ? launch_many_tokens<Block>(stream, a) : Error::kInvalidValue;
}

}  // namespace outpost::gpu
