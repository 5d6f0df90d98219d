// A part of outpost-gpu-bench.
#pragma once

#include "kernels/common/tensor_type.h"

namespace outpost::test {

/// A prompt through the three matrices of a layer's experts, each token with n_used of them: on int8 units, eight of an
/// expert at a time, and on f16 units with tiles of either size.
void measure_experts(TensorType type, int32_t n_expert, int32_t n_used, int32_t n_embd, int32_t n_ff, int32_t n_tokens);

}  // namespace outpost::test
