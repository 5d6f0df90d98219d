// Metal's kernels with simdgroup matrices, under the SIMT emulator: no machine with such a device runs these tests.
#pragma once

#include "kernels/tests/operations.h"

namespace outpost::test {

/// Rows of a tile of a product with experts.
int32_t simdgroup_expert_rows();
/// Rows of a tile of attention.
int32_t simdgroup_tile_rows();

// The arguments are those of the kernels.
void run_gemm_simdgroup(gpu::DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image,
                        DeviceArray<float>& scales, DeviceArray<float>& bias, DeviceArray<float>& y,
                        const gpu::GemmParams& params, Schedule schedule = Schedule::kInOrder);
/// Tiles of simdgroup_expert_rows.
void run_experts_simdgroup(gpu::DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image,
                           DeviceArray<float>& scales, DeviceArray<float>& bias, DeviceRows& rows,
                           DeviceArray<float>& y, const gpu::ExpertGemmParams& params,
                           Schedule schedule = Schedule::kInOrder);
void run_flash_simdgroup(DeviceArray<float>& q, DeviceArray<uint16_t>& pages, DeviceArray<int32_t>& page_tables,
                         DeviceArray<gpu::AttentionTile>& tiles, DeviceArray<float>& sinks, DeviceArray<float>& y,
                         int32_t n_tiles, const gpu::AttentionKernelParams& params,
                         Schedule schedule = Schedule::kInOrder);

}  // namespace outpost::test
