// gemm_wgmma under the SIMT emulator: a file of its own, as every type and tile is a kernel.
#ifndef OUTPOST_ON_GPU

#include <doctest/doctest.h>

#include "kernels/common/visit_block.h"
#include "kernels/cuda/gemm_wgmma.h"
#include "kernels/tests/operations.h"

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

}  // namespace

void run_gemm(DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image, DeviceArray<float>& scales,
              DeviceArray<float>& bias, DeviceArray<float>& y, const GemmParams& params, GemmTile tile,
              Schedule schedule) {
  const GemmArrays arrays = {{weight.pointer().region(), 0}, {image.pointer().region(), 0}, scales, bias, y};
  // A device chooses by how many tiles it computes at once.
  const bool is_large = tile == kGemmLarge || (tile == kGemmAny && params.n_tokens > 128);
  const auto run = [&]<typename Block>() {
    if (is_large) return run_tile<Block, 256>(arrays, params, schedule);
    run_tile<Block, 128>(arrays, params, schedule);
  };
  if (type.is_wide)
    type.type == TensorType::kQ8_0 ? run.operator()<WideQ8_0>() : run.operator()<WideQ6_K>();
  else if (type.type == TensorType::kF16)
    run.operator()<ElementF16>();
  else if (type.type == TensorType::kBF16)
    run.operator()<ElementBF16>();
  else
    REQUIRE(visit_block(type.type, run));
}

}  // namespace outpost::test

#endif
