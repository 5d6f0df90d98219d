// The type of weights of a product on f16 matrix units as a template argument.
#pragma once

#include <doctest/doctest.h>

#include "kernels/common/visit_block.h"
#include "kernels/common/wide_blocks.h"
#include "kernels/launchers/launch_types.h"
#include "kernels/portable/float_matvec.h"

namespace outpost::test {

/// Calls run.operator()<Block>(). @pre can_gemm
template <typename Run>
void visit_weights(gpu::DeviceType type, const Run& run) {
  if (type.is_wide)
    type.type == TensorType::kQ8_0 ? run.template operator()<WideQ8_0>() : run.template operator()<WideQ6_K>();
  else if (type.type == TensorType::kF16)
    run.template operator()<gpu::ElementF16>();
  else if (type.type == TensorType::kBF16)
    run.template operator()<gpu::ElementBF16>();
  else
    REQUIRE(visit_block(type.type, run));
}

}  // namespace outpost::test
