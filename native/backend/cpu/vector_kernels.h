// Everything that is not a matrix product: quantizing activations, normalization and gates.
// Written once over the lanes of simd_*.h; internal to one kernels_*.cpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu_kernels.h"

namespace outpost {
namespace {

/// Up to 16 values; lanes past n are 0.
inline F32x16 load_first(const float* p, int64_t n) {
  if (n >= 16) return f32_load(p);
  float lanes[16] = {};
  std::copy_n(p, n, lanes);
  return f32_load(lanes);
}
inline void store_first(float* p, int64_t n, F32x16 v) {
  if (n >= 16) return f32_store(p, v);
  float lanes[16];
  f32_store(lanes, v);
  std::copy_n(lanes, n, p);
}

/// x = n * ln(2) + r with |r| <= ln(2)/2, x held to -87 to 88.
struct ExpParts {
  F32x16 power;  // 2^n
  F32x16 r;
  F32x16 quotient;  // (exp(r) - 1) / r, a Taylor polynomial: what it leaves out, r^7/8!, is below 2^-25
};
inline ExpParts exp_parts(F32x16 x) {
  const F32x16 capped = f32_select_less(f32_set1(88.0f), x, f32_set1(88.0f), f32_max(f32_set1(-87.0f), x));
  const I32x16 n = to_i32(capped * f32_set1(1.44269504f));
  const F32x16 nf = to_f32(n);
  // ln(2) in two parts: the first has 9 trailing zero bits, so its product with n is exact.
  F32x16 r = fnma(nf, f32_set1(0.693145752f), capped);
  r = fnma(nf, f32_set1(1.42860677e-6f), r);
  F32x16 q = f32_set1(1.0f / 5040);
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f}) q = fma(q, r, f32_set1(c));
  return {bits_to_f32(i32_shift_left<23>(n + i32_set1(127))), r, q};
}

/// Within 2 ulp of std::exp (tested). 0 below -87, where a result would be subnormal; capped at exp(88), still finite.
inline F32x16 exp16(F32x16 x) {
  const ExpParts e = exp_parts(x);
  return f32_select_less(x, f32_set1(-87.0f), f32_set1(0.0f), fma(e.quotient, e.r, f32_set1(1.0f)) * e.power);
}

/// exp(x) - 1 without the cancellation near 0: 2^n * (exp(r) - 1) + (2^n - 1).
inline F32x16 exp_minus_1(F32x16 x) {
  const ExpParts e = exp_parts(x);
  return fma(e.power, e.quotient * e.r, e.power - f32_set1(1.0f));
}

inline float exp1(float x) {
  float lanes[16];
  f32_store(lanes, exp16(f32_set1(x)));
  return lanes[0];
}

void exp_all(float* y, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) store_first(y + i, n - i, exp16(load_first(x + i, n - i)));
}

/// x * sigmoid(z), 0 where z < -88: exp is capped there, and over it the largest x would not become 0.
inline F32x16 times_sigmoid(F32x16 x, F32x16 z) {
  const F32x16 zero = f32_set1(0.0f);
  return f32_select_less(z, f32_set1(-88.0f), zero, x / (f32_set1(1.0f) + exp16(zero - z)));
}

inline F32x16 silu(F32x16 x) { return times_sigmoid(x, x); }

/// x/2 * (1 + tanh(u)) with u = sqrt(2/pi) * (x + 0.044715 x^3); (1 + tanh(u)) / 2 is sigmoid(2u).
inline F32x16 gelu(F32x16 x) {
  const F32x16 cubed = x * x * x;
  return times_sigmoid(x, f32_set1(1.59576912f) * fma(f32_set1(0.044715f), cubed, x));
}

inline F32x16 swiglu_oai(F32x16 gate, F32x16 up) {
  constexpr float kAlpha = 1.702f, kLimit = 7.0f;
  const F32x16 limit = f32_set1(kLimit), lowest = f32_set1(-kLimit);
  const F32x16 g = f32_select_less(limit, gate, limit, gate);
  const F32x16 u = f32_select_less(limit, up, limit, f32_max(lowest, up));
  return times_sigmoid(g, f32_set1(kAlpha) * g) * (u + f32_set1(1.0f));
}

template <typename Function>
inline void map_gate(float* y, const float* gate, const float* up, int64_t n, const Function& function) {
  for (int64_t i = 0; i < n; i += 16) {
    store_first(y + i, n - i, function(load_first(gate + i, n - i), load_first(up + i, n - i)));
  }
}

void gate(Gate kind, float* y, const float* gate, const float* up, int64_t n) {
  switch (kind) {
    case Gate::kSwiGlu: return map_gate(y, gate, up, n, [](F32x16 g, F32x16 u) { return silu(g) * u; });
    case Gate::kGeGlu: return map_gate(y, gate, up, n, [](F32x16 g, F32x16 u) { return gelu(g) * u; });
    case Gate::kSwiGluOai: return map_gate(y, gate, up, n, [](F32x16 g, F32x16 u) { return swiglu_oai(g, u); });
  }
}

template <typename Function>
inline void map_in_place(float* x, int64_t n, const Function& function) {
  for (int64_t i = 0; i < n; i += 16) store_first(x + i, n - i, function(load_first(x + i, n - i)));
}

void activate(Activation kind, float* x, int64_t n) {
  switch (kind) {
    case Activation::kSilu: return map_in_place(x, n, [](F32x16 v) { return silu(v); });
    case Activation::kGelu: return map_in_place(x, n, [](F32x16 v) { return gelu(v); });
  }
}

/// cap * tanh(x / cap), with tanh(z) = e / (e + 2) for e = exp(2z) - 1.
inline F32x16 soft_capped(F32x16 x, float cap) {
  const F32x16 e = exp_minus_1(x * f32_set1(2.0f / cap));
  return f32_set1(cap) * (e / (e + f32_set1(2.0f)));
}

void softcap(float* x, int64_t n, float cap) {
  map_in_place(x, n, [&](F32x16 v) { return soft_capped(v, cap); });
}

void rms_norm(float* y, const float* x, const float* weight, int64_t n, float eps) {
  F32x16 sum_sq = f32_set1(0.0f);
  for (int64_t i = 0; i < n; i += 16) {
    const F32x16 v = load_first(x + i, n - i);
    sum_sq = fma(v, v, sum_sq);
  }
  const F32x16 scale = f32_set1(1.0f / std::sqrt(reduce_add(sum_sq) / static_cast<float>(n) + eps));
  for (int64_t i = 0; i < n; i += 16) {
    store_first(y + i, n - i, load_first(x + i, n - i) * scale * load_first(weight + i, n - i));
  }
}

/// The sum over a row of n values, of which term(i) gives the 16 from i on; what is past the end does not count.
template <typename Term>
inline float sum_row(int64_t n, const Term& term) {
  F32x16 sum = f32_set1(0.0f);
  for (int64_t i = 0; i < n; i += 16) {
    sum = sum + f32_keep_first(term(i), static_cast<int>(std::min<int64_t>(16, n - i)), 0.0f);
  }
  return reduce_add(sum);
}

/// The sum of n large values is off by a part of their mean that may exceed their deviation. So the mean of the
/// differences from the first mean is taken off as well, and the variance is that of what remains.
void layer_norm(float* y, const float* x, const float* weight, const float* bias, int64_t n, float eps) {
  const auto count = static_cast<float>(n);
  const F32x16 mean = f32_set1(sum_row(n, [&](int64_t i) { return load_first(x + i, n - i); }) / count);
  const auto difference = [&](int64_t i) { return load_first(x + i, n - i) - mean; };
  const F32x16 correction = f32_set1(sum_row(n, difference) / count);
  const auto centered = [&](int64_t i) { return difference(i) - correction; };
  const auto squared = [&](int64_t i) { return centered(i) * centered(i); };
  const F32x16 scale = f32_set1(1.0f / std::sqrt(sum_row(n, squared) / count + eps));
  for (int64_t i = 0; i < n; i += 16) {
    F32x16 v = centered(i) * scale * load_first(weight + i, n - i);
    if (bias != nullptr) v = v + load_first(bias + i, n - i);
    store_first(y + i, n - i, v);
  }
}

void quantize(const float* x, int64_t n_cols, ActivationBlock* out, int64_t stride) {
  for (int64_t block = 0; block < n_cols / 256; ++block, x += 256, out += stride) {
    F32x16 largest = f32_set1(0.0f);
    for (int i = 0; i < 256; i += 16) largest = f32_max(f32_abs(f32_load(x + i)), largest);
    const float absmax = reduce_max(largest);
    const float inverse = absmax > 0.0f ? 127.0f / absmax : 0.0f;
    // The quotient may overflow for denormal activations; they are as good as zero.
    const F32x16 factor = f32_set1(std::isfinite(inverse) ? inverse : 0.0f);
    out->scale = inverse > 0.0f && std::isfinite(inverse) ? 1.0f / inverse : 0.0f;
    for (int i = 0; i < 256; i += 16) i32_store_i8(out->q + i, to_i32(f32_load(x + i) * factor));
    for (int sub = 0; sub < 16; ++sub) {
      out->sum16[sub] = static_cast<int16_t>(i8_sum16(out->q + 16 * sub));
      i8_pair_runs(out->q + 16 * sub, out->q_by_pair + 16 * sub);
    }
    for (int group = 0; group < 8; ++group) {
      out->sum32[group] = static_cast<int16_t>(out->sum16[2 * group] + out->sum16[2 * group + 1]);
      i8_transpose_4x8(out->q + 32 * group, out->q_by_position + 32 * group);
#ifdef OUTPOST_NARROW_SUMS
      i16_starts(out->q_by_position + 32 * group, out->starts_by_position + 8 * group);
      i16_starts(out->q_by_pair + 32 * group, out->starts_by_pair + 8 * group);
#endif
    }
  }
}

void quantize32(const float* x, int64_t n_cols, ActivationBlock32* out, int64_t stride) {
  for (int64_t block = 0; block < n_cols; block += 256, x += 256, out += stride) {
    for (int group = 0; group < 8; ++group) {
      int8_t* q = out->q + 32 * group;
      if (block + 32 * group >= n_cols) {
        std::fill_n(q, 32, int8_t{0});
        out->sum[group] = 0;
        out->scale[group] = out->scaled_sum[group] = 0.0f;
        continue;
      }
      const F32x16 first = f32_load(x + 32 * group), second = f32_load(x + 32 * group + 16);
      const float absmax = reduce_max(f32_max(f32_abs(first), f32_abs(second)));
      const float inverse = absmax > 0.0f ? 127.0f / absmax : 0.0f;
      const bool is_usable = inverse > 0.0f && std::isfinite(inverse);
      const F32x16 factor = f32_set1(is_usable ? inverse : 0.0f);
      i32_store_i8(q, to_i32(first * factor));
      i32_store_i8(q + 16, to_i32(second * factor));
      out->sum[group] = i8_sum16(q) + i8_sum16(q + 16);
      out->scale[group] = is_usable ? 1.0f / inverse : 0.0f;
      out->scaled_sum[group] = out->scale[group] * static_cast<float>(out->sum[group]);
    }
  }
}

}  // namespace
}  // namespace outpost
