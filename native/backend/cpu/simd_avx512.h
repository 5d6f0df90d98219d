// Sixteen lanes as one AVX-512 vector (F, BW, VL, DQ, VNNI and VBMI). See simd_scalar.h for what each function does.
#pragma once

// GCC 12 warns about the undefined vectors inside its own intrinsics (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "backend/cpu/simd_x86.h"

namespace outpost {
namespace {

// Of 32 registers 16 hold the codes of 32 columns of two tiles.
inline constexpr int kTilesAtOnce = 2;
inline constexpr int kDenseTokensAtOnce = 8;
inline constexpr int kVectorsAtOnce = 4;

struct F32x16 {
  __m512 v;
};
struct I32x16 {
  __m512i v;
};
struct U8x64 {
  __m512i v;
};

inline F32x16 f32_set1(float v) { return {_mm512_set1_ps(v)}; }
inline F32x16 f32_load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void f32_store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }
inline F32x16 f16_load(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline F32x16 bf16_load(const uint16_t* p) {
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 16))};
}
inline F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F32x16 fnma(F32x16 b, F32x16 c, F32x16 a) { return {_mm512_fnmadd_ps(b.v, c.v, a.v)}; }
inline F32x16 f32_max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F32x16 f32_abs(F32x16 a) { return {_mm512_abs_ps(a.v)}; }
inline F32x16 f32_select_less(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
inline F32x16 f32_keep_first(F32x16 a, int n, float fill) {
  const auto keep = static_cast<__mmask16>(n >= 16 ? 0xFFFFu : (1u << n) - 1u);
  return {_mm512_mask_blend_ps(keep, _mm512_set1_ps(fill), a.v)};
}
inline F32x16 f32_drop_first(F32x16 a, int n, float fill) {
  const auto drop = static_cast<__mmask16>((1u << n) - 1u);
  return {_mm512_mask_blend_ps(drop, a.v, _mm512_set1_ps(fill))};
}

template <typename Combine>
inline float reduce(F32x16 a, const Combine& combine) {
  const auto quarter = [&](__m512 v) { return _mm512_castps512_ps128(v); };
  const __m512 halves = combine(a.v, _mm512_shuffle_f32x4(a.v, a.v, 0x4E));
  const __m512 quarters = combine(halves, _mm512_shuffle_f32x4(halves, halves, 0xB1));
  return reduce4(quarter(quarters), combine);
}
inline float reduce_add(F32x16 a) {
  struct Add {
    __m512 operator()(__m512 x, __m512 y) const { return _mm512_add_ps(x, y); }
    __m128 operator()(__m128 x, __m128 y) const { return _mm_add_ps(x, y); }
  };
  return reduce(a, Add{});
}
inline float reduce_max(F32x16 a) {
  struct Max {
    __m512 operator()(__m512 x, __m512 y) const { return _mm512_max_ps(x, y); }
    __m128 operator()(__m128 x, __m128 y) const { return _mm_max_ps(x, y); }
  };
  return reduce(a, Max{});
}

inline void prefetch_near(const char* p) { _mm_prefetch(p, _MM_HINT_T0); }
inline void prefetch_far(const char* p) { _mm_prefetch(p, _MM_HINT_T1); }

inline I32x16 i32_set1(int32_t v) { return {_mm512_set1_epi32(v)}; }
inline I32x16 i32_load_u8(const uint8_t* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline I32x16 i32_load_i8(const int8_t* p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline I32x16 i16_load_u8(const uint8_t* p) {
  return {_mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline I32x16 operator+(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline I32x16 operator*(I32x16 a, I32x16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
inline I32x16 i32_and(I32x16 a, int32_t mask) { return {_mm512_and_si512(a.v, _mm512_set1_epi32(mask))}; }
template <int n>
inline I32x16 i32_shift_left(I32x16 a) {
  return {_mm512_slli_epi32(a.v, n)};
}
template <int n>
inline I32x16 i32_shift_right(I32x16 a) {
  return {_mm512_srai_epi32(a.v, n)};
}
inline F32x16 to_f32(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline I32x16 to_i32(F32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }
inline F32x16 bits_to_f32(I32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
inline void i32_store_i8(int8_t* p, I32x16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(a.v));
}
inline void i32_store_i16(int16_t* p, I32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(a.v));
}

inline U8x64 u8_load(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
inline void u8_store(uint8_t* p, U8x64 a) { _mm512_storeu_si512(p, a.v); }
inline U8x64 u8_and(U8x64 a, uint8_t mask) {
  return {_mm512_and_si512(a.v, _mm512_set1_epi8(static_cast<char>(mask)))};
}
template <int n>
inline U8x64 u8_shift_and(U8x64 a, uint8_t mask) {
  return u8_and({_mm512_srli_epi16(a.v, n)}, mask);
}
template <int n>
inline U8x64 u8_shift_left_and(U8x64 a, uint8_t mask) {
  return u8_and({_mm512_slli_epi16(a.v, n)}, mask);
}
inline U8x64 u8_or(U8x64 a, U8x64 b) { return {_mm512_or_si512(a.v, b.v)}; }
inline U8x64 u8_or_masked(U8x64 a, uint64_t mask, uint8_t value) {
  // The bit is clear where it is added, so adding is setting.
  return {_mm512_mask_add_epi8(a.v, mask, a.v, _mm512_set1_epi8(static_cast<char>(value)))};
}
inline I32x16 dot4(I32x16 acc, U8x64 w, const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  return {_mm512_dpbusd_epi32(acc.v, w.v, _mm512_set1_epi32(four))};
}

inline I32x16 dot2(I32x16 acc, I32x16 w, const int16_t* x) {
  int32_t two;
  std::memcpy(&two, x, 4);
  return {_mm512_dpwssd_epi32(acc.v, w.v, _mm512_set1_epi32(two))};
}
inline I32x16 dot4_wide(I32x16 acc, U8x64 w, const int8_t* x) { return dot4(acc, w, x); }
inline void i16_store_rows2(int16_t* out, const int8_t* rows) {
  const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows));
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows + 16));
  const __m256i pairs = _mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b));
  _mm512_storeu_si512(out, _mm512_cvtepi8_epi16(pairs));
}
inline I32x16 dot_rows2(I32x16 acc, const int16_t* rows, const int16_t* x) {
  return dot2(acc, {_mm512_loadu_si512(rows)}, x);
}

struct U8Table16 {
  __m512i values;

  U8Table16(const int8_t (&v)[16], int offset) : values(_mm512_broadcast_i32x4(shifted_table(v, offset))) {}
  U8x64 look_up(U8x64 codes) const { return {_mm512_shuffle_epi8(values, codes.v)}; }
};

template <int kParts>
struct U8PairTable {
  __m512i first_bytes[kParts][4], second_bytes[kParts][4];

  explicit U8PairTable(const uint16_t* pairs) {
    for (int i = 0; i < 4 * kParts; ++i) {
      const __m512i low = _mm512_loadu_si512(pairs + 64 * i), high = _mm512_loadu_si512(pairs + 64 * i + 32);
      first_bytes[i / 4][i % 4] = join(_mm512_cvtepi16_epi8(low), _mm512_cvtepi16_epi8(high));
      second_bytes[i / 4][i % 4] =
          join(_mm512_cvtepi16_epi8(_mm512_srli_epi16(low, 8)), _mm512_cvtepi16_epi8(_mm512_srli_epi16(high, 8)));
    }
  }
  struct Found {
    const uint8_t* index;
    const uint64_t* high;
  };
  void find(const uint8_t* index, const uint64_t* high, Found& found) const { found = {index, high}; }
  void get(const Found& found, U8x64& first, U8x64& second) const {
    const auto [index, high] = found;
    const __m512i at = _mm512_loadu_si512(index);
    first.v = find(first_bytes, at, high);
    second.v = find(second_bytes, at, high);
  }

 private:
  static __m512i join(__m256i low, __m256i high) { return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1); }
  static __m512i find(const __m512i (&values)[kParts][4], __m512i index, const uint64_t* high) {
    const __mmask64 is_upper = _mm512_movepi8_mask(index);  // a permute sees seven bits of the index
    __m512i found[kParts];
    for (int part = 0; part < kParts; ++part) {
      const __m512i lower = _mm512_permutex2var_epi8(values[part][0], index, values[part][1]);
      const __m512i upper = _mm512_permutex2var_epi8(values[part][2], index, values[part][3]);
      found[part] = _mm512_mask_blend_epi8(is_upper, lower, upper);
    }
    for (int bit = 0, n = kParts / 2; n > 0; ++bit, n /= 2) {
      for (int i = 0; i < n; ++i) found[i] = _mm512_mask_blend_epi8(high[bit], found[2 * i], found[2 * i + 1]);
    }
    return found[0];
  }
};

template <int bit>
inline U8x64 u8_mirror_where(U8x64 a, U8x64 bits) {
  const __mmask64 mask = _mm512_test_epi8_mask(bits.v, _mm512_set1_epi8(static_cast<char>(1 << bit)));
  return {_mm512_mask_sub_epi8(a.v, mask, _mm512_set1_epi8(static_cast<char>(128)), a.v)};
}
inline U8x64 u8_even_pairs(U8x64 a, U8x64 b) {
  return {_mm512_mask_blend_epi16(0xAAAAAAAA, a.v, _mm512_slli_epi32(b.v, 16))};
}
inline U8x64 u8_odd_pairs(U8x64 a, U8x64 b) {
  return {_mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_srli_epi32(a.v, 16), b.v)};
}

}  // namespace
}  // namespace outpost
