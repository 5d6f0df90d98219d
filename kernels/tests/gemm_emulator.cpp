// gemm_wgmma under the SIMT emulator: a file of its own, as every type and tile is a kernel.
#ifndef OUTPOST_ON_GPU

#include <doctest/doctest.h>

#include "kernels/cuda/gemm_wgmma.h"
#include "kernels/tests/operations.h"
#include "kernels/tests/visit_weights.h"

namespace outpost::test {

using namespace gpu;

namespace {

struct GemmArrays {
  DevicePtr<const uint8_t> weight, image;
  DevicePtr<const float> scales, bias;
  DevicePtr<float> y;
};

template <typename Block, int kTokens>
void run_tile(const GemmArrays& a, const GemmParams& params, Schedule schedule) {
  constexpr size_t kSharedBytes = GemmShape<Block, kTokens>::kSharedBytes + sizeof(uint64_t) * kGemmBarriers;
  const emulator::Dim3 grid = {(params.n_tokens + kTokens - 1) / kTokens, (params.n_rows + kGemmRows - 1) / kGemmRows};
  emulator::launch({grid, kGemmThreads, schedule, 1, kSharedBytes},
                   [&] { gemm_wgmma<Block, kTokens>(a.weight, a.image, a.scales, a.bias, a.y, params); });
}

struct ExpertArrays {
  DevicePtr<const int32_t> rows, tiles, places;
};

template <typename Block, int kTokens>
void run_expert_tile(const GemmArrays& a, const ExpertArrays& experts, int32_t n_tiles, const ExpertGemmParams& params,
                     Schedule schedule) {
  constexpr size_t kSharedBytes = GemmShape<Block, kTokens>::kSharedBytes + sizeof(uint64_t) * kGemmBarriers;
  const emulator::Dim3 grid = {n_tiles, (params.product.n_rows + kGemmRows - 1) / kGemmRows};
  emulator::launch({grid, kGemmThreads, schedule, 1, kSharedBytes}, [&] {
    experts_wgmma<Block, kTokens>(a.weight, a.image, a.scales, a.bias, experts.rows, experts.tiles, experts.places, a.y,
                                  params);
  });
}

}  // namespace

void run_gemm(DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image, DeviceArray<float>& scales,
              DeviceArray<float>& bias, DeviceArray<float>& y, const GemmParams& params, GemmTile tile,
              Schedule schedule) {
  const GemmArrays arrays = {{weight.pointer().region(), 0}, {image.pointer().region(), 0}, scales, bias, y};
  // A device chooses by how many tiles it computes at once.
  const bool is_large = tile == kGemmLarge || (tile == kGemmAny && params.n_tokens > 128);
  visit_weights(type, [&]<typename Block>() {
    if (is_large) return run_tile<Block, 256>(arrays, params, schedule);
    run_tile<Block, 128>(arrays, params, schedule);
  });
}

void run_experts_gemm(DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image,
                      DeviceArray<float>& scales, DeviceArray<float>& bias, DeviceRows& rows, DeviceArray<float>& y,
                      const ExpertGemmParams& params, Schedule schedule) {
  const GemmArrays arrays = {{weight.pointer().region(), 0}, {image.pointer().region(), 0}, scales, bias, y};
  ExpertArrays experts = {rows.rows, rows.tiles, {}};
  if (rows.places != nullptr) experts.places = *rows.places;
  visit_weights(type, [&]<typename Block>() {
    if (rows.tile_rows == 64) return run_expert_tile<Block, 64>(arrays, experts, rows.n_tiles, params, schedule);
    run_expert_tile<Block, 128>(arrays, experts, rows.n_tiles, params, schedule);
  });
}

}  // namespace outpost::test

#endif
