// Launches of gemm_wgmma with one type of weights. Private to gemm_launchers.cu and gemm_type.cu.in.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/portable/halve.h"

namespace outpost::gpu {

struct GemmLaunch {
  const void* weight;
  const uint32_t* image;
  const float* scales;
  const float* bias;
  float* y;
  GemmParams params;
  int32_t tile_tokens;  ///< 256 or 128
};

// gemm_type.cu.in has the definitions, a file for each type.
template <typename Block>
cudaError_t launch_gemm_block(cudaStream_t stream, const GemmLaunch& arguments);

}  // namespace outpost::gpu
