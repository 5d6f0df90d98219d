// gemm_wgmma and gemm_mma under the SIMT emulator: a file of its own, as every type and tile is a kernel.
#ifndef OUTPOST_ON_GPU

#include <doctest/doctest.h>

#include "kernels/cuda/gemm_mma.h"
#include "kernels/cuda/gemm_wgmma.h"
#include "kernels/tests/operations.h"
#include "kernels/tests/visit_weights.h"

namespace outpost::test {

using namespace gpu;

namespace {

struct GemmArrays {
  DevicePtr<const uint8_t> weights[kGemmMatrices], image;
  DevicePtr<const float> scales, biases[kGemmMatrices];
  DevicePtr<float> ys[kGemmMatrices];

  GemmArrays(DeviceArray<uint32_t>& an_image, DeviceArray<float>& own_scales)
      : image(an_image.pointer().region(), 0), scales(own_scales) {}
  void set(int32_t i, DeviceArray<std::byte>& weight, DeviceArray<float>& bias, DeviceArray<float>& y) {
    weights[i] = {weight.pointer().region(), 0};
    biases[i] = bias;
    ys[i] = y;
  }
};

/// Tiles of rows of all matrices.
int32_t row_tiles(const GemmSetParams& params, int32_t tile_rows) {
  int32_t n = 0;
  for (const int32_t n_rows : params.n_rows) n += (n_rows + tile_rows - 1) / tile_rows;
  return n;
}

constexpr size_t kBarrierBytes = sizeof(uint64_t) * kGemmBarriers;

emulator::Dim3 grid_of(int32_t n_token_tiles, int32_t n_rows, int32_t tile_rows) {
  return {n_token_tiles, (n_rows + tile_rows - 1) / tile_rows};
}

template <typename Block, int kTokens>
void run_wgmma(const GemmArrays& a, const GemmSetParams& params, Schedule schedule) {
  const emulator::Dim3 grid = {(params.n_tokens + kTokens - 1) / kTokens, row_tiles(params, kGemmRows)};
  emulator::launch({grid, kGemmThreads, schedule, 1, GemmShape<Block, kTokens>::kSharedBytes + kBarrierBytes}, [&] {
    gemm_wgmma<Block, kTokens>(a.weights[0], a.weights[1], a.weights[2], a.image, a.scales, a.biases[0], a.biases[1],
                               a.biases[2], a.ys[0], a.ys[1], a.ys[2], params);
  });
}

template <typename Block, int kTokens>
void run_mma(const GemmArrays& a, const GemmSetParams& params, Schedule schedule) {
  using Shape = MmaGemmShape<Block, kTokens>;
  const emulator::Dim3 grid = {(params.n_tokens + kTokens - 1) / kTokens, row_tiles(params, Shape::kRows)};
  emulator::launch({grid, kMmaGemmThreads, schedule, 1, Shape::kSharedBytes}, [&] {
    gemm_mma<Block, kTokens>(a.weights[0], a.weights[1], a.weights[2], a.image, a.scales, a.biases[0], a.biases[1],
                             a.biases[2], a.ys[0], a.ys[1], a.ys[2], params);
  });
}

struct ExpertArrays {
  DevicePtr<const int32_t> rows, tiles, places;
};

template <typename Block, int kTokens>
void run_experts_wgmma(const GemmArrays& a, const ExpertArrays& experts, int32_t n_tiles,
                       const ExpertGemmParams& params, Schedule schedule) {
  constexpr size_t kSharedBytes = GemmShape<Block, kTokens>::kSharedBytes + kBarrierBytes;
  emulator::launch({grid_of(n_tiles, params.product.n_rows, kGemmRows), kGemmThreads, schedule, 1, kSharedBytes}, [&] {
    experts_wgmma<Block, kTokens>(a.weights[0], a.image, a.scales, a.biases[0], experts.rows, experts.tiles,
                                  experts.places, a.ys[0], params);
  });
}

template <typename Block>
void run_experts_mma(const GemmArrays& a, const ExpertArrays& experts, int32_t n_tiles, const ExpertGemmParams& params,
                     Schedule schedule) {
  using Shape = MmaGemmShape<Block, kMmaSmallTokens>;
  const auto grid = grid_of(n_tiles, params.product.n_rows, Shape::kRows);
  emulator::launch({grid, kMmaGemmThreads, schedule, 1, Shape::kSharedBytes}, [&] {
    experts_mma<Block, kMmaSmallTokens>(a.weights[0], a.image, a.scales, a.biases[0], experts.rows, experts.tiles,
                                        experts.places, a.ys[0], params);
  });
}

}  // namespace

std::vector<GemmUnits> gemm_units() { return {kUnitsBest, kUnitsMma}; }

void run_gemm(DeviceType type, const std::vector<GemmMatrix>& matrices, DeviceArray<uint32_t>& image,
              DeviceArray<float>& scales, const GemmSetParams& params, GemmUnits units, GemmTile tile,
              Schedule schedule) {
  GemmArrays arrays(image, scales);
  for (size_t i = 0; i < matrices.size(); ++i)
    arrays.set(static_cast<int32_t>(i), matrices[i].weight, matrices[i].bias, matrices[i].y);
  // A device chooses by how many tiles it computes at once.
  const bool is_large = tile == kGemmLarge || (tile == kGemmAny && params.n_tokens > 128);
  visit_weights(type, [&]<typename Block>() {
    if (units == kUnitsMma) {
      if (is_large) return run_mma<Block, kMmaLargeTokens>(arrays, params, schedule);
      return run_mma<Block, kMmaSmallTokens>(arrays, params, schedule);
    }
    if (is_large) return run_wgmma<Block, 256>(arrays, params, schedule);
    run_wgmma<Block, 128>(arrays, params, schedule);
  });
}

void run_experts_gemm(DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image,
                      DeviceArray<float>& scales, DeviceArray<float>& bias, DeviceRows& rows, DeviceArray<float>& y,
                      const ExpertGemmParams& params, GemmUnits units, Schedule schedule) {
  GemmArrays arrays(image, scales);
  arrays.set(0, weight, bias, y);
  ExpertArrays experts = {rows.rows, rows.tiles, {}};
  if (rows.places != nullptr) experts.places = *rows.places;
  visit_weights(type, [&]<typename Block>() {
    if (units == kUnitsMma) return run_experts_mma<Block>(arrays, experts, rows.n_tiles, params, schedule);
    if (rows.tile_rows == 64) return run_experts_wgmma<Block, 64>(arrays, experts, rows.n_tiles, params, schedule);
    run_experts_wgmma<Block, 128>(arrays, experts, rows.n_tiles, params, schedule);
  });
}

}  // namespace outpost::test

#endif
