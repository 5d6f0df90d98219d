#include "kernels/cuda/device_units.h"
#include "kernels/cuda/gemm_mma.h"
#include "kernels/cuda/gemm_wgmma.h"
#include "kernels/launchers/launch.h"
#include "kernels/launchers/prefill_arguments.h"

namespace outpost::gpu {
namespace {

bool is_wgmma(GemmUnits units) { return units == kUnitsBest && has_wgmma(); }

/// How often blocks of such tiles fill the device.
int64_t waves(const GemmLaunch& a, int32_t n_tokens, int32_t n_rows) {
  const int64_t n_blocks = int64_t{(a.params.n_tokens + n_tokens - 1) / n_tokens} * a.row_tiles(n_rows);
  return (n_blocks + n_multiprocessors() - 1) / n_multiprocessors();
}

// Half the tokens are more than half the work, as weights are decoded for fewer; but they may fill the device better.
GemmTile choose_tile(const GemmLaunch& a, GemmUnits units) {
  const bool is_large =
      is_wgmma(units) ? 3 * waves(a, 256, kGemmRows) <= 2 * waves(a, 128, kGemmRows)
                      // A quarter of the tile is counted as a third of the work: not measured.
                      : 3 * waves(a, kMmaLargeTokens, kMmaLargeTokens) <= waves(a, kMmaSmallTokens, kMmaSmallTokens);
  return is_large ? kGemmLarge : kGemmSmall;
}

}  // namespace

GemmTile choose_gemm_tile(const MatrixProduct* products, int32_t n_products, int32_t n_tokens, GemmUnits units) {
  return choose_tile(set_launch(products, n_products, {}, 0, n_tokens), units);
}

// The tiles of wgmma are large where they are fast: it takes many tokens to fill the device with them.
PassTokens pass_tokens() { return has_wgmma() ? PassTokens{2048, 512} : PassTokens{512, 64}; }

Error launch_gemm(Stream stream, DeviceType type, const MatrixProduct* products, int32_t n_products,
                  const HalvedInput& x, int32_t n_groups, int32_t n_tokens, GemmTile tile, GemmUnits units) {
  if (!can_gemm(type, int64_t{32} * n_groups) || n_products > kGemmMatrices) return Error::kInvalidValue;
  if (n_tokens == 0) return Error::kNone;
  GemmLaunch launch = set_launch(products, n_products, x, n_groups, n_tokens);
  const bool is_large = (tile == kGemmAny ? choose_tile(launch, units) : tile) == kGemmLarge;
  launch.units = is_wgmma(units) ? kUnitsBest : kUnitsMma;
  if (launch.units == kUnitsBest)
    launch.tile_tokens = is_large ? 256 : 128;
  else
    launch.tile_tokens = is_large ? kMmaLargeTokens : kMmaSmallTokens;
  return launch_gemm_type(stream, type, launch);
}

// Decoding weights takes wgmma about as long as multiplying them by 64 tokens, so that fewer save nothing; an expert of
// a little more than 64 has its weights decoded once with 128. Counted, not measured.
int32_t expert_tile_rows(int32_t n_choices, int32_t n_expert, GemmUnits units) {
  return !is_wgmma(units) ? kMmaSmallTokens : n_choices / n_expert <= 48 ? 64 : 128;
}

Error launch_experts_gemm(Stream stream, DeviceType type, const void* weight, const HalvedInput& x, const float* bias,
                          const ArrangedChoices& choices, float* y, const ExpertGemmParams& params, GemmUnits units) {
  if (!can_gemm(type, int64_t{32} * params.product.n_groups)) return Error::kInvalidValue;
  if (choices.tile_rows != 64 && (choices.tile_rows != 128 || !is_wgmma(units))) return Error::kInvalidValue;
  GemmLaunch launch = experts_launch(weight, x, bias, choices, y, params);
  launch.units = is_wgmma(units) ? kUnitsBest : kUnitsMma;
  return launch_gemm_type(stream, type, launch);
}

}  // namespace outpost::gpu
