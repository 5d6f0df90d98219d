// Sixteen lanes as four NEON vectors, for Armv8.2 with dot products, and with i8mm where it is compiled for it. See
// simd_scalar.h for what each function does.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace outpost {
namespace {

// A group's codes for one tile take all 32 registers already.
inline constexpr int kTilesAtOnce = 1;
inline constexpr int kDenseTokensAtOnce = 4;
inline constexpr int kVectorsAtOnce = 1;

struct F32x16 {
  float32x4_t v[4];
};
struct I32x16 {
  int32x4_t v[4];
};
struct U8x64 {
  uint8x16_t v[4];
};

/// One result of `part` for each of the four vectors.
template <typename Vectors, typename Part>
inline Vectors each(const Part& part) {
  return {{part(0), part(1), part(2), part(3)}};
}

inline F32x16 f32_set1(float v) {
  return each<F32x16>([&](int) { return vdupq_n_f32(v); });
}
inline F32x16 f32_load(const float* p) {
  return each<F32x16>([&](int i) { return vld1q_f32(p + 4 * i); });
}
inline void f32_store(float* p, F32x16 a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]);
}
inline F32x16 f16_load(const uint16_t* p) {
  return each<F32x16>([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
}
inline F32x16 bf16_load(const uint16_t* p) {
  return each<F32x16>([&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); });
}
inline F32x16 operator+(F32x16 a, F32x16 b) {
  return each<F32x16>([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
inline F32x16 operator-(F32x16 a, F32x16 b) {
  return each<F32x16>([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
inline F32x16 operator*(F32x16 a, F32x16 b) {
  return each<F32x16>([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
inline F32x16 operator/(F32x16 a, F32x16 b) {
  return each<F32x16>([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return each<F32x16>([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
inline F32x16 fnma(F32x16 b, F32x16 c, F32x16 a) {
  return each<F32x16>([&](int i) { return vfmsq_f32(a.v[i], b.v[i], c.v[i]); });
}
// NEON's own maximum is NaN where one of the two is.
inline F32x16 f32_max(F32x16 a, F32x16 b) {
  return each<F32x16>([&](int i) { return vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
inline F32x16 f32_abs(F32x16 a) {
  return each<F32x16>([&](int i) { return vabsq_f32(a.v[i]); });
}
inline F32x16 f32_select_less(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  return each<F32x16>([&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), x.v[i], y.v[i]); });
}
/// All bits of the lanes before n.
inline uint32x4_t lanes_before(int n, int vector) {
  static constexpr int32_t kLanes[] = {0, 1, 2, 3};
  return vcltq_s32(vld1q_s32(kLanes), vdupq_n_s32(n - 4 * vector));
}
inline F32x16 f32_keep_first(F32x16 a, int n, float fill) {
  return each<F32x16>([&](int i) { return vbslq_f32(lanes_before(n, i), a.v[i], vdupq_n_f32(fill)); });
}
inline F32x16 f32_drop_first(F32x16 a, int n, float fill) {
  return each<F32x16>([&](int i) { return vbslq_f32(lanes_before(n, i), vdupq_n_f32(fill), a.v[i]); });
}

inline float reduce_add(F32x16 a) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline float reduce_max(F32x16 a) {
  const auto larger = [](float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); };
  float four[4];
  vst1q_f32(four, larger(larger(a.v[0], a.v[2]), larger(a.v[1], a.v[3])));
  const auto larger1 = [](float x, float y) { return x > y ? x : y; };
  return larger1(larger1(four[0], four[2]), larger1(four[1], four[3]));
}

inline void prefetch_near(const char* p) { __builtin_prefetch(p, 0, 3); }
inline void prefetch_far(const char* p) { __builtin_prefetch(p, 0, 2); }

inline I32x16 i32_set1(int32_t v) {
  return each<I32x16>([&](int) { return vdupq_n_s32(v); });
}
inline I32x16 i32_load_u8(const uint8_t* p) {
  const uint8x16_t bytes = vld1q_u8(p);
  const uint16x8_t words[2] = {vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes)};
  return each<I32x16>([&](int i) {
    return vreinterpretq_s32_u32(i % 2 == 0 ? vmovl_u16(vget_low_u16(words[i / 2])) : vmovl_high_u16(words[i / 2]));
  });
}
inline I32x16 i32_load_i8(const int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t words[2] = {vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)};
  return each<I32x16>(
      [&](int i) { return i % 2 == 0 ? vmovl_s16(vget_low_s16(words[i / 2])) : vmovl_high_s16(words[i / 2]); });
}
inline I32x16 i16_load_u8(const uint8_t* p) {
  return each<I32x16>([&](int i) { return vreinterpretq_s32_u16(vmovl_u8(vld1_u8(p + 8 * i))); });
}
inline I32x16 operator+(I32x16 a, I32x16 b) {
  return each<I32x16>([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
inline I32x16 operator*(I32x16 a, I32x16 b) {
  return each<I32x16>([&](int i) { return vmulq_s32(a.v[i], b.v[i]); });
}
inline I32x16 i32_and(I32x16 a, int32_t mask) {
  return each<I32x16>([&](int i) { return vandq_s32(a.v[i], vdupq_n_s32(mask)); });
}
template <int n>
inline I32x16 i32_shift_left(I32x16 a) {
  return each<I32x16>([&](int i) { return vshlq_n_s32(a.v[i], n); });
}
template <int n>
inline I32x16 i32_shift_right(I32x16 a) {
  return each<I32x16>([&](int i) { return vshrq_n_s32(a.v[i], n); });
}
inline F32x16 to_f32(I32x16 a) {
  return each<F32x16>([&](int i) { return vcvtq_f32_s32(a.v[i]); });
}
// NEON's own conversion saturates, and gives 0 for NaN.
inline I32x16 to_i32(F32x16 a) {
  return each<I32x16>([&](int i) {
    const float32x4_t v = a.v[i];
    const uint32x4_t fits = vandq_u32(vcgeq_f32(v, vdupq_n_f32(-0x1p31f)), vcltq_f32(v, vdupq_n_f32(0x1p31f)));
    return vbslq_s32(fits, vcvtnq_s32_f32(v), vdupq_n_s32(INT32_MIN));
  });
}
inline F32x16 bits_to_f32(I32x16 a) {
  return each<F32x16>([&](int i) { return vreinterpretq_f32_s32(a.v[i]); });
}
inline void i32_store_i8(int8_t* p, I32x16 a) {
  const int16x8_t low = vqmovn_high_s32(vqmovn_s32(a.v[0]), a.v[1]);
  const int16x8_t high = vqmovn_high_s32(vqmovn_s32(a.v[2]), a.v[3]);
  vst1q_s8(p, vqmovn_high_s16(vqmovn_s16(low), high));
}
inline void i32_store_i16(int16_t* p, I32x16 a) {
  vst1q_s16(p, vcombine_s16(vmovn_s32(a.v[0]), vmovn_s32(a.v[1])));
  vst1q_s16(p + 8, vcombine_s16(vmovn_s32(a.v[2]), vmovn_s32(a.v[3])));
}

inline int32_t i8_sum16(const int8_t* p) { return vaddlvq_s8(vld1q_s8(p)); }
inline void i8_transpose_4x8(const int8_t* in, int8_t* out) {
  vst4_s8(out, {{vld1_s8(in), vld1_s8(in + 8), vld1_s8(in + 16), vld1_s8(in + 24)}});
}
inline void i8_pair_runs(const int8_t* in, int8_t* out) {
  static constexpr uint8_t kOrder[16] = {0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15};
  vst1q_s8(out, vqtbl1q_s8(vld1q_s8(in), vld1q_u8(kOrder)));
}

inline U8x64 u8_load(const uint8_t* p) {
  return each<U8x64>([&](int i) { return vld1q_u8(p + 16 * i); });
}
inline void u8_store(uint8_t* p, U8x64 a) {
  for (int i = 0; i < 4; ++i) vst1q_u8(p + 16 * i, a.v[i]);
}
inline U8x64 u8_and(U8x64 a, uint8_t mask) {
  return each<U8x64>([&](int i) { return vandq_u8(a.v[i], vdupq_n_u8(mask)); });
}
template <int n>
inline U8x64 u8_shift_and(U8x64 a, uint8_t mask) {
  return u8_and(each<U8x64>([&](int i) { return vshrq_n_u8(a.v[i], n); }), mask);
}
template <int n>
inline U8x64 u8_shift_left_and(U8x64 a, uint8_t mask) {
  return u8_and(each<U8x64>([&](int i) { return vshlq_n_u8(a.v[i], n); }), mask);
}
inline U8x64 u8_or(U8x64 a, U8x64 b) {
  return each<U8x64>([&](int i) { return vorrq_u8(a.v[i], b.v[i]); });
}
/// 0xFF in each byte whose bit of `bits` is set.
inline U8x64 mask_bytes(uint64_t bits) {
  const uint8x16_t bytes = vcombine_u8(vcreate_u8(bits), vdup_n_u8(0));
  const uint8x16_t spread = vcombine_u8(vdup_n_u8(0), vdup_n_u8(1));  // byte 2i for bits 16i to 16i+7, then 2i+1
  const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
  return each<U8x64>([&](int i) {
    return vtstq_u8(vqtbl1q_u8(bytes, vaddq_u8(spread, vdupq_n_u8(static_cast<uint8_t>(2 * i)))), bit);
  });
}
inline U8x64 u8_or_masked(U8x64 a, uint64_t mask, uint8_t value) {
  const U8x64 set = mask_bytes(mask);
  return each<U8x64>([&](int i) { return vorrq_u8(a.v[i], vandq_u8(set.v[i], vdupq_n_u8(value))); });
}

/// Four activations, for the dot products by one element.
inline int8x8_t load_four(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  return vreinterpret_s8_s32(vdup_n_s32(four));
}
#ifdef __ARM_FEATURE_MATMUL_INT8
inline I32x16 dot4(I32x16 acc, U8x64 w, const int8_t* x) {
  const int8x8_t four = load_four(x);
  return each<I32x16>([&](int i) { return vusdotq_lane_s32(acc.v[i], w.v[i], four, 0); });
}
inline I32x16 dot4_wide(I32x16 acc, U8x64 w, const int8_t* x) { return dot4(acc, w, x); }
#else
inline I32x16 dot4(I32x16 acc, U8x64 w, const int8_t* x) {
  const int8x8_t four = load_four(x);
  return each<I32x16>([&](int i) { return vdotq_lane_s32(acc.v[i], vreinterpretq_s8_u8(w.v[i]), four, 0); });
}
/// Codes less 128, which signed bytes can hold, and 128 times the sum of the four activations apart.
inline I32x16 dot4_wide(I32x16 acc, U8x64 w, const int8_t* x) {
  const int8x8_t four = load_four(x);
  const int32x4_t bias = vshlq_n_s32(vdotq_lane_s32(vdupq_n_s32(0), vdupq_n_s8(64), four, 0), 1);
  return each<I32x16>([&](int i) {
    const int8x16_t code = vreinterpretq_s8_u8(veorq_u8(w.v[i], vdupq_n_u8(128)));
    return vdotq_lane_s32(vaddq_s32(acc.v[i], bias), code, four, 0);
  });
}
#endif
inline I32x16 dot2(I32x16 acc, I32x16 w, const int16_t* x) {
  return each<I32x16>([&](int i) {
    const int32x4_t even = vmlaq_n_s32(acc.v[i], vshrq_n_s32(vshlq_n_s32(w.v[i], 16), 16), x[0]);
    return vmlaq_n_s32(even, vshrq_n_s32(w.v[i], 16), x[1]);
  });
}
// One row behind the other: NEON multiplies 16-bit numbers by one of another vector, and adds no neighbours.
inline void i16_store_rows2(int16_t* out, const int8_t* rows) {
  for (int i = 0; i < 4; ++i) vst1q_s16(out + 8 * i, vmovl_s8(vld1_s8(rows + 8 * i)));
}
inline I32x16 dot_rows2(I32x16 acc, const int16_t* rows, const int16_t* x) {
  return each<I32x16>([&](int i) {
    return vmlal_n_s16(vmlal_n_s16(acc.v[i], vld1_s16(rows + 4 * i), x[0]), vld1_s16(rows + 16 + 4 * i), x[1]);
  });
}

struct U8Table16 {
  uint8x16_t values;

  U8Table16(const int8_t (&v)[16], int offset)
      : values(vaddq_u8(vreinterpretq_u8_s8(vld1q_s8(v)), vdupq_n_u8(static_cast<uint8_t>(offset)))) {}
  U8x64 look_up(U8x64 codes) const {
    return each<U8x64>([&](int i) { return vqtbl1q_u8(values, codes.v[i]); });
  }
};

template <int kParts>
struct U8PairTable {
  uint8x16x4_t first_bytes[kParts][4], second_bytes[kParts][4];

  explicit U8PairTable(const uint16_t* pairs) {
    for (int i = 0; i < 16 * kParts; ++i) {
      const uint8x16x2_t bytes = vld2q_u8(reinterpret_cast<const uint8_t*>(pairs + 16 * i));
      first_bytes[i / 16][i / 4 % 4].val[i % 4] = bytes.val[0];
      second_bytes[i / 16][i / 4 % 4].val[i % 4] = bytes.val[1];
    }
  }
  struct Found {
    const uint8_t* index;
    const uint64_t* high;
  };
  void find(const uint8_t* index, const uint64_t* high, Found& found) const { found = {index, high}; }
  void get(const Found& found, U8x64& first, U8x64& second) const {
    const auto [index, high] = found;
    const U8x64 at = u8_load(index);
    first = find(first_bytes, at, high);
    second = find(second_bytes, at, high);
  }

 private:
  static U8x64 find(const uint8x16x4_t (&values)[kParts][4], U8x64 index, const uint64_t* high) {
    U8x64 found[kParts];
    for (int part = 0; part < kParts; ++part) {
      // A look-up out of a quarter's range gives 0, or leaves what an earlier one found.
      found[part] = each<U8x64>([&](int i) {
        uint8x16_t at = index.v[i], value = vqtbl4q_u8(values[part][0], at);
        for (int quarter = 1; quarter < 4; ++quarter) {
          at = vsubq_u8(at, vdupq_n_u8(64));
          value = vqtbx4q_u8(value, values[part][quarter], at);
        }
        return value;
      });
    }
    for (int bit = 0, n = kParts / 2; n > 0; ++bit, n /= 2) {
      const U8x64 is_odd = mask_bytes(high[bit]);
      for (int part = 0; part < n; ++part) {
        found[part] =
            each<U8x64>([&](int i) { return vbslq_u8(is_odd.v[i], found[2 * part + 1].v[i], found[2 * part].v[i]); });
      }
    }
    return found[0];
  }
};

template <int bit>
inline U8x64 u8_mirror_where(U8x64 a, U8x64 bits) {
  const uint8x16_t mask = vdupq_n_u8(1 << bit);
  return each<U8x64>(
      [&](int i) { return vbslq_u8(vtstq_u8(bits.v[i], mask), vsubq_u8(vdupq_n_u8(128), a.v[i]), a.v[i]); });
}
inline U8x64 u8_even_pairs(U8x64 a, U8x64 b) {
  return each<U8x64>([&](int i) {
    return vreinterpretq_u8_u16(vtrn1q_u16(vreinterpretq_u16_u8(a.v[i]), vreinterpretq_u16_u8(b.v[i])));
  });
}
inline U8x64 u8_odd_pairs(U8x64 a, U8x64 b) {
  return each<U8x64>([&](int i) {
    return vreinterpretq_u8_u16(vtrn2q_u16(vreinterpretq_u16_u8(a.v[i]), vreinterpretq_u16_u8(b.v[i])));
  });
}

}  // namespace
}  // namespace outpost
