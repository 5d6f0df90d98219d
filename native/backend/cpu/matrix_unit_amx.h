// A core's matrix unit as AMX has it (AMX-TILE and AMX-INT8), beside the lanes of simd_avx512.h. See
// matrix_unit_scalar.h for what each function does. The instructions are those of Intel's "Architecture Instruction Set
// Extensions Programming Reference", chapter 3; compilers' own functions take register numbers from the preprocessor
// alone.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "backend/cpu/simd_avx512.h"

namespace outpost {
namespace {

template <int kColumns>
class MatrixUnit {
 public:
  explicit MatrixUnit(int n_tokens) {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } shapes;
    static_assert(sizeof shapes == 64);
    const auto set = [&](int reg, int n_rows, int n_bytes) {
      shapes.rows[reg] = static_cast<uint8_t>(n_rows);
      shapes.row_bytes[reg] = static_cast<uint16_t>(n_bytes);
    };
    for (int i = 0; i < kSums; ++i) set(i, n_tokens, 64);
    for (int i = 0; i < kInputs; ++i) set(kFirstInput + i, n_tokens, kColumns);
    for (int i = 0; i < kInputs; ++i) set(kFirstCodes + i, kColumns / 4, 64);
    __asm__ volatile("ldtilecfg %0" ::"m"(shapes));
  }
  // Registers that are in use make switching between threads slower, and some processors their clock.
  ~MatrixUnit() { __asm__ volatile("tilerelease"); }
  MatrixUnit(const MatrixUnit&) = delete;
  MatrixUnit& operator=(const MatrixUnit&) = delete;

  static constexpr int kSums = 4, kInputs = 2;

  template <int sum>
  void clear() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(sum));
  }
  template <int input, size_t kStride>
  void load_input(const int8_t* q) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(q), "r"(kStride), "i"(kFirstInput + input),
                     "m"(bytes<15 * kStride + kColumns>(q)));
  }
  template <int codes>
  void load_codes(const uint8_t* w) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(w), "r"(kRowBytes), "i"(kFirstCodes + codes),
                     "m"(bytes<16 * kColumns>(w)));
  }
  template <int sum, int input, int codes>
  void add_signed() {
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(kFirstInput + input),
                     "i"(kFirstCodes + codes));
  }
  template <int sum, int input, int codes>
  void add_unsigned() {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(kFirstInput + input),
                     "i"(kFirstCodes + codes));
  }
  template <int sum>
  void store(int32_t* out) const {
    __asm__ volatile("tilestored %%tmm%c3, (%1,%2,1)"
                     : "=m"(*reinterpret_cast<int32_t(*)[16 * 16]>(out))
                     : "r"(out), "r"(kRowBytes), "i"(sum));
  }

 private:
  static constexpr int kFirstInput = kSums, kFirstCodes = kSums + kInputs;
  static constexpr size_t kRowBytes = 64;

  /// n bytes, for the compiler to know what an instruction may read: with fewer tokens it reads less.
  template <size_t n, typename Byte>
  static const Byte (&bytes(const Byte* p))[n] {
    return *reinterpret_cast<const Byte(*)[n]>(p);
  }
};

inline I32x16 i32_load(const int32_t* p) { return {_mm512_loadu_si512(p)}; }

template <int kOffset>
class ScaledCodes {
 public:
  explicit ScaledCodes(I32x16 scale) {
    const __m512i low = _mm512_and_si512(scale.v, _mm512_set1_epi32(0xFFFF));
    const __m512i pairs = _mm512_or_si512(low, _mm512_slli_epi32(scale.v, 16));
    even_ = _mm512_and_si512(pairs, _mm512_set1_epi16(0xFF));
    odd_ = _mm512_slli_epi16(pairs, 8);
    start_ = _mm512_mullo_epi16(pairs, _mm512_set1_epi16(kOffset));
  }

  void store_low(U8x64 w, uint8_t* low) const {
    _mm512_storeu_si512(low, low_bytes(products(w, even_), products(w, odd_)));
  }
  void store_both(U8x64 w, uint8_t* low, uint8_t* high) const {
    const __m512i even = products(w, even_), odd = products(w, odd_);
    _mm512_storeu_si512(low, low_bytes(even, odd));
    _mm512_storeu_si512(high, _mm512_mask_shuffle_epi8(odd, 0x5555555555555555, even, swapped()));
  }

 private:
  /// 16 bits: the products of every other code, the others' are 0.
  __m512i products(U8x64 w, __m512i factors) const {
    const __m512i v = _mm512_maddubs_epi16(w.v, factors);
    return kOffset == 0 ? v : _mm512_sub_epi16(v, start_);
  }
  static __m512i low_bytes(__m512i even, __m512i odd) {
    return _mm512_mask_shuffle_epi8(even, 0xAAAAAAAAAAAAAAAA, odd, swapped());
  }
  /// Of bytes with their neighbours.
  static __m512i swapped() {
    return _mm512_broadcast_i32x4(_mm_setr_epi8(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
  }

  __m512i even_, odd_;  // bytes: the scale and 0, and 0 and the scale
  __m512i start_;       // 16 bits: what the offset comes to
};

inline void store_values(U8x64 w, int offset, uint8_t* out) {
  _mm512_storeu_si512(out, _mm512_sub_epi8(w.v, _mm512_set1_epi8(static_cast<char>(offset))));
}

}  // namespace
}  // namespace outpost
