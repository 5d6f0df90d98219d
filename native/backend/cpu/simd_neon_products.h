// Products of codes and activations for Armv8.2 with dot products, and with i8mm where it is compiled for it: in place
// of add_products in matmul_kernels.h, with the same results. Included after simd_neon.h.
//
// A register holds sums of four rows, so sixteen of 32 registers hold those of four tokens. The instructions take four
// activations out of sixteen in a register: nothing has to be broadcast.
#pragma once

#include <utility>

#include "backend/cpu/simd_neon.h"

#define OUTPOST_OWN_PRODUCTS

namespace outpost {
namespace {

#ifdef __ARM_FEATURE_MATMUL_INT8
constexpr bool kHasMixedSigns = true;
template <int kLane>
inline int32x4_t dot_lane(int32x4_t acc, uint8x16_t w, int8x16_t x) {
  return vusdotq_laneq_s32(acc, w, x, kLane);
}
#else
constexpr bool kHasMixedSigns = false;
template <int kLane>
inline int32x4_t dot_lane(int32x4_t acc, uint8x16_t w, int8x16_t x) {
  return vdotq_laneq_s32(acc, vreinterpretq_s8_u8(w), x, kLane);
}
#endif

/// 128 * sum of n activations, n a multiple of 16
inline I32x16 bias_of(const int8_t* x, int n) {
  int32x4_t sum = vdupq_n_s32(0);
  for (int i = 0; i < n; i += 16) sum = vdotq_s32(sum, vld1q_s8(x + i), vdupq_n_s8(1));
  return i32_set1(128 * vaddvq_s32(sum));
}

/// One, two or four tokens. Sums that are needed again too soon take turns: there are always four for a row.
template <bool kIsWide, int kVectors, int kTokens, typename Input>
inline void add_dots(const U8x64* w, const Input& input, I32x16 (&sums)[kTokens]) {
  static_assert(kVectors % 4 == 0 && 4 % kTokens == 0);
  constexpr int kChains = 4 / kTokens;
  constexpr bool kIsBiased = kIsWide && !kHasMixedSigns;  // codes less 128, to be signed
  I32x16 parts[kTokens][kChains];
  for (int t = 0; t < kTokens; ++t) {
    parts[t][0] = kIsBiased ? sums[t] + bias_of(input(t), 4 * kVectors) : sums[t];
    for (int i = 1; i < kChains; ++i) parts[t][i] = i32_set1(0);
  }
  const auto add_vector = [&]<int kLane>(const U8x64& codes, const int8x16_t(&x)[kTokens]) {
    const U8x64 c = kIsBiased ? each<U8x64>([&](int i) { return veorq_u8(codes.v[i], vdupq_n_u8(128)); }) : codes;
    for (int t = 0; t < kTokens; ++t) {
      I32x16& part = parts[t][kLane % kChains];
      part = each<I32x16>([&](int i) { return dot_lane<kLane>(part.v[i], c.v[i], x[t]); });
    }
  };
  for (int first = 0; first < kVectors; first += 4) {
    int8x16_t x[kTokens];
    for (int t = 0; t < kTokens; ++t) x[t] = vld1q_s8(input(t) + 4 * first);
    [&]<int... kLane>(std::integer_sequence<int, kLane...>) {
      (add_vector.template operator()<kLane>(w[first + kLane], x), ...);
    }
    (std::make_integer_sequence<int, 4>{});
  }
  for (int t = 0; t < kTokens; ++t) {
    for (int i = 1; i < kChains; ++i) parts[t][0] = parts[t][0] + parts[t][i];
    sums[t] = parts[t][0];
  }
}

#ifdef __ARM_FEATURE_MATMUL_INT8
/// Four or eight tokens: an instruction multiplies eight columns of two rows by those of two tokens.
template <int kVectors, int kTokens, typename Input>
inline void add_matrices(const U8x64* w, const Input& input, I32x16 (&sums)[kTokens]) {
  static_assert(kVectors % 2 == 0 && kTokens % 4 == 0);
  constexpr int kSteps = kVectors / 2;
  uint8x16_t rows[kSteps][8];  // eight columns of rows 2r and 2r + 1
  for (int step = 0; step < kSteps; ++step) {
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t left = vreinterpretq_u32_u8(w[2 * step].v[i]),
                       right = vreinterpretq_u32_u8(w[2 * step + 1].v[i]);
      rows[step][2 * i] = vreinterpretq_u8_u32(vzip1q_u32(left, right));
      rows[step][2 * i + 1] = vreinterpretq_u8_u32(vzip2q_u32(left, right));
    }
  }
  for (int t = 0; t < kTokens; t += 4) {
    int32x4_t acc[2][8];  // of a pair of tokens a, b: rows 2r a, 2r b, 2r + 1 a, 2r + 1 b
    for (auto& pair : acc) {
      for (int32x4_t& a : pair) a = vdupq_n_s32(0);
    }
    for (int step = 0; step < kSteps; ++step) {
      for (int p = 0; p < 2; ++p) {
        const int8_t *a = input(t + 2 * p) + 8 * step, *b = input(t + 2 * p + 1) + 8 * step;
        const int8x16_t x = vcombine_s8(vld1_s8(a), vld1_s8(b));
        for (int r = 0; r < 8; ++r) acc[p][r] = vusmmlaq_s32(acc[p][r], rows[step][r], x);
      }
    }
    for (int p = 0; p < 2; ++p) {
      I32x16 &a = sums[t + 2 * p], &b = sums[t + 2 * p + 1];
      a = a + each<I32x16>([&](int i) { return vuzp1q_s32(acc[p][2 * i], acc[p][2 * i + 1]); });
      b = b + each<I32x16>([&](int i) { return vuzp2q_s32(acc[p][2 * i], acc[p][2 * i + 1]); });
    }
  }
}
#endif

template <bool kIsWide, int kVectors, int kTokens, typename Input>
inline void add_products(const U8x64* w, const Input& input, I32x16 (&sums)[kTokens]) {
#ifdef __ARM_FEATURE_MATMUL_INT8
  if constexpr (kTokens >= 4) return add_matrices<kVectors>(w, input, sums);
#endif
  if constexpr (kTokens <= 4) {
    add_dots<kIsWide, kVectors>(w, input, sums);
  } else {
    for (int first = 0; first < kTokens; first += 4) {
      I32x16 four[4] = {sums[first], sums[first + 1], sums[first + 2], sums[first + 3]};
      add_dots<kIsWide, kVectors>(
          w, [&](int t) { return input(first + t); }, four);
      for (int t = 0; t < 4; ++t) sums[first + t] = four[t];
    }
  }
}

}  // namespace
}  // namespace outpost
