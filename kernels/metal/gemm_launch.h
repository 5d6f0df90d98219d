// Launches of gemm_simdgroup with one type of weights. Private to metal_products.cpp and block_kernels.cpp.in.
#pragma once

#include "kernels/launchers/launch.h"
#include "kernels/launchers/prefill_arguments.h"
#include "kernels/metal/gemm_simdgroup.h"

namespace outpost::gpu {

template <typename Block>
Error launch_gemm_block(Stream stream, const GemmLaunch& a) {
  const Grid grid((a.params.n_tokens + kSimdGemmTokens - 1) / kSimdGemmTokens,
                  (a.params.n_rows + kSimdGemmRows - 1) / kSimdGemmRows);
  return Launch(stream, grid, kSimdGemmThreads)(gemm_simdgroup<Block>, static_cast<const Block*>(a.weight), a.image,
                                                a.scales, a.bias, a.y, a.params);
}

}  // namespace outpost::gpu
