// What a core can multiply at most: the products of the other kernels on registers alone, for benchmarks.
// Written once over the lanes of simd_*.h; internal to one kernels_*.cpp.
#pragma once

#include <array>
#include <cstddef>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/matmul_kernels.h"
#include "kernels/common/kv_levels.h"

namespace outpost {
namespace {

/// Sums that do not wait for each other: as many as hide the latency of a product and fit the registers.
inline constexpr int kPeakChains = kVectorsAtOnce == 1 ? 6 : 12;
inline constexpr int kPeakRounds = 512;

/// kPeakChains * kPeakRounds products of 64 codes each. @return something that depends on all of them
inline int32_t peak_int8() {
  alignas(64) static constexpr auto kInput = [] {
    std::array<int8_t, 4 * kPeakChains*(kPeakRounds + 1)> numbers{};
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int8_t>(i % 7);
    return numbers;
  }();
  const int8_t* x = kInput.data();
  const U8Table16 table(kKvLevels2, 64);
  const U8x64 codes = table.look_up(u8_load(reinterpret_cast<const uint8_t*>(x)));
#ifdef OUTPOST_NARROW_SUMS
  I16x32 sums[kPeakChains];
  unrolled<kPeakChains>([&](auto i) { sums[i] = pair_products(codes, x + 4 * i); });
  for (int round = 0; round < kPeakRounds; ++round)
    unrolled<kPeakChains>(
        [&](auto i) OUTPOST_INLINE { sums[i] = sums[i] + pair_products(codes, x + 4 * (kPeakChains * round + i)); });
  I32x16 total = i32_set1(0);
  for (const I16x32& sum : sums) total = dot_pairs(total, sum, i16_pairs(i32_set1(1)));
#else
  I32x16 sums[kPeakChains];
  OUTPOST_UNROLL
  for (int i = 0; i < kPeakChains; ++i) sums[i] = i32_set1(i);
  for (int round = 0; round < kPeakRounds; ++round) {
    OUTPOST_UNROLL
    for (int i = 0; i < kPeakChains; ++i) sums[i] = dot4(sums[i], codes, x + 4 * (kPeakChains * round + i));
  }
  I32x16 total = i32_set1(0);
  for (const I32x16& sum : sums) total = total + sum;
#endif
  return static_cast<int32_t>(reduce_add(to_f32(total)));
}

/// The same of 16 f32 each, added up.
inline float peak_f32() {
  float starts[16 * kPeakChains];  // all different, or the compiler would do equal sums once
  for (int i = 0; i < 16 * kPeakChains; ++i) starts[i] = static_cast<float>(i);
  F32x16 sums[kPeakChains];
  OUTPOST_UNROLL
  for (int i = 0; i < kPeakChains; ++i) sums[i] = f32_load(starts + 16 * i);
  const F32x16 factor = f32_set1(0.5f), step = f32_set1(1.0f);
  for (int round = 0; round < kPeakRounds; ++round) {
    OUTPOST_UNROLL
    for (int i = 0; i < kPeakChains; ++i) sums[i] = fma(sums[i], factor, step);
  }
  F32x16 total = f32_set1(0.0f);
  for (const F32x16& sum : sums) total = total + sum;
  return reduce_add(total);
}

}  // namespace
}  // namespace outpost
