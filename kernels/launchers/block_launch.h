// Launches of the portable products with one type of block. Private to the files that a runtime has for each type.
#pragma once

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
  const Grid grid((a.params.product.n_rows + kMatvecBlockRows - 1) / kMatvecBlockRows,
                  most_expert_tiles(a.lists->n_choices, a.lists->n_expert, kExpertTileTokens));
  if (a.up != nullptr) {
    return OverlappedLaunch(stream, grid, kMatvecThreads)(
        experts_gated<Block>, weight, static_cast<const Block*>(a.up), a.x.codes, a.x.scales, a.x.sums, a.bias,
        a.up_bias, a.lists->order, a.lists->tiles, a.lists->n_tiles, a.lists->places, a.y, a.params);
  }
  return OverlappedLaunch(stream, grid, kMatvecThreads)(experts_matvec<Block>, weight, a.x.codes, a.x.scales, a.x.sums,
                                                        a.bias, a.lists->order, a.lists->tiles, a.lists->n_tiles,
                                                        a.lists->places, a.y, a.params);
}

/// Up to kMatvecMaxTokens tokens, or experts of any number. @return else Error::kInvalidValue
template <typename Block>
Error launch_block(Stream stream, const MatvecLaunch& a) {
  const int32_t n_tokens = a.params.product.n_tokens;
  if (a.lists != nullptr) return launch_experts<Block>(stream, a);
  if (n_tokens > kMatvecMaxTokens) return Error::kInvalidValue;
  if (n_tokens == 1) return launch_tokens<Block, 1>(stream, a);
  if (n_tokens <= 8) return launch_tokens<Block, 8>(stream, a);
  return launch_tokens<Block, 16>(stream, a);
}

}  // namespace outpost::gpu
