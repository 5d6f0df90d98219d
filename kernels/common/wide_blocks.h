// Blocks as GPUs compute with them where those of the file would be read two bytes at a time: the same codes and scales
// in blocks of 256 elements whose size is a multiple of 16. kernels/portable/widen.h turns one into the other.
#pragma once

#include "kernels/common/block_layouts.h"

namespace outpost {

/// Eight blocks of Q8_0.
struct WideQ8_0 {
  uint16_t d[8];
  int8_t qs[256];
};
static_assert(sizeof(WideQ8_0) == 272, "a multiple of 16");

/// A block of Q6_K and what fills it up.
struct WideQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
  uint16_t unused[7];
};
static_assert(sizeof(WideQ6_K) == 224, "a multiple of 16");

}  // namespace outpost
