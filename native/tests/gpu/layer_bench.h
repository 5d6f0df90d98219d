#pragma once

#include <cstdint>

namespace outpost::test {

/// Prints what a layer of an 8B model in Q4_K takes in a recorded pass of n_tokens, and how much less without each of
/// its launches: those overlap, so what one takes alone says little. @param is_fused one token, as where has_stream()
void measure_layer(int32_t n_tokens, bool is_fused);

}  // namespace outpost::test
