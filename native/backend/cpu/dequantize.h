// From quantized blocks to f32, by the definition of each format: the reference for every kernel, and the
// way rows of the token embedding are read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/tensor_type.h"

namespace outpost {

bool can_dequantize(TensorType type);

/// @param n elements, a multiple of the type's block
/// @pre can_dequantize(type)
void dequantize(TensorType type, const std::byte* blocks, float* out, int64_t n);

}  // namespace outpost
