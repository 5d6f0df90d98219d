// Weighted least squares for one group of elements that share a scale. Private to quant/.
//
// A scale fixes the codes (each element takes the nearest) and the codes fix the best scale (a linear regression), but
// neither is known first. So a fit sweeps the scales around the one that just covers the largest element, solves the
// regression for each, keeps the best, and lets scale and codes follow each other from there. Larger elements weigh
// more, as they contribute more to a product: the weight is |x| + rms of the group.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/half.h"

namespace outpost {

/// Below this all codes of a format with an f16 scale round to zero: half its smallest subnormal.
inline constexpr float kSmallestMagnitude = 0x1p-25f;

/// The f16 of a scale beside a minimum. Where f16 is subnormal it is rounded up: rounded down it may be a fraction of
/// the scale, or zero, and then the codes would not reach from the minimum to the largest element.
inline uint16_t scale_to_half(float scale) {
  const uint16_t half = float_to_half(scale);
  return scale < 0x1p-14f && half_to_float(half) < scale ? static_cast<uint16_t>(half + 1) : half;
}

/// Exact for |x| < 2^22, ties to even. Plain additions, so that loops over it vectorize.
inline float nearest_integer(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

/// The codes of a format: every integer from `min` to `max`. A codebook has the same members.
struct CodeRange {
  float min, max;
  float nearest(float x) const {
    const float raised = x < min ? min : x;
    return nearest_integer(raised > max ? max : raised);
  }
};

/// x ~ scale * q + min. A scale of 0 where the codes cannot help: all elements are (nearly) equal.
struct LinearFit {
  float scale = 0, min = 0;
  float error = std::numeric_limits<float>::infinity();  ///< weighted sum of squares
};

/// Whether a format stores a minimum beside the scale.
enum class Minimum { kNone, kNegative, kAny };

// Steps of the sweep on each side, and how far it goes, in codes. On the samples of tests/support/type_vectors.h a
// sweep of 10 steps to 2 codes lowers the error by less than 2.5 % more, and takes half as long again.
inline constexpr int kSweepSteps = 6;
inline constexpr float kSweepReach = 1.5f;

template <int kCount>
void weigh(const float* x, float* weights) {
  float sum_sq = 0;
  for (int i = 0; i < kCount; ++i) sum_sq += x[i] * x[i];
  const float rms = std::sqrt(sum_sq / kCount);
  for (int i = 0; i < kCount; ++i) weights[i] = rms + std::abs(x[i]);
}

/// Element of largest magnitude, with its sign.
template <int kCount>
float largest(const float* x) {
  return *std::max_element(x, x + kCount, [](float a, float b) { return std::abs(a) < std::abs(b); });
}

// Sums in eight lanes: additions that vectorize, in one order everywhere.

inline float sum_of_lanes(const float (&lane)[8]) {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

template <int kCount>
float sum(const float* a) {
  static_assert(kCount % 8 == 0);
  float lane[8] = {};
  for (int i = 0; i < kCount; i += 8) {
    for (int j = 0; j < 8; ++j) lane[j] += a[i + j];
  }
  return sum_of_lanes(lane);
}

template <int kCount>
float dot(const float* a, const float* b) {
  static_assert(kCount % 8 == 0);
  float lane[8] = {};
  for (int i = 0; i < kCount; i += 8) {
    for (int j = 0; j < 8; ++j) lane[j] += a[i + j] * b[i + j];
  }
  return sum_of_lanes(lane);
}

/// The regression for the codes nearest to (x - min) * inverse. Works on what rounding leaves over, r = y - q, because
/// the sums of x itself would cancel.
template <int kCount, Minimum kMinimum, typename Codes>
LinearFit solve(const float* x, const float* w, float sum_w, Codes codes, float inverse, float min) {
  float q[kCount], r[kCount], wq_terms[kCount], wr_terms[kCount];
  for (int i = 0; i < kCount; ++i) {
    const float y = (x[i] - min) * inverse;
    q[i] = codes.nearest(y);
    r[i] = y - q[i];
    wq_terms[i] = w[i] * q[i];
    wr_terms[i] = w[i] * r[i];
  }
  const float wqq = dot<kCount>(wq_terms, q), wrq = dot<kCount>(wr_terms, q), wrr = dot<kCount>(wr_terms, r);
  if (!(wqq > 0)) return {};
  // r ~ slope * q + shift
  float slope = wrq / wqq, shift = 0, explained = slope * wrq;
  float left = wrr;
  if constexpr (kMinimum != Minimum::kNone) {
    const float wq = sum<kCount>(wq_terms), wr = sum<kCount>(wr_terms);
    const float determinant = sum_w * wqq - wq * wq;
    if (determinant > 1e-6f * sum_w * wqq) {
      slope = (sum_w * wrq - wq * wr) / determinant;
      shift = (wqq * wr - wq * wrq) / determinant;
      explained = slope * wrq + shift * wr;
    }
    if (kMinimum == Minimum::kNegative && min + shift / inverse > 0) {
      shift = -min * inverse;  // the minimum is zero
      slope = (wrq - shift * wq) / wqq;
      left = wrr - 2 * shift * wr + shift * shift * sum_w;
      explained = slope * slope * wqq;
    }
  }
  if (!(1 + slope > 0)) return {};
  return {(1 + slope) / inverse, min + shift / inverse, (left - explained) / (inverse * inverse)};
}

/// @param w positive weights
/// @param reach of the sweep, in codes
template <int kCount, Minimum kMinimum, typename Codes>
LinearFit fit_linear(const float* x, const float* w, Codes codes, float reach = kSweepReach) {
  float min = 0, extent, n_codes;
  if constexpr (kMinimum == Minimum::kNone) {
    extent = largest<kCount>(x);
    n_codes = codes.min;
  } else {
    const auto [low, high] = std::minmax_element(x, x + kCount);
    min = kMinimum == Minimum::kNegative ? std::min(0.0f, *low) : *low;
    extent = *high - min;
    n_codes = codes.max - codes.min;
  }
  const float sum_w = sum<kCount>(w);
  LinearFit best{0, min, std::numeric_limits<float>::infinity()};
  if (std::abs(extent) < kSmallestMagnitude) return best;
  // The largest element may take the shorter end of a lopsided range, if the longer one suits the others.
  const bool is_lopsided = codes.max < -0.95f * codes.min;
  const auto consider = [&](float inverse, float from) {
    const LinearFit fit = solve<kCount, kMinimum>(x, w, sum_w, codes, inverse, from);
    if (!(fit.error < best.error)) return false;
    best = fit;
    return true;
  };
  for (int step = -kSweepSteps; step <= kSweepSteps; ++step) {
    const float offset = reach * static_cast<float>(step) / kSweepSteps;
    consider((n_codes + offset) / extent, min);
    if (kMinimum == Minimum::kNone && is_lopsided) consider((codes.max + offset) / extent, min);
  }
  constexpr int kMostRounds = 4;
  for (int i = 0; i < kMostRounds && best.scale != 0 && consider(1 / best.scale, best.min); ++i) {
  }
  return best;
}

}  // namespace outpost
