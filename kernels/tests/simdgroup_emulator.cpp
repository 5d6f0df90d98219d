// A file of its own, as every type and dimension is a kernel.
#include <doctest/doctest.h>

#include "kernels/metal/flash_simdgroup.h"
#include "kernels/metal/gemm_simdgroup.h"
#include "kernels/tests/simdgroup_operations.h"
#include "kernels/tests/visit_weights.h"

namespace outpost::test {

using namespace gpu;
using emulator::launch;

int32_t simdgroup_expert_rows() { return kSimdGemmTokens; }
int32_t simdgroup_tile_rows() { return kSimdFlashRows; }

void run_gemm_simdgroup(DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image,
                        DeviceArray<float>& scales, DeviceArray<float>& bias, DeviceArray<float>& y,
                        const GemmParams& params, Schedule schedule) {
  const emulator::Dim3 grid = {(params.n_tokens + kSimdGemmTokens - 1) / kSimdGemmTokens,
                               (params.n_rows + kSimdGemmRows - 1) / kSimdGemmRows};
  visit_weights(type, [&]<typename Block>() {
    const DevicePtr<const Block> blocks{weight.pointer().region(), 0};
    launch({grid, kSimdGemmThreads, schedule, 1},
           [&] { gemm_simdgroup<Block>(blocks, image, scales, bias, y, params); });
  });
}

void run_experts_simdgroup(DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image,
                           DeviceArray<float>& scales, DeviceArray<float>& bias, DeviceRows& rows,
                           DeviceArray<float>& y, const ExpertGemmParams& params, Schedule schedule) {
  REQUIRE(rows.tile_rows == kSimdGemmTokens);
  const emulator::Dim3 grid = {rows.n_tiles, (params.product.n_rows + kSimdGemmRows - 1) / kSimdGemmRows};
  DevicePtr<const int32_t> places;
  if (rows.places != nullptr) places = *rows.places;
  visit_weights(type, [&]<typename Block>() {
    const DevicePtr<const Block> blocks{weight.pointer().region(), 0};
    launch({grid, kSimdGemmThreads, schedule, 1},
           [&] { experts_simdgroup<Block>(blocks, image, scales, bias, rows.rows, rows.tiles, places, y, params); });
  });
}

void run_flash_simdgroup(DeviceArray<float>& q, DeviceArray<uint16_t>& pages, DeviceArray<int32_t>& page_tables,
                         DeviceArray<AttentionTile>& tiles, DeviceArray<float>& sinks, DeviceArray<float>& y,
                         int32_t n_tiles, const AttentionKernelParams& params, Schedule schedule) {
  const auto run = [&]<int kDim>() {
    launch({{n_tiles, params.kv.n_head_kv}, kSimdFlashThreads, schedule, 4},
           [&] { flash_simdgroup<kDim>(q, pages, page_tables, tiles, sinks, y, params); });
  };
  REQUIRE(params.kv.head_dim_k == params.kv.head_dim_v);
  switch (params.kv.head_dim_k) {
    case 64: return run.operator()<64>();
    case 80: return run.operator()<80>();
    case 96: return run.operator()<96>();
    case 128: return run.operator()<128>();
    case 256: return run.operator()<256>();
    default: FAIL("a dimension without a kernel");
  }
}

}  // namespace outpost::test
