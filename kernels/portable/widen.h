// From blocks as they lie in the file to those that the kernels read 16 bytes at a time. Once, when a weight is loaded.
#pragma once

#include "kernels/common/wide_blocks.h"
#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kWidenThreads = 256;

struct WidenParams {
  int64_t n_words;  ///< of 16 bits, in all wide blocks together
};

// Both see blocks as 16-bit words, of which a thread copies one. Grid: n_words / kWidenThreads blocks, rounded up.

/// @param narrow blocks of Q8_0, wide as many eighths of WideQ8_0
GPU_KERNEL(kWidenThreads)
widen_q8_0(GPU_IN(0, uint16_t, narrow), GPU_IO(1, uint16_t, wide), GPU_PARAMS(2, WidenParams, p) GPU_GRID) {
  const Here here = GPU_HERE;
  const int64_t i = int64_t(here.block_x) * kWidenThreads + here.thread_id;
  if (i >= p.n_words) return;
  const int32_t kWide = int32_t(sizeof(WideQ8_0) / 2), kNarrow = int32_t(sizeof(BlockQ8_0) / 2);
  const int64_t block = i / kWide;
  const int32_t at = int32_t(i % kWide);
  const int64_t first = block * 8 * kNarrow;
  wide[i] = at < 8 ? narrow[first + at * kNarrow] : narrow[first + (at - 8) / 16 * kNarrow + 1 + (at - 8) % 16];
}

/// @param narrow blocks of Q6_K, wide as many WideQ6_K
GPU_KERNEL(kWidenThreads)
widen_q6_k(GPU_IN(0, uint16_t, narrow), GPU_IO(1, uint16_t, wide), GPU_PARAMS(2, WidenParams, p) GPU_GRID) {
  const Here here = GPU_HERE;
  const int64_t i = int64_t(here.block_x) * kWidenThreads + here.thread_id;
  if (i >= p.n_words) return;
  const int32_t kWide = int32_t(sizeof(WideQ6_K) / 2), kNarrow = int32_t(sizeof(BlockQ6_K) / 2);
  const int64_t block = i / kWide;
  const int32_t at = int32_t(i % kWide);
  wide[i] = at < kNarrow ? uint16_t(narrow[block * kNarrow + at]) : uint16_t(0);
}

}  // namespace gpu
}  // namespace outpost
