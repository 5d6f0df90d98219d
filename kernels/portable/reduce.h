// Sums and maxima over a warp and a block, in one fixed order: lanes in pairs at distance 16, 8, 4, 2, 1, then the
// warps one after the other. Every thread gets the same bits.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

struct Addition {
  static GPU_FN float of(float a, float b) { return a + b; }
  static GPU_FN int32_t of(int32_t a, int32_t b) { return a + b; }
};
struct Maximum {
  static GPU_FN float of(float a, float b) { return max32(a, b); }
};

GPU_FN float warp_sum(float x) { return combine_lanes<Addition>(x); }
GPU_FN int32_t warp_sum(int32_t x) { return combine_lanes<Addition>(x); }
GPU_FN float warp_max(float x) { return combine_lanes<Maximum>(x); }

/// @param scratch [kWarps], free to be written again after the next barrier that the caller makes
template <int kWarps>
GPU_FN float block_sum(float x, SharedPtr<float> scratch, Here here) {
  x = warp_sum(x);
  if (here.lane == 0) scratch[here.warp] = x;
  block_barrier();
  float sum = 0;
  for (int32_t i = 0; i < kWarps; ++i) sum += scratch[i];
  return sum;
}

/// As block_sum.
template <int kWarps>
GPU_FN float block_max(float x, SharedPtr<float> scratch, Here here) {
  x = warp_max(x);
  if (here.lane == 0) scratch[here.warp] = x;
  block_barrier();
  float max = scratch[0];
  for (int32_t i = 1; i < kWarps; ++i) max = max32(max, scratch[i]);
  return max;
}

}  // namespace gpu
}  // namespace outpost
