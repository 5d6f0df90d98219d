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
#ifdef OUTPOST_FEW_WEIGHT_TYPES
  // Each type is kernels that take seconds to compile: no others than tests ask for which run then (CMakeLists.txt).
  REQUIRE(!type.is_wide);
  switch (type.type) {
    case TensorType::kQ4_0: return run.template operator()<BlockQ4_0>();
    case TensorType::kQ4_K: return run.template operator()<BlockQ4_K>();
    case TensorType::kQ5_0: return run.template operator()<BlockQ5_0>();
    case TensorType::kQ8_0: return run.template operator()<BlockQ8_0>();
    case TensorType::kBF16: return run.template operator()<gpu::ElementBF16>();
    default: FAIL(tensor_type_traits(type.type).name, " is not among the few types");
  }
#else
  if (type.is_wide)
    type.type == TensorType::kQ8_0 ? run.template operator()<WideQ8_0>() : run.template operator()<WideQ6_K>();
  else if (type.type == TensorType::kF16)
    run.template operator()<gpu::ElementF16>();
  else if (type.type == TensorType::kBF16)
    run.template operator()<gpu::ElementBF16>();
  else
    REQUIRE(visit_block(type.type, run));
#endif
}

}  // namespace outpost::test
