// What the runtimes' launchers of products with many tokens, and of flash attention, have in common. Private to them.
#pragma once

#include "kernels/launchers/device_block.h"
#include "kernels/launchers/gemm_arguments.h"
#include "kernels/launchers/launchers.h"
#include "kernels/portable/float_matvec.h"

namespace outpost::gpu {

struct LaunchGemm {
  Stream stream;
  const GemmLaunch& arguments;
  Error error = Error::kInvalidValue;

  template <typename Block>
  void operator()() {
    error = launch_gemm_block<Block>(stream, arguments);
  }
};

/// @pre can_gemm
inline Error launch_gemm_type(Stream stream, DeviceType type, const GemmLaunch& arguments) {
  LaunchGemm launch{stream, arguments};
  if (type.type == TensorType::kF16)
    launch.operator()<ElementF16>();
  else if (type.type == TensorType::kBF16)
    launch.operator()<ElementBF16>();
  else
    visit_device_block(type, launch);
  return launch.error;
}

/// Calls visitor.operator()<kDim>() if there is a flash attention for heads of that dimension. @return whether there is
template <typename Visitor>
bool visit_flash_dim(int32_t dim, Visitor&& visitor) {
  switch (dim) {
    case 64: visitor.template operator()<64>(); return true;
    case 80: visitor.template operator()<80>(); return true;
    case 96: visitor.template operator()<96>(); return true;
    case 128: visitor.template operator()<128>(); return true;
    case 256: visitor.template operator()<256>(); return true;
    default: return false;
  }
}

struct VisitNothing {
  template <int kDim>
  void operator()() {}
};
inline bool has_flash_dim(int32_t dim) { return visit_flash_dim(dim, VisitNothing()); }

}  // namespace outpost::gpu
