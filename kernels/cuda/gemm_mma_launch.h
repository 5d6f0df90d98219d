// Launches of gemm_mma with one type of weights. Private to the files that compile it for each type.
#pragma once

#include "kernels/cuda/gemm_mma.h"
#include "kernels/launchers/gemm_arguments.h"
#include "kernels/launchers/launch.h"

namespace outpost::gpu {

template <typename Block, int kTokens>
Error launch_mma_tiles(Stream stream, const GemmLaunch& a) {
  using Shape = MmaGemmShape<Block, kTokens>;
  const Grid grid((a.params.n_tokens + kTokens - 1) / kTokens, a.row_tiles(Shape::kRows));
  const MatrixProduct* m = a.products;
  return Launch(stream, grid, kMmaGemmThreads, Shape::kSharedBytes)(
      gemm_mma<Block, kTokens>, bytes_at(m[0].weight), bytes_at(m[1].weight), bytes_at(m[2].weight),
      bytes_at(a.x.image), a.x.scales, m[0].bias, m[1].bias, m[2].bias, m[0].y, m[1].y, m[2].y, a.params);
}

template <typename Block>
Error launch_mma_experts(Stream stream, const GemmLaunch& a) {
  using Shape = MmaGemmShape<Block, kMmaSmallTokens>;
  const Grid grid(a.choices->n_tiles, a.row_tiles(Shape::kRows));
  const MatrixProduct& m = a.products[0];
  return Launch(stream, grid, kMmaGemmThreads, Shape::kSharedBytes)(
      experts_mma<Block, kMmaSmallTokens>, bytes_at(m.weight), bytes_at(a.x.image), a.x.scales, m.bias, a.choices->rows,
      a.choices->tiles, a.choices->places, m.y, ExpertGemmParams{a.product(0), a.has_slots, a.round});
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
