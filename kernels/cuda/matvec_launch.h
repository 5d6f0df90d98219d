// Launches of the products with one type of block. Private to matvec_type.cu.in.
#pragma once

#include "kernels/cuda/matmul.h"
#include "kernels/launchers/block_launch.h"

namespace outpost::gpu {

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
  if (n_tokens <= kMatvecMaxTokens) return launch_few_tokens<Block>(stream, a);
  return a.up == nullptr ? launch_many_tokens<Block>(stream, a) : Error::kInvalidValue;
}

}  // namespace outpost::gpu
