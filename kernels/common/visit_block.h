// From the type of a tensor, known at run time, to the structure of its blocks.
#pragma once

#include "kernels/common/block_layouts.h"
#include "kernels/common/tensor_type.h"

namespace outpost {

/// Calls visitor.operator()<Block>() with the block of a quantized type.
/// @return false for the types without blocks: f32, f16, bf16, and those that hold no weights
template <typename Visitor>
bool visit_block(TensorType type, Visitor&& visitor) {
  switch (type) {
    case TensorType::kQ4_0: visitor.template operator()<BlockQ4_0>(); return true;
    case TensorType::kQ4_1: visitor.template operator()<BlockQ4_1>(); return true;
    case TensorType::kQ5_0: visitor.template operator()<BlockQ5_0>(); return true;
    case TensorType::kQ5_1: visitor.template operator()<BlockQ5_1>(); return true;
    case TensorType::kQ8_0: visitor.template operator()<BlockQ8_0>(); return true;
    case TensorType::kIQ4_NL: visitor.template operator()<BlockIQ4_NL>(); return true;
    case TensorType::kMXFP4: visitor.template operator()<BlockMXFP4>(); return true;
    case TensorType::kQ2_K: visitor.template operator()<BlockQ2_K>(); return true;
    case TensorType::kQ3_K: visitor.template operator()<BlockQ3_K>(); return true;
    case TensorType::kQ4_K: visitor.template operator()<BlockQ4_K>(); return true;
    case TensorType::kQ5_K: visitor.template operator()<BlockQ5_K>(); return true;
    case TensorType::kQ6_K: visitor.template operator()<BlockQ6_K>(); return true;
    case TensorType::kQ8_K: visitor.template operator()<BlockQ8_K>(); return true;
    case TensorType::kIQ4_XS: visitor.template operator()<BlockIQ4_XS>(); return true;
    case TensorType::kTQ1_0: visitor.template operator()<BlockTQ1_0>(); return true;
    case TensorType::kTQ2_0: visitor.template operator()<BlockTQ2_0>(); return true;
    case TensorType::kIQ2_XXS: visitor.template operator()<BlockIQ2_XXS>(); return true;
    case TensorType::kIQ2_XS: visitor.template operator()<BlockIQ2_XS>(); return true;
    case TensorType::kIQ2_S: visitor.template operator()<BlockIQ2_S>(); return true;
    case TensorType::kIQ3_XXS: visitor.template operator()<BlockIQ3_XXS>(); return true;
    case TensorType::kIQ3_S: visitor.template operator()<BlockIQ3_S>(); return true;
    case TensorType::kIQ1_S: visitor.template operator()<BlockIQ1_S>(); return true;
    case TensorType::kIQ1_M: visitor.template operator()<BlockIQ1_M>(); return true;
    default: return false;
  }
}

}  // namespace outpost
