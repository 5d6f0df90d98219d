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
  float nearest(float x) const { return nearest_integer(std::min(std::max(x, min), max)); }
};

/// x ~ scale * q + min. A scale of 0 where the codes cannot help: all elements are (nearly) equal.
struct LinearFit {
  float scale = 0, min = 0;
  float error = std::numeric_limits<float>::infinity();  ///< weighted sum of squares
};

/// Whether a format stores a minimum beside the scale.
enum class Minimum { kNone, kNegative, kAny };

// How far the sweep goes to both sides, and in how many steps, on ranges of up to 63 codes. On Gaussian and
// heavy-tailed weights a longer or finer sweep lowers the error of no format by more than 1 % (types of 2 to 8 bits).
inline constexpr int kSweepSteps = 10;
inline constexpr float kSweepReach = 2.0f;

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

/// Sums over a group, eight partial ones each.
struct Lanes {
  float lane[8] = {};
  float sum() const {
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  }
};

/// The regression for the codes nearest to (x - min) * inverse. Works on what rounding leaves over, r = y - q, because
/// the sums of x itself would cancel.
template <int kCount, Minimum kMinimum, typename Codes>
LinearFit solve(const float* x, const float* w, const Codes& codes, float inverse, float min) {
  static_assert(kCount % 8 == 0);
  Lanes l_w, l_wq, l_wqq, l_wr, l_wrq, l_wrr;
  for (int i = 0; i < kCount; i += 8) {
    for (int j = 0; j < 8; ++j) {
      const float y = (x[i + j] - min) * inverse, q = codes.nearest(y), r = y - q;
      const float wq = w[i + j] * q, wr = w[i + j] * r;
      l_wqq.lane[j] += wq * q;
      l_wrq.lane[j] += wr * q;
      l_wrr.lane[j] += wr * r;
      if constexpr (kMinimum != Minimum::kNone) {
        l_w.lane[j] += w[i + j];
        l_wq.lane[j] += wq;
        l_wr.lane[j] += wr;
      }
    }
  }
  const float wqq = l_wqq.sum(), wrq = l_wrq.sum(), wrr = l_wrr.sum();
  if (!(wqq > 0)) return {};
  // r ~ slope * q + shift
  float slope = wrq / wqq, shift = 0, explained = slope * wrq;
  float left = wrr;
  if constexpr (kMinimum != Minimum::kNone) {
    const float sum_w = l_w.sum(), wq = l_wq.sum(), wr = l_wr.sum();
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
LinearFit fit_linear(const float* x, const float* w, const Codes& codes, float reach = kSweepReach) {
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
  LinearFit best{0, min, std::numeric_limits<float>::infinity()};
  if (std::abs(extent) < kSmallestMagnitude) return best;
  const auto consider = [&](float inverse, float from) {
    const LinearFit fit = solve<kCount, kMinimum>(x, w, codes, inverse, from);
    if (!(fit.error < best.error)) return false;
    best = fit;
    return true;
  };
  for (int step = -kSweepSteps; step <= kSweepSteps; ++step) {
    const float offset = reach * static_cast<float>(step) / kSweepSteps;
    consider((n_codes + offset) / extent, min);
    // The end of the range that the largest element does not need may still suit the others.
    if (kMinimum == Minimum::kNone && codes.max != -codes.min) consider((codes.max + offset) / extent, min);
  }
  constexpr int kMostRounds = 4;
  for (int i = 0; i < kMostRounds && best.scale != 0 && consider(1 / best.scale, best.min); ++i) {
  }
  return best;
}

}  // namespace outpost
