// Launches of gemm_mma with one type of weights. Private to the files that compile it for each type.
#pragma once

#include "kernels/cuda/gemm_mma.h"
#include "kernels/launchers/gemm_arguments.h"
#include "kernels/launchers/launch.h"

namespace outpost::gpu {

template <typename Block, int kTokens>
Error launch_mma_tiles(Stream stream, const GemmLaunch& a) {
  using Shape = MmaGemmShape<Block, kTokens>;
  const uint32_t n_row_tiles = (a.params.n_rows + Shape::kRows - 1) / Shape::kRows;
  const auto* weight = static_cast<const uint8_t*>(a.weight);
  const auto* image = reinterpret_cast<const uint8_t*>(a.image);
  const Grid grid((a.params.n_tokens + kTokens - 1) / kTokens, n_row_tiles);
  return Launch(stream, grid, kMmaGemmThreads, Shape::kSharedBytes)(gemm_mma<Block, kTokens>, weight, image, a.scales,
                                                                    a.bias, a.y, a.params);
}

template <typename Block>
Error launch_mma_experts(Stream stream, const GemmLaunch& a) {
  using Shape = MmaGemmShape<Block, kMmaSmallTokens>;
  const Grid grid(a.choices->n_tiles, (a.params.n_rows + Shape::kRows - 1) / Shape::kRows);
  return Launch(stream, grid, kMmaGemmThreads, Shape::kSharedBytes)(
      experts_mma<Block, kMmaSmallTokens>, static_cast<const uint8_t*>(a.weight),
      reinterpret_cast<const uint8_t*>(a.image), a.scales, a.bias, a.choices->rows, a.choices->tiles, a.choices->places,
      a.y, ExpertGemmParams{a.params, a.has_slots, a.round});
}

/// Some types' large tiles take more shared memory than some devices have.
template <typename Block>
Error launch_mma_block(Stream stream, const GemmLaunch& a) {
  if (a.choices != nullptr) return launch_mma_experts<Block>(stream, a);
  constexpr size_t kLargeBytes = MmaGemmShape<Block, kMmaLargeTokens>::kSharedBytes;
  if (a.tile_tokens == kMmaLargeTokens && kLargeBytes <= max_shared_bytes())
    return launch_mma_tiles<Block, kMmaLargeTokens>(stream, a);
  return launch_mma_tiles<Block, kMmaSmallTokens>(stream, a);
}

}  // namespace outpost::gpu
