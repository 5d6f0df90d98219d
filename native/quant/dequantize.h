// From the blocks of a GGUF tensor to f32, by the definition of each format: the reference for every kernel, and
// the way to every type that has no kernel of its own. Any bytes give some values; none are read out of bounds.
//
// The bits are those of llama.cpp (node-llama-cpp 3.22.1), which tests/vectors/tensor-types.txt records; the one
// exception is MXFP4 with the exponent 255, which is NaN by its definition.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/tensor_type.h"

namespace outpost {

/// Types that hold weights: all but the integers, f64 and q8_1, which is a format of activations.
bool can_dequantize(TensorType type);

/// @param n elements, a multiple of the type's block
/// @pre can_dequantize(type)
void dequantize(TensorType type, const std::byte* blocks, float* out, int64_t n);

}  // namespace outpost
