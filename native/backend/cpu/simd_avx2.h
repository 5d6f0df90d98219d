// Sixteen lanes as two AVX2 vectors. See simd_scalar.h for what each function does.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "backend/cpu/simd_x86.h"

namespace outpost {
namespace {

// Sixteen registers are too few for the codes of more than one tile.
inline constexpr int kTilesAtOnce = 1;
inline constexpr int kDenseTokensAtOnce = 6;
inline constexpr int kVectorsAtOnce = 1;
#if defined(__AVXVNNI__) || (defined(__AVX512VNNI__) && defined(__AVX512VL__))
#define OUTPOST_AVX2_VNNI
#else
#define OUTPOST_NARROW_SUMS
/// Tokens that a quantized product takes together if it takes many.
inline constexpr int kTokensAtOnce = 4;
#endif

struct F32x16 {
  __m256 lo, hi;
};
struct I32x16 {
  __m256i lo, hi;
};
struct U8x64 {
  __m256i lo, hi;
};

inline __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

inline F32x16 f32_set1(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
inline F32x16 f32_load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void f32_store(float* p, F32x16 v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}
inline F32x16 f16_load(const uint16_t* p) {
  const __m256i v = load256(p);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(v)), _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1))};
}
inline F32x16 bf16_load(const uint16_t* p) {
  const auto widen = [](const uint16_t* half) {
    const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(half)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
  };
  return {widen(p), widen(p + 8)};
}
inline F32x16 operator+(F32x16 a, F32x16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
inline F32x16 operator-(F32x16 a, F32x16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
inline F32x16 operator*(F32x16 a, F32x16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
inline F32x16 operator/(F32x16 a, F32x16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline F32x16 fnma(F32x16 b, F32x16 c, F32x16 a) {
  return {_mm256_fnmadd_ps(b.lo, c.lo, a.lo), _mm256_fnmadd_ps(b.hi, c.hi, a.hi)};
}
inline F32x16 f32_max(F32x16 a, F32x16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
inline F32x16 f32_abs(F32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline F32x16 f32_select_less(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  return {_mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}
inline F32x16 f32_keep_first(F32x16 v, int n, float fill) {
  const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
  const __m256i count = _mm256_set1_epi32(n);
  const __m256 f = _mm256_set1_ps(fill);
  return {_mm256_blendv_ps(f, v.lo, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, low))),
          _mm256_blendv_ps(f, v.hi, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, high)))};
}
inline F32x16 f32_drop_first(F32x16 v, int n, float fill) {
  const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
  const __m256i count = _mm256_set1_epi32(n);
  const __m256 f = _mm256_set1_ps(fill);
  return {_mm256_blendv_ps(v.lo, f, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, low))),
          _mm256_blendv_ps(v.hi, f, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, high)))};
}

template <typename Combine>
inline float reduce(__m256 v, const Combine& combine) {
  return reduce4(combine(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)), combine);
}
inline float reduce_add(F32x16 v) {
  return reduce(_mm256_add_ps(v.lo, v.hi), [](__m128 a, __m128 b) { return _mm_add_ps(a, b); });
}
inline float reduce_max(F32x16 v) {
  return reduce(_mm256_max_ps(v.lo, v.hi), [](__m128 a, __m128 b) { return _mm_max_ps(a, b); });
}

inline void prefetch_near(const char* p) { _mm_prefetch(p, _MM_HINT_T0); }
inline void prefetch_far(const char* p) { _mm_prefetch(p, _MM_HINT_T1); }

inline I32x16 i32_set1(int32_t v) { return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)}; }
inline I32x16 i32_load_u8(const uint8_t* p) {
  const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8))};
}
inline I32x16 i32_load_i8(const int8_t* p) {
  const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_srli_si128(v, 8))};
}
inline I32x16 i16_load_u8(const uint8_t* p) {
  const auto widen = [](const uint8_t* half) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(half)));
  };
  return {widen(p), widen(p + 16)};
}
inline I32x16 operator+(I32x16 a, I32x16 b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
inline I32x16 operator*(I32x16 a, I32x16 b) { return {_mm256_mullo_epi32(a.lo, b.lo), _mm256_mullo_epi32(a.hi, b.hi)}; }
inline I32x16 i32_and(I32x16 a, int32_t mask) {
  const __m256i m = _mm256_set1_epi32(mask);
  return {_mm256_and_si256(a.lo, m), _mm256_and_si256(a.hi, m)};
}
template <int n>
inline I32x16 i32_shift_left(I32x16 a) {
  return {_mm256_slli_epi32(a.lo, n), _mm256_slli_epi32(a.hi, n)};
}
template <int n>
inline I32x16 i32_shift_right(I32x16 a) {
  return {_mm256_srai_epi32(a.lo, n), _mm256_srai_epi32(a.hi, n)};
}
inline F32x16 to_f32(I32x16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
inline I32x16 to_i32(F32x16 a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
inline F32x16 bits_to_f32(I32x16 a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
inline void i32_store_i8(int8_t* p, I32x16 v) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(v.lo, v.hi), 0xD8);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}
inline void i32_store_i16(int16_t* p, I32x16 v) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(v.lo, v.hi), 0xD8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), words);
}

inline U8x64 u8_load(const uint8_t* p) { return {load256(p), load256(p + 32)}; }
inline void u8_store(uint8_t* p, U8x64 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), a.hi);
}
inline U8x64 u8_and(U8x64 a, uint8_t mask) {
  const __m256i m = _mm256_set1_epi8(static_cast<char>(mask));
  return {_mm256_and_si256(a.lo, m), _mm256_and_si256(a.hi, m)};
}
template <int n>
inline U8x64 u8_shift_and(U8x64 a, uint8_t mask) {
  return u8_and({_mm256_srli_epi16(a.lo, n), _mm256_srli_epi16(a.hi, n)}, mask);
}
template <int n>
inline U8x64 u8_shift_left_and(U8x64 a, uint8_t mask) {
  return u8_and({_mm256_slli_epi16(a.lo, n), _mm256_slli_epi16(a.hi, n)}, mask);
}
inline U8x64 u8_or(U8x64 a, U8x64 b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
/// 0xFF in each byte whose bit of `bits` is set.
inline __m256i mask_bytes(uint32_t bits) {
  const __m256i spread =
      _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ull));
  const __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int32_t>(bits)), spread);
  return _mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit);
}
inline U8x64 u8_or_masked(U8x64 v, uint64_t mask, uint8_t value) {
  const __m256i x = _mm256_set1_epi8(static_cast<char>(value));
  return {_mm256_or_si256(v.lo, _mm256_and_si256(x, mask_bytes(static_cast<uint32_t>(mask)))),
          _mm256_or_si256(v.hi, _mm256_and_si256(x, mask_bytes(static_cast<uint32_t>(mask >> 32))))};
}
#ifdef OUTPOST_AVX2_VNNI
// One instruction, in two encodings: AVX-VNNI's, and that of AVX-512 for vectors of this size.
inline __m256i dot4_256(__m256i acc, __m256i w, __m256i x) {
#ifdef __AVXVNNI__
  return _mm256_dpbusd_avx_epi32(acc, w, x);
#else
  return _mm256_dpbusd_epi32(acc, w, x);
#endif
}
inline I32x16 dot4(I32x16 acc, U8x64 w, const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  const __m256i v = _mm256_set1_epi32(four);
  return {dot4_256(acc.lo, w.lo, v), dot4_256(acc.hi, w.hi, v)};
}

inline I32x16 dot4_wide(I32x16 acc, U8x64 w, const int8_t* x) { return dot4(acc, w, x); }
#else
// These are used many times in one function, where the compiler gives up on inlining them by itself.
#define OUTPOST_INLINE __attribute__((always_inline))
/// Pairs of products as 16-bit numbers.
struct I16x32 {
  __m256i lo, hi;
};
OUTPOST_INLINE inline I16x32 operator+(I16x32 a, I16x32 b) {
  I16x32 sum{_mm256_add_epi16(a.lo, b.lo), _mm256_add_epi16(a.hi, b.hi)};
#if defined(__GNUC__)
  // Now, and not where the sum is used: GCC would do all products of a group first, and spill them.
  __asm__("" : "+x"(sum.lo), "+x"(sum.hi));
#endif
  return sum;
}
/// Each lane's number, which fits 16 bits, twice.
OUTPOST_INLINE inline I16x32 i16_pairs(I32x16 a) {
  const auto twice = [](__m256i v) { return _mm256_blend_epi16(v, _mm256_slli_epi32(v, 16), 0xAA); };
  return {twice(a.lo), twice(a.hi)};
}
OUTPOST_INLINE inline __m256i four_times_eight(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  return _mm256_set1_epi32(four);
}
/// w[4r] * x[0] + w[4r + 1] * x[1], and the same of x[2] and x[3]. With codes up to 128 it is at most 32512 and fits.
OUTPOST_INLINE inline I16x32 pair_products(const U8x64& w, const int8_t* x) {
  const __m256i v = four_times_eight(x);
  return {_mm256_maddubs_epi16(w.lo, v), _mm256_maddubs_epi16(w.hi, v)};
}
/// Two numbers in each lane.
OUTPOST_INLINE inline I16x32 pair_of_i16(const int16_t* p) {
  const __m256i v = four_times_eight(reinterpret_cast<const int8_t*>(p));
  return {v, v};
}
/// For each eight of 32 activations -64 times the sums of those that pair_products adds, in 16 bits.
inline void i16_starts(const int8_t* q, int16_t* out) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(64), load256(q));
  const __m256i sums = _mm256_add_epi16(pairs, _mm256_srli_epi64(pairs, 32));
  const __m256i taken_off = _mm256_sub_epi16(_mm256_setzero_si256(), sums);
  const __m256i packed = _mm256_permutevar8x32_epi32(taken_off, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(packed));
}
/// Codes of 0 to 255 as the signed numbers 128 below them.
struct SignedCodes {
  U8x64 code, magnitude;

  OUTPOST_INLINE SignedCodes(const U8x64& w) {
    const __m256i top = _mm256_set1_epi8(static_cast<char>(128));
    code = {_mm256_xor_si256(w.lo, top), _mm256_xor_si256(w.hi, top)};
    magnitude = {_mm256_abs_epi8(code.lo), _mm256_abs_epi8(code.hi)};
  }
};
/// The same of signed codes: the sign goes to the activations, because one factor has to be unsigned.
OUTPOST_INLINE inline I16x32 pair_products(const SignedCodes& w, const int8_t* x) {
  const __m256i v = four_times_eight(x);
  return {_mm256_maddubs_epi16(w.magnitude.lo, _mm256_sign_epi8(v, w.code.lo)),
          _mm256_maddubs_epi16(w.magnitude.hi, _mm256_sign_epi8(v, w.code.hi))};
}
/// acc + the sum of each lane's two products
OUTPOST_INLINE inline I32x16 dot_pairs(I32x16 acc, I16x32 a, I16x32 b) {
  return {_mm256_add_epi32(acc.lo, _mm256_madd_epi16(a.lo, b.lo)),
          _mm256_add_epi32(acc.hi, _mm256_madd_epi16(a.hi, b.hi))};
}
/// acc[r] + sum_i w[4r + i] * x[i], as the other instruction sets have it, for codes up to 128
OUTPOST_INLINE inline I32x16 dot4(I32x16 acc, U8x64 w, const int8_t* x) {
  const __m256i ones = _mm256_set1_epi16(1);
  return dot_pairs(acc, pair_products(w, x), {ones, ones});
}
/// Codes up to 255 halved and their lowest bits apart: two sums that each fit 16 bits, put together as 2 * half + bit.
OUTPOST_INLINE inline I32x16 dot4_wide(I32x16 acc, U8x64 w, const int8_t* x) {
  const I32x16 halves = dot4(i32_set1(0), u8_shift_and<1>(w, 127), x);
  return dot4(acc + i32_shift_left<1>(halves), u8_and(w, 1), x);
}
#endif

inline I32x16 dot2(I32x16 acc, I32x16 w, const int16_t* x) {
  int32_t two;
  std::memcpy(&two, x, 4);
  const __m256i v = _mm256_set1_epi32(two);
  return {_mm256_add_epi32(acc.lo, _mm256_madd_epi16(w.lo, v)), _mm256_add_epi32(acc.hi, _mm256_madd_epi16(w.hi, v))};
}
inline void i16_store_rows2(int16_t* out, const int8_t* rows) {
  const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows));
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows + 16));
  auto* pairs = reinterpret_cast<__m256i*>(out);
  _mm256_storeu_si256(pairs, _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b)));
  _mm256_storeu_si256(pairs + 1, _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(a, b)));
}
inline I32x16 dot_rows2(I32x16 acc, const int16_t* rows, const int16_t* x) {
  I32x16 sum = dot2(acc, {load256(rows), load256(rows + 16)}, x);
  __asm__("" : "+x"(sum.lo), "+x"(sum.hi));
  return sum;
}

struct U8Table16 {
  __m256i values;

  U8Table16(const int8_t (&v)[16], int offset) : values(_mm256_broadcastsi128_si256(shifted_table(v, offset))) {}
  U8x64 look_up(U8x64 codes) const {
    return {_mm256_shuffle_epi8(values, codes.lo), _mm256_shuffle_epi8(values, codes.hi)};
  }
};

/// One by one: these processors have no instruction for more than 16 values. What is found is stored in small pieces,
/// and a load of many of them waits until all have reached the cache: so they are read a superblock later.
template <int kParts>
struct U8PairTable {
  struct Found {
    alignas(32) uint16_t pairs[64];
  };
  struct Joined {
    alignas(32) uint16_t codes[64];
  };
  const uint16_t* pairs;

  explicit U8PairTable(const uint16_t* table) : pairs(table) {}
  void find(const uint8_t* index, const uint64_t* high, Found& found) const {
    if constexpr (kParts == 1) {
      for (int i = 0; i < 64; ++i) found.pairs[i] = pairs[index[i]];
    } else {
      const Joined at = join(index, high);
      for (int i = 0; i < 64; ++i) found.pairs[i] = pairs[at.codes[i]];
    }
  }
  /// Whole codes of parts as `find` takes them.
  static Joined join(const uint8_t* index, const uint64_t* high) {
    const U8x64 low = u8_load(index);
    U8x64 above = u8_and(mask_of(high[0]), 1);
    if constexpr (kParts == 4) above = u8_or(above, u8_and(mask_of(high[1]), 2));
    Joined at;
    store_interleaved(low.lo, above.lo, at.codes);
    store_interleaved(low.hi, above.hi, at.codes + 32);
    return at;
  }
  void get(const Found& found, U8x64& first, U8x64& second) const {
    const __m256i v[4] = {load256(found.pairs), load256(found.pairs + 16), load256(found.pairs + 32),
                          load256(found.pairs + 48)};
    first = {low_bytes(v[0], v[1]), low_bytes(v[2], v[3])};
    second = {high_bytes(v[0], v[1]), high_bytes(v[2], v[3])};
  }

 private:
  static U8x64 mask_of(uint64_t bits) {
    return {mask_bytes(static_cast<uint32_t>(bits)), mask_bytes(static_cast<uint32_t>(bits >> 32))};
  }
  static void store_interleaved(__m256i low, __m256i high, uint16_t* out) {
    const __m256i a = _mm256_unpacklo_epi8(low, high), b = _mm256_unpackhi_epi8(low, high);
    _mm256_store_si256(reinterpret_cast<__m256i*>(out), _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_store_si256(reinterpret_cast<__m256i*>(out + 16), _mm256_permute2x128_si256(a, b, 0x31));
  }
  static __m256i packed(__m256i a, __m256i b) { return _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xD8); }
  static __m256i low_bytes(__m256i a, __m256i b) {
    const __m256i mask = _mm256_set1_epi16(255);
    return packed(_mm256_and_si256(a, mask), _mm256_and_si256(b, mask));
  }
  static __m256i high_bytes(__m256i a, __m256i b) { return packed(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8)); }
};

template <int bit>
inline U8x64 u8_mirror_where(U8x64 a, U8x64 bits) {
  const __m256i top = _mm256_set1_epi8(static_cast<char>(128));
  // A blend looks at the highest bit of each byte.
  const auto mirror = [&](__m256i v, __m256i where) {
    return _mm256_blendv_epi8(v, _mm256_sub_epi8(top, v), _mm256_slli_epi16(where, 7 - bit));
  };
  return {mirror(a.lo, bits.lo), mirror(a.hi, bits.hi)};
}
inline U8x64 u8_even_pairs(U8x64 a, U8x64 b) {
  return {_mm256_blend_epi16(a.lo, _mm256_slli_epi32(b.lo, 16), 0xAA),
          _mm256_blend_epi16(a.hi, _mm256_slli_epi32(b.hi, 16), 0xAA)};
}
inline U8x64 u8_odd_pairs(U8x64 a, U8x64 b) {
  return {_mm256_blend_epi16(_mm256_srli_epi32(a.lo, 16), b.lo, 0xAA),
          _mm256_blend_epi16(_mm256_srli_epi32(a.hi, 16), b.hi, 0xAA)};
}

}  // namespace
}  // namespace outpost
