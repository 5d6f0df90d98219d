// A file of its own, as every type and dimension is a kernel.
#include <doctest/doctest.h>

#include "kernels/common/visit_block.h"
#include "kernels/metal/flash_simdgroup.h"
#include "kernels/metal/gemm_simdgroup.h"
#include "kernels/tests/simdgroup_operations.h"

namespace outpost::test {

using namespace gpu;
using emulator::launch;

int32_t simdgroup_tile_rows() { return kSimdFlashRows; }

void run_gemm_simdgroup(DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image,
                        DeviceArray<float>& scales, DeviceArray<float>& bias, DeviceArray<float>& y,
                        const GemmParams& params, Schedule schedule) {
  const emulator::Dim3 grid = {(params.n_tokens + kSimdGemmTokens - 1) / kSimdGemmTokens,
                               (params.n_rows + kSimdGemmRows - 1) / kSimdGemmRows};
  const auto run = [&]<typename Block>() {
    const DevicePtr<const Block> blocks{weight.pointer().region(), 0};
    launch({grid, kSimdGemmThreads, schedule, 1},
           [&] { gemm_simdgroup<Block>(blocks, image, scales, bias, y, params); });
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
