// From f32 to the blocks of a GGUF tensor. Deterministic: the same values give the same bytes on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/common/tensor_type.h"

namespace outpost {

/// Types that quantize() makes: f32, f16, bf16, q4_0 to q8_0, q2_K to q6_K, iq4_nl, iq4_xs, tq1_0, tq2_0, mxfp4. The
/// other I-quants need to know which inputs matter (an importance matrix); q8_K and q8_1 are no formats for files.
bool can_quantize(TensorType type);

/// The largest magnitude of an element that gives no infinity.
float largest_quantizable(TensorType type);

/// The first of `n` values that is not finite or larger than largest_quantizable().
/// @return its index, or nullopt
std::optional<int64_t> find_unquantizable(TensorType type, const float* x, int64_t n);

/// @param n elements, a multiple of the type's block
/// @param blocks n / block_elements * block_bytes bytes
/// @pre can_quantize(type), and find_unquantizable() finds nothing
void quantize(TensorType type, const float* x, int64_t n, std::byte* blocks);

}  // namespace outpost
