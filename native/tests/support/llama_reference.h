// The llama forward pass written down from the papers in double precision, without batches, pages or threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tests/support/tiny_model.h"

namespace outpost::test {

/// The logits after each token, [n_tokens, n_vocab]. Keys and values are rounded to f16, as the KV cache keeps them;
/// nothing else is rounded. Uses "rope_freqs.weight" and "output.weight" where the model has them.
std::vector<float> reference_logits(const TinyLlama& model, std::span<const int32_t> tokens);

}  // namespace outpost::test
