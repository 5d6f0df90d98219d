// Matrix units of compute capability 7.5: the products of mma.h, in parts. PTX ISA, "Matrix fragments for mma.m8n8k16"
// (bytes) and "Matrix fragments for mma.m16n8k8" (f16): a lane's words of a part are among those of the whole.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

#ifdef __CUDACC__

/// A [8, 16] by B [16, 8], signed bytes: with q = lane / 4 and c = lane % 4, of A row q, columns 4c to 4c + 3; of B
/// column q, rows 4c to 4c + 3; of the sum row q, columns 2c and 2c + 1.
GPU_FN void mma_s8_m8(int32_t& sum0, int32_t& sum1, uint32_t a, uint32_t b) {
  asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
      : "+r"(sum0), "+r"(sum1)
      : "r"(a), "r"(b));
}

/// With unsigned bytes of B.
GPU_FN void mma_s8_u8_m8(int32_t& sum0, int32_t& sum1, uint32_t a, uint32_t b) {
  asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.u8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
      : "+r"(sum0), "+r"(sum1)
      : "r"(a), "r"(b));
}

/// A [16, 8] by B [8, 8], f16: of A rows q (a0) and q + 8 (a1), columns 2c and 2c + 1; of B column q, rows 2c and 2c +
/// 1; of the sum, f32, rows q (0, 1) and q + 8 (2, 3), columns 2c and 2c + 1.
GPU_FN void mma_f16_k8(float (&sum)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a0), "r"(a1), "r"(b));
}

#else

template <typename ByteB>
GPU_FN void mma_bytes_m8(int32_t& sum0, int32_t& sum1, uint32_t a, uint32_t b, Site site) {
  struct Fragment {
    uint32_t a, b;
  };
  const Fragment own = {a, b};
  const std::byte* given = emulator::exchange(&own, sizeof(own), site);
  const int32_t lane = emulator::thread_index() % 32;
  for (int32_t k = 0; k < 16; ++k) {
    const auto of = [&](int32_t row_or_column) {
      return emulator::exchanged<Fragment>(given, row_or_column * 4 + k / 4);
    };
    const int32_t shift = 8 * (k % 4), value = static_cast<int8_t>(of(lane / 4).a >> shift);
    sum0 += value * static_cast<ByteB>(of(2 * (lane % 4)).b >> shift);
    sum1 += value * static_cast<ByteB>(of(2 * (lane % 4) + 1).b >> shift);
  }
}

GPU_FN void mma_s8_m8(int32_t& sum0, int32_t& sum1, uint32_t a, uint32_t b, Site site = Site::here()) {
  mma_bytes_m8<int8_t>(sum0, sum1, a, b, site);
}
GPU_FN void mma_s8_u8_m8(int32_t& sum0, int32_t& sum1, uint32_t a, uint32_t b, Site site = Site::here()) {
  mma_bytes_m8<uint8_t>(sum0, sum1, a, b, site);
}

GPU_FN void mma_f16_k8(float (&sum)[4], uint32_t a0, uint32_t a1, uint32_t b, Site site = Site::here()) {
  struct Fragment {
    uint32_t a[2], b;
  };
  const Fragment own = {{a0, a1}, b};
  const std::byte* given = emulator::exchange(&own, sizeof(own), site);
  const int32_t lane = emulator::thread_index() % 32;
  const auto half_of = [](uint32_t word, int32_t i) {
    return double{float_of_half(static_cast<uint16_t>(word >> (16 * i)))};
  };
  for (int32_t i = 0; i < 4; ++i) {
    double total = double{sum[i]};
    for (int32_t k = 0; k < 8; ++k) {
      const auto of_a = emulator::exchanged<Fragment>(given, lane / 4 * 4 + k / 2);
      const auto of_b = emulator::exchanged<Fragment>(given, (2 * (lane % 4) + i % 2) * 4 + k / 2);
      total += half_of(of_a.a[i / 2], k % 2) * half_of(of_b.b, k % 2);
    }
    sum[i] = static_cast<float>(total);
  }
}

#endif

/// m16n8k16 of bytes: rows from 8 on are a product of their own.
GPU_FN void mma_s8_in_parts(int32_t (&sum)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  mma_s8_m8(sum[0], sum[1], a0, b);
  mma_s8_m8(sum[2], sum[3], a1, b);
}

GPU_FN void mma_s8_u8_in_parts(int32_t (&sum)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  mma_s8_u8_m8(sum[0], sum[1], a0, b);
  mma_s8_u8_m8(sum[2], sum[3], a1, b);
}

/// m16n8k16 of f16: columns of A and rows of B from 8 on are added afterwards.
GPU_FN void mma_f16_in_parts(float (&sum)[4], Words4 a, uint32_t b0, uint32_t b1) {
  mma_f16_k8(sum, a.x, a.y, b0);
  mma_f16_k8(sum, a.z, a.w, b1);
}

}  // namespace gpu
}  // namespace outpost
