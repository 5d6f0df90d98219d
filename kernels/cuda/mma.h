// Matrix units of NVIDIA devices (compute capability 8.0 and above; 7.5 in parts), and under the emulator their
// definition: PTX ISA, "Matrix fragments for mma.m16n8k16". A warp multiplies A [16, 16] by B [16, 8], both bytes, of A
// signed ones, or both f16.
//
// Bytes: with q = lane / 4 and c = lane % 4 a lane holds, four bytes to a word: of A row q (a0) and row q + 8 (a1),
// columns 4c to 4c + 3; of B column q (b), rows 4c to 4c + 3; of the sum rows q (0, 1) and q + 8 (2, 3), columns 2c and
// 2c + 1.
// m16n8k32 is the same with 32 columns of A and rows of B: words a2, a3 and b1 have those from 16 on.
//
// f16: two to a word, of A rows q (a0, a2) and q + 8 (a1, a3), columns 2c and 2c + 1 (a0, a1), 2c + 8 and 2c + 9 (a2,
// a3); of B column q, rows 2c and 2c + 1 (b0), 2c + 8 and 2c + 9 (b1); of the sum, f32, the same as of bytes.
#pragma once

#include "kernels/cuda/mma_turing.h"
#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kMmaColumns = 8;  ///< of B and of a sum

/// Column i of those of a lane: two of each sum, of sums that follow each other.
GPU_FN int32_t sum_column(int32_t i, int32_t lane) { return i / 2 * kMmaColumns + 2 * (lane % 4) + i % 2; }

/// The sum of a lane: see above.
struct MmaSum {
  int32_t values[4];
};

#ifdef __CUDACC__

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800

GPU_FN MmaSum mma_s8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t b) {
  mma_s8_in_parts(sum.values, a0, a1, b);
  return sum;
}

GPU_FN MmaSum mma_s8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  return mma_s8(mma_s8(sum, a0, a1, b0), a2, a3, b1);
}

/// With unsigned bytes of B.
GPU_FN MmaSum mma_s8_u8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  mma_s8_u8_in_parts(sum.values, a0, a1, b0);
  mma_s8_u8_in_parts(sum.values, a2, a3, b1);
  return sum;
}

GPU_FN void mma_f16(float (&sum)[4], Words4 a, uint32_t b0, uint32_t b1) { mma_f16_in_parts(sum, a, b0, b1); }

/// Two f16, `low` in the low bits.
GPU_FN uint32_t pack_halves(float low, float high) {
  uint16_t halves[2];
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(halves[0]) : "f"(low));
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(halves[1]) : "f"(high));
  return uint32_t{halves[0]} | uint32_t{halves[1]} << 16;
}

#else

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

/// With unsigned bytes of B.
GPU_FN MmaSum mma_s8_u8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sum.values[0]), "+r"(sum.values[1]), "+r"(sum.values[2]), "+r"(sum.values[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  return sum;
}

GPU_FN void mma_f16(float (&sum)[4], Words4 a, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

/// Two f16, `low` in the low bits.
GPU_FN uint32_t pack_halves(float low, float high) {
  uint32_t word;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

#endif

/// Four matrices [8, 8] of f16: lane l says where row l % 8 of matrix l / 8 begins, a multiple of 16 bytes. A lane
/// gets, of each, elements 2c and 2c + 1 of row q; of its transpose if kIsTransposed.
template <bool kIsTransposed>
GPU_FN Words4 load_matrices(const uint16_t* row) {
  Words4 words;
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kIsTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "r"(address)
                 : "memory");
  return words;
}

/// 2^x, with a relative error of 2^-22 where it is not subnormal (those are 0).
GPU_FN float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#else

/// @param ByteB int8_t or uint8_t
template <typename ByteB>
GPU_FN MmaSum mma_bytes(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t b, Site site) {
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
        sum.values[i] += static_cast<int8_t>(word >> (8 * byte)) * static_cast<ByteB>(of_b.b >> (8 * byte));
    }
  }
  return sum;
}

GPU_FN MmaSum mma_s8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t b, Site site = Site::here()) {
  return mma_bytes<int8_t>(sum, a0, a1, b, site);
}

GPU_FN MmaSum mma_s8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1,
                     Site site = Site::here()) {
  return mma_s8(mma_s8(sum, a0, a1, b0, site), a2, a3, b1, site);
}

GPU_FN MmaSum mma_s8_u8(MmaSum sum, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1,
                        Site site = Site::here()) {
  return mma_bytes<uint8_t>(mma_bytes<uint8_t>(sum, a0, a1, b0, site), a2, a3, b1, site);
}

/// Products and their sum in f64, rounded once: units of a device are not as exact.
GPU_FN void mma_f16(float (&sum)[4], Words4 a, uint32_t b0, uint32_t b1, Site site = Site::here()) {
  struct Fragment {
    uint32_t a[4], b[2];
  };
  const Fragment own = {{a.x, a.y, a.z, a.w}, {b0, b1}};
  const std::byte* given = emulator::exchange(&own, sizeof(own), site);
  const int32_t lane = emulator::thread_index() % 32;
  const auto half_at = [](uint32_t word, int32_t i) {
    return double{float_of_half(static_cast<uint16_t>(word >> (16 * i)))};
  };
  for (int32_t i = 0; i < 4; ++i) {
    const int32_t row = lane / 4 + (i < 2 ? 0 : 8), column = 2 * (lane % 4) + i % 2;
    double total = double{sum[i]};
    for (int32_t k = 0; k < 16; ++k) {
      const auto of_a = emulator::exchanged<Fragment>(given, row % 8 * 4 + k % 8 / 2);
      const auto of_b = emulator::exchanged<Fragment>(given, column * 4 + k % 8 / 2);
      total += half_at(of_a.a[row / 8 + k / 8 * 2], k % 2) * half_at(of_b.b[k / 8], k % 2);
    }
    sum[i] = static_cast<float>(total);
  }
}

template <bool kIsTransposed>
GPU_FN Words4 load_matrices(SharedPtr<const uint16_t> row, Site site = Site::here()) {
  const std::byte* given = emulator::exchange(&row, sizeof(row), site);
  const int32_t lane = emulator::thread_index() % 32;
  uint32_t words[4];
  for (int32_t matrix = 0; matrix < 4; ++matrix) {
    words[matrix] = 0;
    for (int32_t i = 0; i < 2; ++i) {
      const int32_t from_row = kIsTransposed ? 2 * (lane % 4) + i : lane / 4;
      const int32_t from_column = kIsTransposed ? lane / 4 : 2 * (lane % 4) + i;
      const auto start = emulator::exchanged<SharedPtr<const uint16_t> >(given, 8 * matrix + from_row);
      if (start.offset() % 16 != 0)
        throw emulator::Fault(emulator::FaultKind::kMisaligned, emulator::describe_thread() + " loads matrices");
      words[matrix] |= uint32_t{start[from_column]} << (16 * i);
    }
  }
  return {words[0], words[1], words[2], words[3]};
}

GPU_FN uint32_t pack_halves(float low, float high) {
  return uint32_t{half_of_float(low)} | uint32_t{half_of_float(high)} << 16;
}
GPU_FN float fast_exp2(float x) { return std::exp2(x); }

#endif

}  // namespace gpu
}  // namespace outpost
