// Launches of gemm_wgmma with one type of weights. Private to gemm_launchers.cu and gemm_type.cu.in.
#pragma once

#include "kernels/portable/halve.h"
#include "kernels/runtime/runtime.h"

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
Error launch_gemm_block(Stream stream, const GemmLaunch& arguments);

}  // namespace outpost::gpu
