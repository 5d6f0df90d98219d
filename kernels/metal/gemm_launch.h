// Launches of gemm_simdgroup with one type of weights. Private to metal_products.cpp and block_kernels.cpp.in.
#pragma once

#include "kernels/launchers/gemm_arguments.h"
#include "kernels/launchers/launch.h"
#include "kernels/metal/gemm_simdgroup.h"

namespace outpost::gpu {

template <typename Block>
Error launch_gemm_block(Stream stream, const GemmLaunch& a) {
  const uint32_t n_row_blocks = (a.params.n_rows + kSimdGemmRows - 1) / kSimdGemmRows;
  if (a.choices != nullptr) {
    return Launch(stream, Grid(a.choices->n_tiles, n_row_blocks), kSimdGemmThreads)(
        experts_simdgroup<Block>, static_cast<const Block*>(a.weight), a.image, a.scales, a.bias, a.choices->rows,
        a.choices->tiles, a.choices->places, a.y, ExpertGemmParams{a.params, a.has_slots, a.round});
  }
  const Grid grid((a.params.n_tokens + kSimdGemmTokens - 1) / kSimdGemmTokens, n_row_blocks);
  return Launch(stream, grid, kSimdGemmThreads)(gemm_simdgroup<Block>, static_cast<const Block*>(a.weight), a.image,
                                                a.scales, a.bias, a.y, a.params);
}

}  // namespace outpost::gpu
