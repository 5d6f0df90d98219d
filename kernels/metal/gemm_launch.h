// Launches of gemm_simdgroup with one type of weights.
#pragma once

#include "kernels/launchers/launch.h"
#include "kernels/metal/gemm_simdgroup.h"

namespace outpost::gpu {

struct GemmLaunch {
  const void* weight;
  const uint32_t* image;
  const float* scales;
  const float* bias;
  float* y;
  GemmParams params;
};

template <typename Block>
Error launch_gemm_block(Stream stream, const GemmLaunch& a) {
  const Grid grid((a.params.n_tokens + kSimdGemmTokens - 1) / kSimdGemmTokens,
                  (a.params.n_rows + kSimdGemmRows - 1) / kSimdGemmRows);
  return Launch(stream, grid, kSimdGemmThreads)(gemm_simdgroup<Block>, static_cast<const Block*>(a.weight), a.image,
                                                a.scales, a.bias, a.y, a.params);
}

}  // namespace outpost::gpu
