// From a DeviceType, known at run time, to the structure of its blocks.
#pragma once

#include "kernels/common/visit_block.h"
#include "kernels/common/wide_blocks.h"
#include "kernels/launchers/launch_types.h"

namespace outpost::gpu {

/// As visit_block.
template <typename Visitor>
bool visit_device_block(DeviceType type, Visitor&& visitor) {
  if (!type.is_wide) return visit_block(type.type, visitor);
  switch (type.type) {
    case TensorType::kQ8_0: visitor.template operator()<WideQ8_0>(); return true;
    case TensorType::kQ6_K: visitor.template operator()<WideQ6_K>(); return true;
    default: return false;
  }
}

}  // namespace outpost::gpu
