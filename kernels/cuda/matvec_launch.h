// Launches of the products with one type of block. Private to matvec_type.cu.in.
#pragma once

#include "kernels/cuda/matmul.h"
#include "kernels/cuda/matvec_arguments.h"

namespace outpost::gpu {

template <typename Block, int kTokens>
void launch_tokens(cudaStream_t stream, const MatvecLaunch& a) {
  const auto* weight = static_cast<const Block*>(a.weight);
  const uint32_t n_blocks = (a.params.product.n_rows + kMatvecBlockRows - 1) / kMatvecBlockRows;
  if (a.up != nullptr) {
    matvec_gated<Block, kTokens><<<n_blocks, kMatvecThreads, 0, stream>>>(weight, static_cast<const Block*>(a.up),
                                                                          a.x.codes, a.x.scales, a.x.sums, a.bias,
                                                                          a.up_bias, a.y, a.params.product);
  } else {
    matvec<Block, kTokens><<<n_blocks, kMatvecThreads, 0, stream>>>(weight, a.x.codes, a.x.scales, a.x.sums, a.bias,
                                                                    a.y, a.params.product);
  }
}

template <typename Block>
void launch_experts(cudaStream_t stream, const MatvecLaunch& a) {
  const auto* weight = static_cast<const Block*>(a.weight);
  const dim3 grid((a.params.product.n_rows + kMatvecBlockRows - 1) / kMatvecBlockRows, a.lists->n_choices);
  if (a.up != nullptr) {
    experts_gated<Block><<<grid, kMatvecThreads, 0, stream>>>(weight, static_cast<const Block*>(a.up), a.x.codes,
                                                              a.x.scales, a.x.sums, a.bias, a.up_bias, a.lists->order,
                                                              a.lists->tiles, a.lists->n_tiles, a.y, a.params);
  } else {
    experts_matvec<Block><<<grid, kMatvecThreads, 0, stream>>>(weight, a.x.codes, a.x.scales, a.x.sums, a.bias,
                                                               a.lists->order, a.lists->tiles, a.lists->n_tiles, a.y,
                                                               a.params);
  }
}

/// Tokens of a block of matmul: as many as registers have room for.
inline constexpr int32_t kMatmulTokens = 64;

template <typename Block>
void launch_many_tokens(cudaStream_t stream, const MatvecLaunch& a) {
  const MatvecParams& params = a.params.product;
  const dim3 grid((params.n_rows + kMatmulRows - 1) / kMatmulRows,
                  (params.n_tokens + kMatmulTokens - 1) / kMatmulTokens);
  matmul<Block, kMatmulTokens><<<grid, kMatmulThreads, 0, stream>>>(static_cast<const Block*>(a.weight), a.x.codes,
                                                                    a.x.scales, a.x.sums, a.bias, a.y, params);
}

template <typename Block>
cudaError_t launch_block(cudaStream_t stream, const MatvecLaunch& a) {
  const int32_t n_tokens = a.params.product.n_tokens;
  if (a.lists != nullptr)
    launch_experts<Block>(stream, a);
  else if (n_tokens == 1)
    launch_tokens<Block, 1>(stream, a);
  else if (n_tokens <= 8)
    launch_tokens<Block, 8>(stream, a);
  else if (n_tokens <= kMatvecMaxTokens)
    launch_tokens<Block, 16>(stream, a);
  else if (a.up == nullptr)
    launch_many_tokens<Block>(stream, a);
  else
    return cudaErrorInvalidValue;
  return cudaGetLastError();
}

}  // namespace outpost::gpu
