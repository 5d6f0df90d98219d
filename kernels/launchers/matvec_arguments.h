// Private to matvec_launchers.cu and matvec_type.cu.in.
#pragma once

#include "kernels/launchers/launch_types.h"
#include "kernels/portable/experts.h"
#include "kernels/portable/superblock_matvec.h"
#include "kernels/runtime/runtime.h"

namespace outpost::gpu {

/// The arguments of a product; those that it does not take are not set.
struct MatvecLaunch {
  const void* weight = nullptr;
  const void* up = nullptr;  ///< null: not gated
  QuantizedInput x;
  const float* bias = nullptr;
  const float* up_bias = nullptr;
  const ExpertLists* lists = nullptr;  ///< null: no experts
  float* y = nullptr;
  ExpertParams params{};
};

/// Of products with superblocks: if is_gated, matrices[0] and [1] are gate and up, and matrices[0].y the result.
struct SuperLaunch {
  MatrixProduct matrices[kSuperMatrices] = {};
  QuantizedInput x{};
  SuperParams params{};
  bool is_gated = false;
  SuperPath path = kSuperAny;
  FusedInput fused;
  SuperFusion fusion{};
};

/// Blocks of superblock_stream that the current device runs at once, one on each multiprocessor; 0 where it runs none.
int32_t stream_blocks();
/// Widest row of one token that it takes.
inline constexpr int32_t kMostStreamColumns = 32768;

}  // namespace outpost::gpu
