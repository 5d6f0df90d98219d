// Launches of gemm_simdgroup with one type of weights. Private to metal_products.cpp and block_kernels.cpp.in.
#pragma once

#include "kernels/launchers/gemm_arguments.h"
#include "kernels/launchers/launch.h"
#include "kernels/metal/gemm_simdgroup.h"

namespace outpost::gpu {

/// A launch for each matrix: there are no blocks without work to fill here, as far as anybody knows.
template <typename Block>
Error launch_gemm_block(Stream stream, const GemmLaunch& a) {
  for (int32_t i = 0; i < kGemmMatrices; ++i) {
    const GemmParams params = a.product(i);
    if (params.n_rows == 0) continue;
    const MatrixProduct& m = a.products[i];
    const auto* weight = static_cast<const Block*>(m.weight);
    const uint32_t n_row_tiles = (params.n_rows + kSimdGemmRows - 1) / kSimdGemmRows;
    const Grid grid(
        a.choices != nullptr ? a.choices->n_tiles : (params.n_tokens + kSimdGemmTokens - 1) / kSimdGemmTokens,
        n_row_tiles);
    const Launch launch(stream, grid, kSimdGemmThreads);
    const Error error =
        a.choices != nullptr
            ? launch(experts_simdgroup<Block>, weight, a.x.image, a.x.scales, m.bias, a.choices->rows, a.choices->tiles,
                     a.choices->places, m.y, ExpertGemmParams{params, a.has_slots, a.round})
            : launch(gemm_simdgroup<Block>, weight, a.x.image, a.x.scales, m.bias, m.y, params);
    if (error != Error::kNone) return error;
  }
  return Error::kNone;
}

}  // namespace outpost::gpu
