// The arguments of a product with many tokens, which a runtime has a file for with each type. What all types have in
// common is in prefill_arguments.h: included in those files too, it would have every one of them compile all kernels.
#pragma once

#include "kernels/launchers/launch_types.h"
#include "kernels/portable/image.h"
#include "kernels/runtime/runtime.h"

namespace outpost::gpu {

struct GemmLaunch {
  const void* weight;
  const uint32_t* image;
  const float* scales;
  const float* bias;
  float* y;
  GemmParams params;
  int32_t tile_tokens = 0;                   ///< CUDA's
  const ArrangedChoices* choices = nullptr;  ///< null: no experts
  int32_t has_slots = 0, round = 0;          ///< of ExpertGemmParams
  GemmUnits units = kUnitsBest;              ///< CUDA's, of which kUnitsBest is wgmma here
};

template <typename Block>
Error launch_gemm_block(Stream stream, const GemmLaunch& arguments);

/// A product with experts. @pre can_gemm
inline GemmLaunch experts_launch(const void* weight, const HalvedInput& x, const float* bias,
                                 const ArrangedChoices& choices, float* y, const ExpertGemmParams& params) {
  return {weight,   x.image,          x.scales,    bias, y, params.product, choices.tile_rows,
          &choices, params.has_slots, params.round};
}

}  // namespace outpost::gpu
