// Sixteen lanes without vector instructions: the reference that the other simd_*.h must equal.
// Included by exactly one kernels_*.cpp; everything is internal to it, because each of those files is compiled
// for another instruction set and must not share inline functions with the others.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/half.h"

// Unrolling loops over loops of lanes would gain nothing and take the compiler minutes.
#define OUTPOST_UNROLL

namespace outpost {
namespace {

/// Tiles that a kernel multiplies at once, and tokens if the tiles are dense: as many as registers allow.
inline constexpr int kTilesAtOnce = 1;
inline constexpr int kDenseTokensAtOnce = 4;
/// Vectors of positions that attention has sums for, for each of four queries.
inline constexpr int kVectorsAtOnce = 1;

struct F32x16 {
  float lane[16];
};
struct I32x16 {
  int32_t lane[16];
};
struct U8x64 {
  uint8_t lane[64];
};

#define OUTPOST_EACH(n, expression)             \
  do {                                          \
    for (int i = 0; i < (n); ++i) (expression); \
  } while (false)

inline F32x16 f32_set1(float v) {
  F32x16 r;
  OUTPOST_EACH(16, r.lane[i] = v);
  return r;
}
inline F32x16 f32_load(const float* p) {
  F32x16 r;
  std::memcpy(r.lane, p, sizeof r);
  return r;
}
inline void f32_store(float* p, F32x16 v) { std::memcpy(p, v.lane, sizeof v); }
inline F32x16 f16_load(const uint16_t* p) {
  F32x16 r;
  OUTPOST_EACH(16, r.lane[i] = half_to_float(p[i]));
  return r;
}
inline F32x16 bf16_load(const uint16_t* p) {
  F32x16 r;
  OUTPOST_EACH(16, r.lane[i] = std::bit_cast<float>(uint32_t{p[i]} << 16));
  return r;
}
inline F32x16 operator+(F32x16 a, F32x16 b) {
  OUTPOST_EACH(16, a.lane[i] += b.lane[i]);
  return a;
}
inline F32x16 operator-(F32x16 a, F32x16 b) {
  OUTPOST_EACH(16, a.lane[i] -= b.lane[i]);
  return a;
}
inline F32x16 operator*(F32x16 a, F32x16 b) {
  OUTPOST_EACH(16, a.lane[i] *= b.lane[i]);
  return a;
}
inline F32x16 operator/(F32x16 a, F32x16 b) {
  OUTPOST_EACH(16, a.lane[i] /= b.lane[i]);
  return a;
}
#ifdef _WIN32
/// a * b + c, rounded once; MinGW-w64's std::fma rounds twice.
/// The product of two floats is exact in double. A sum that is not ends in an odd bit, so that the second rounding is
/// as that of the exact sum (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
inline float fused(float a, float b, float c) {
  const double product = double{a} * double{b};
  double sum = product + c;
  const double part = sum - product;
  const double lost = (product - (sum - part)) + (c - part);
  if (lost != 0 && std::isfinite(sum)) {
    auto bits = std::bit_cast<uint64_t>(sum);
    if (bits % 2 == 0) bits += (lost > 0) == (sum > 0) ? 1 : UINT64_MAX;
    sum = std::bit_cast<double>(bits);
  }
  return static_cast<float>(sum);
}
#else
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }
#endif
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  OUTPOST_EACH(16, c.lane[i] = fused(a.lane[i], b.lane[i], c.lane[i]));
  return c;
}
/// a - b*c
inline F32x16 fnma(F32x16 b, F32x16 c, F32x16 a) {
  OUTPOST_EACH(16, a.lane[i] = fused(-b.lane[i], c.lane[i], a.lane[i]));
  return a;
}
// As the x86 instruction: b where the two are not ordered.
inline F32x16 f32_max(F32x16 a, F32x16 b) {
  OUTPOST_EACH(16, a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
  return a;
}
inline F32x16 f32_abs(F32x16 a) {
  OUTPOST_EACH(16, a.lane[i] = std::fabs(a.lane[i]));
  return a;
}
/// a < b ? x : y
inline F32x16 f32_select_less(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  OUTPOST_EACH(16, x.lane[i] = a.lane[i] < b.lane[i] ? x.lane[i] : y.lane[i]);
  return x;
}
/// Lanes from n on become `fill`.
inline F32x16 f32_keep_first(F32x16 v, int n, float fill) {
  OUTPOST_EACH(16, v.lane[i] = i < n ? v.lane[i] : fill);
  return v;
}
/// Lanes before n become `fill`; 0 <= n <= 16.
inline F32x16 f32_drop_first(F32x16 v, int n, float fill) {
  OUTPOST_EACH(16, v.lane[i] = i < n ? fill : v.lane[i]);
  return v;
}

/// The sum (or maximum) over lanes as a tree: lane i with i + 8, then + 4, + 2, + 1. One order for all variants.
template <typename Combine>
inline float reduce(F32x16 v, const Combine& combine) {
  for (int step = 8; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) v.lane[i] = combine(v.lane[i], v.lane[i + step]);
  }
  return v.lane[0];
}
inline float reduce_add(F32x16 v) {
  return reduce(v, [](float a, float b) { return a + b; });
}
inline float reduce_max(F32x16 v) {
  return reduce(v, [](float a, float b) { return a > b ? a : b; });
}

// Into the first or the second level of the cache. Nothing here: the scalar kernels never wait for memory.
inline void prefetch_near(const char*) {}
inline void prefetch_far(const char*) {}

inline I32x16 i32_set1(int32_t v) {
  I32x16 r;
  OUTPOST_EACH(16, r.lane[i] = v);
  return r;
}
inline I32x16 i32_load_u8(const uint8_t* p) {
  I32x16 r;
  OUTPOST_EACH(16, r.lane[i] = p[i]);
  return r;
}
inline I32x16 i32_load_i8(const int8_t* p) {
  I32x16 r;
  OUTPOST_EACH(16, r.lane[i] = p[i]);
  return r;
}
/// Two 16-bit numbers a lane, the first in the lower half.
inline I32x16 i16_load_u8(const uint8_t* p) {
  I32x16 r;
  OUTPOST_EACH(16, r.lane[i] = p[2 * i] | p[2 * i + 1] << 16);
  return r;
}
inline I32x16 operator+(I32x16 a, I32x16 b) {
  OUTPOST_EACH(16, a.lane[i] += b.lane[i]);
  return a;
}
inline I32x16 operator*(I32x16 a, I32x16 b) {
  OUTPOST_EACH(16, a.lane[i] *= b.lane[i]);
  return a;
}
inline I32x16 i32_and(I32x16 a, int32_t mask) {
  OUTPOST_EACH(16, a.lane[i] &= mask);
  return a;
}
template <int n>
inline I32x16 i32_shift_left(I32x16 a) {
  OUTPOST_EACH(16, a.lane[i] = static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) << n));
  return a;
}
template <int n>
inline I32x16 i32_shift_right(I32x16 a) {
  OUTPOST_EACH(16, a.lane[i] >>= n);
  return a;
}
inline F32x16 to_f32(I32x16 a) {
  F32x16 r;
  OUTPOST_EACH(16, r.lane[i] = static_cast<float>(a.lane[i]));
  return r;
}
/// Rounds to nearest, ties to even. As the x86 instruction: INT32_MIN for NaN and for what does not fit.
inline int32_t round_to_i32(float v) {
  return v >= -0x1p31f && v < 0x1p31f ? static_cast<int32_t>(std::nearbyint(v)) : INT32_MIN;
}
inline I32x16 to_i32(F32x16 a) {
  I32x16 r;
  OUTPOST_EACH(16, r.lane[i] = round_to_i32(a.lane[i]));
  return r;
}
inline F32x16 bits_to_f32(I32x16 a) { return std::bit_cast<F32x16>(a); }
/// Saturates, as the x86 instruction.
inline void i32_store_i8(int8_t* p, I32x16 v) {
  OUTPOST_EACH(16, p[i] = static_cast<int8_t>(v.lane[i] < -128 ? -128 : v.lane[i] > 127 ? 127 : v.lane[i]));
}
/// @pre the numbers fit
inline void i32_store_i16(int16_t* p, I32x16 v) { OUTPOST_EACH(16, p[i] = static_cast<int16_t>(v.lane[i])); }

/// sum of p[0..15]
inline int32_t i8_sum16(const int8_t* p) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += p[i];
  return sum;
}
/// out[4 * column + row] = in[8 * row + column], for 4 rows of 8
inline void i8_transpose_4x8(const int8_t* in, int8_t* out) {
  for (int column = 0; column < 8; ++column) {
    for (int row = 0; row < 4; ++row) out[4 * column + row] = in[8 * row + column];
  }
}

/// out[4 * i] to out[4 * i + 3] are in[i], in[8 + i], in[4 + i] and in[12 + i]
inline void i8_pair_runs(const int8_t* in, int8_t* out) {
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) out[4 * i + j] = in[8 * (j % 2) + 4 * (j / 2) + i];
  }
}

inline U8x64 u8_load(const uint8_t* p) {
  U8x64 r;
  std::memcpy(r.lane, p, sizeof r);
  return r;
}
inline void u8_store(uint8_t* p, U8x64 a) { std::memcpy(p, a.lane, sizeof a); }
inline U8x64 u8_and(U8x64 a, uint8_t mask) {
  OUTPOST_EACH(64, a.lane[i] &= mask);
  return a;
}
/// Bits n to n+3 (or n+1) of each byte; the bits above are kept off by `mask`.
template <int n>
inline U8x64 u8_shift_and(U8x64 a, uint8_t mask) {
  OUTPOST_EACH(64, a.lane[i] = static_cast<uint8_t>((a.lane[i] >> n) & mask));
  return a;
}
/// Bits shifted up within each byte as far as `mask` reaches, which must leave out what came from the byte below.
template <int n>
inline U8x64 u8_shift_left_and(U8x64 a, uint8_t mask) {
  OUTPOST_EACH(64, a.lane[i] = static_cast<uint8_t>((a.lane[i] << n) & mask));
  return a;
}
inline U8x64 u8_or(U8x64 a, U8x64 b) {
  OUTPOST_EACH(64, a.lane[i] |= b.lane[i]);
  return a;
}
/// v | value where `mask` has a bit.
inline U8x64 u8_or_masked(U8x64 v, uint64_t mask, uint8_t value) {
  OUTPOST_EACH(64, v.lane[i] |= (mask >> i) & 1 ? value : uint8_t{0});
  return v;
}
/// Sixteen values that are looked up by codes below 16.
struct U8Table16 {
  uint8_t value[16];

  /// values[i] + offset, which fits a byte
  U8Table16(const int8_t (&values)[16], int offset) {
    OUTPOST_EACH(16, value[i] = static_cast<uint8_t>(values[i] + offset));
  }
  U8x64 look_up(U8x64 codes) const {
    OUTPOST_EACH(64, codes.lane[i] = value[codes.lane[i]]);
    return codes;
  }
};

/// sum of four products of neighbouring bytes, added to each lane: acc[r] + sum_i w[4r + i] * x[i]
/// Codes are at most 127: some processors multiply signed bytes only, or add pairs of products in 16 bits.
inline I32x16 dot4(I32x16 acc, U8x64 w, const int8_t* x) {
  OUTPOST_EACH(64, acc.lane[i / 4] += w.lane[i] * x[i % 4]);
  return acc;
}
/// sum of two products of neighbouring 16-bit numbers, added to each lane. |w| and |x| are below 2^15.
inline I32x16 dot2(I32x16 acc, I32x16 w, const int16_t* x) {
  OUTPOST_EACH(16, acc.lane[i] += (w.lane[i] & 0xFFFF) * x[0] + (w.lane[i] >> 16) * x[1]);
  return acc;
}
/// Two rows of 16 bytes in the order in which dot_rows2 wants them.
inline void i16_store_rows2(int16_t* out, const int8_t* rows) { OUTPOST_EACH(32, out[i] = rows[16 * (i % 2) + i / 2]); }
/// acc[r] + row0[r] * x[0] + row1[r] * x[1]
inline I32x16 dot_rows2(I32x16 acc, const int16_t* rows, const int16_t* x) {
  OUTPOST_EACH(16, acc.lane[i] += rows[2 * i] * x[0] + rows[2 * i + 1] * x[1]);
  return acc;
}
/// dot4 for codes up to 255.
inline I32x16 dot4_wide(I32x16 acc, U8x64 w, const int8_t* x) { return dot4(acc, w, x); }

/// 256 * kParts pairs of bytes that are looked up by codes of 8 bits and more.
template <int kParts>
struct U8PairTable {
  static_assert(kParts == 1 || kParts == 2 || kParts == 4);
  const uint16_t* pairs;

  /// @param table first bytes in the low halves; must outlive this
  explicit U8PairTable(const uint16_t* table) : pairs(table) {}
  /// What `get` needs of one `find`, which may come long before it.
  struct Found {
    const uint8_t* index;
    const uint64_t* high;
  };
  /// @param index 64 codes' low bytes; `high` the bits above: bit i of high[b] is bit 8 + b of code i
  void find(const uint8_t* index, const uint64_t* high, Found& found) const { found = {index, high}; }
  void get(const Found& found, U8x64& first, U8x64& second) const {
    const auto [index, high] = found;
    for (int i = 0; i < 64; ++i) {
      uint64_t at = index[i];
      for (int bit = 0; 1 << bit < kParts; ++bit) at |= ((high[bit] >> i) & 1) << (8 + bit);
      first.lane[i] = static_cast<uint8_t>(pairs[at]);
      second.lane[i] = static_cast<uint8_t>(pairs[at] >> 8);
    }
  }
};

/// 128 - a where bit `bit` of the same byte of `bits` is set.
template <int bit>
inline U8x64 u8_mirror_where(U8x64 a, U8x64 bits) {
  OUTPOST_EACH(64, a.lane[i] = (bits.lane[i] >> bit) & 1 ? static_cast<uint8_t>(128 - a.lane[i]) : a.lane[i]);
  return a;
}
/// Of each four bytes the first two of a, then those of b.
inline U8x64 u8_even_pairs(U8x64 a, U8x64 b) {
  OUTPOST_EACH(64, a.lane[i] = i % 4 < 2 ? a.lane[i] : b.lane[i - 2]);
  return a;
}
/// Of each four bytes the last two of a, then those of b.
inline U8x64 u8_odd_pairs(U8x64 a, U8x64 b) {
  OUTPOST_EACH(64, a.lane[i] = i % 4 < 2 ? a.lane[i + 2] : b.lane[i]);
  return a;
}

#undef OUTPOST_EACH

}  // namespace
}  // namespace outpost
