// Matrix units of NVIDIA devices (compute capability 8.0 and above), and under the emulator their definition: PTX ISA,
// "Matrix fragments for mma.m16n8k16 with integer type". A warp multiplies A [16, 16] by B [16, 8], both signed bytes.
//
// m16n8k32 is the same with 32 columns of A and rows of B: words a2, a3 and b1 have those from 16 on.
//
// With q = lane / 4 and c = lane % 4 a lane holds, four bytes to a word: of A row q (a0) and row q + 8 (a1), columns 4c
// to 4c + 3; of B column q (b), rows 4c to 4c + 3; of the sum rows q (0, 1) and q + 8 (2, 3), columns 2c and 2c + 1.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

/// The sum of a lane: see above.
struct MmaSum {
  int32_t values[4];
};

#ifdef __CUDACC__

GPU_FN MmaSum mma_s8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t b) {
  asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+r"(sum.values[0]), "+r"(sum.values[1]), "+r"(sum.values[2]), "+r"(sum.values[3])
      : "r"(a0), "r"(a1), "r"(b));
  return sum;
}

GPU_FN MmaSum mma_s8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sum.values[0]), "+r"(sum.values[1]), "+r"(sum.values[2]), "+r"(sum.values[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  return sum;
}

#else

GPU_FN MmaSum mma_s8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t b, Site site = Site::here()) {
  struct Fragment {
    uint32_t a0, a1, b;
  };
  const Fragment own = {a0, a1, b};
  const std::byte* given = emulator::exchange(&own, sizeof(own), site);
  const int32_t lane = emulator::thread_index() % 32;
  for (int32_t i = 0; i < 4; ++i) {
    const int32_t row = lane / 4 + (i < 2 ? 0 : 8), column = 2 * (lane % 4) + i % 2;
    for (int32_t part = 0; part < 4; ++part) {  // of the 16 products: those of four neighbouring bytes
      const auto of_a = emulator::exchanged<Fragment>(given, row % 8 * 4 + part);
      const auto of_b = emulator::exchanged<Fragment>(given, column * 4 + part);
      const uint32_t word = row < 8 ? of_a.a0 : of_a.a1;
      for (int32_t byte = 0; byte < 4; ++byte)
        sum.values[i] += static_cast<int8_t>(word >> (8 * byte)) * static_cast<int8_t>(of_b.b >> (8 * byte));
    }
  }
  return sum;
}

GPU_FN MmaSum mma_s8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1,
                     Site site = Site::here()) {
  return mma_s8(mma_s8(sum, a0, a1, b0, site), a2, a3, b1, site);
}

#endif

}  // namespace gpu
}  // namespace outpost
