// The engine's own quantizer, for fake_quantize.py: weights as they will be read from a file of q4_K.
//
// Not in cpu_gradient.cpp: that is compiled with -ffast-math, which would change what is rounded.
#include <cstdint>
#include <thread>
#include <vector>

#include "quant/dequantize_block.h"
#include "quant/quantize_block.h"

/// @param x [256 * n_superblocks] f32, finite; the result's place, too
extern "C" void fake_quantize_q4_k(float* x, std::int64_t n_superblocks, std::int32_t n_threads) {
  const auto quantize = [&](std::int64_t first, std::int64_t last) {
    for (float* values = x + 256 * first; values != x + 256 * last; values += 256) {
      outpost::BlockQ4_K block;
      outpost::quantize_block(values, block);
      outpost::dequantize_block(block, values);
    }
  };
  std::vector<std::thread> threads;
  for (std::int64_t i = 0; i < n_threads; ++i)
    threads.emplace_back(quantize, i * n_superblocks / n_threads, (i + 1) * n_superblocks / n_threads);
  for (std::thread& thread : threads) thread.join();
}
