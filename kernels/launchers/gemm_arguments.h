// The arguments of a product with many tokens, which a runtime has a file for with each type. What all types have in
// common is in prefill_arguments.h: included in those files too, it would have every one of them compile all kernels.
#pragma once

#include "kernels/launchers/launch_types.h"
#include "kernels/portable/image.h"
#include "kernels/runtime/runtime.h"

namespace outpost::gpu {

inline const uint8_t* bytes_at(const void* data) { return static_cast<const uint8_t*>(data); }

struct GemmLaunch {
  MatrixProduct products[kGemmMatrices] = {};  ///< with experts one, of them all
  HalvedInput x{};
  GemmSetParams params{};                    ///< with experts n_rows of one of them
  int32_t tile_tokens = 0;                   ///< CUDA's
  const ArrangedChoices* choices = nullptr;  ///< null: no experts
  int32_t has_slots = 0, round = 0;          ///< of ExpertGemmParams
  GemmUnits units = kUnitsBest;              ///< CUDA's, of which kUnitsBest is wgmma here

  /// Of matrix i.
  GemmParams product(int32_t i) const {
    return {params.n_rows[i], params.n_groups, params.n_tokens, params.has_bias >> i & 1};
  }
  /// Tiles of so many rows that all matrices have together.
  uint32_t row_tiles(int32_t tile_rows) const {
    int32_t n = 0;
    for (const int32_t n_rows : params.n_rows) n += (n_rows + tile_rows - 1) / tile_rows;
    return static_cast<uint32_t>(n);
  }
};

template <typename Block>
Error launch_gemm_block(Stream stream, const GemmLaunch& arguments);

/// @pre n_products <= kGemmMatrices
inline GemmLaunch set_launch(const MatrixProduct* products, int32_t n_products, const HalvedInput& x, int32_t n_groups,
                             int32_t n_tokens) {
  GemmLaunch launch;
  launch.x = x;
  launch.params = {{}, n_groups, n_tokens, 0};
  for (int32_t i = 0; i < n_products; ++i) {
    launch.products[i] = products[i];
    launch.params.n_rows[i] = products[i].n_rows;
    launch.params.has_bias |= (products[i].bias != nullptr ? 1 : 0) << i;
  }
  return launch;
}

/// A product with experts. @pre can_gemm
inline GemmLaunch experts_launch(const void* weight, const HalvedInput& x, const float* bias,
                                 const ArrangedChoices& choices, float* y, const ExpertGemmParams& params) {
  const GemmParams& one = params.product;
  const MatrixProduct product = {weight, one.has_bias ? bias : nullptr, y, one.n_rows};
  GemmLaunch launch = set_launch(&product, 1, x, one.n_groups, one.n_tokens);
  launch.tile_tokens = choices.tile_rows;
  launch.choices = &choices;
  launch.has_slots = params.has_slots;
  launch.round = params.round;
  return launch;
}

}  // namespace outpost::gpu
