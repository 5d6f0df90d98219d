// What AVX2 and AVX-512 compute alike, with vectors of 16 bytes. See simd_scalar.h for what each function does.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace outpost {
namespace {

/// Of the four lanes that are left of sixteen.
template <typename Combine>
inline float reduce4(__m128 v, const Combine& combine) {
  v = combine(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(combine(v, _mm_movehdup_ps(v)));
}

/// v[i] + offset, as unsigned bytes
inline __m128i shifted_table(const int8_t (&v)[16], int offset) {
  return _mm_add_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(v)), _mm_set1_epi8(static_cast<char>(offset)));
}

/// sum of 16 values: their unsigned images 128 higher are what the processor can add up.
inline int32_t i8_sum16(const int8_t* p) {
  const __m128i v = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), _mm_set1_epi8(-128));
  const __m128i halves = _mm_sad_epu8(v, _mm_setzero_si128());
  return _mm_cvtsi128_si32(halves) + _mm_extract_epi16(halves, 4) - 16 * 128;
}
inline void i8_transpose_4x8(const int8_t* in, int8_t* out) {
  const auto* rows = reinterpret_cast<const __m128i*>(in);
  const __m128i r01 = _mm_loadu_si128(rows), r23 = _mm_loadu_si128(rows + 1);
  const __m128i even = _mm_unpacklo_epi8(r01, _mm_srli_si128(r01, 8));
  const __m128i odd = _mm_unpacklo_epi8(r23, _mm_srli_si128(r23, 8));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi16(even, odd));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out) + 1, _mm_unpackhi_epi16(even, odd));
}
inline void i8_pair_runs(const int8_t* in, int8_t* out) {
  const __m128i order = _mm_setr_epi8(0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15);
  const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(v, order));
}

}  // namespace
}  // namespace outpost
