// Superblocks of 256 elements: every group is fitted by itself, then the groups' scales (and minimums) become small
// integers times one or two f16 factors, then the codes follow the scales as they are stored.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/half.h"
#include "quant/fit.h"
#include "quant/iq4_codes.h"
#include "quant/quantize_block.h"

namespace outpost {
namespace {

/// Weighted squares of what the nearest codes leave over.
template <int kCount, typename Codes>
float error_of(const float* x, const float* w, Codes codes, float scale, float min) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  float left[kCount], weighted[kCount];
  for (int i = 0; i < kCount; ++i) {
    left[i] = x[i] - min - scale * codes.nearest((x[i] - min) * inverse);
    weighted[i] = w[i] * left[i];
  }
  return dot<kCount>(weighted, left);
}

/// An f16 factor and the nearest multiples of it.
struct Steps {
  uint16_t bits;
  float factor;

  explicit Steps(uint16_t half) : bits(half), factor(half_to_float(half)) {}
  /// The nearest multiple of `value`, from `low` to `high`.
  int count(float value, int low, int high) const {
    if (factor == 0) return std::clamp(0, low, high);
    return static_cast<int>(std::lround(std::clamp(value / factor, static_cast<float>(low), static_cast<float>(high))));
  }
};

/// x ~ d * scale * q - dmin * min
template <int kGroups>
struct ScaledGroups {
  uint16_t d, dmin;
  uint8_t scales[kGroups], mins[kGroups];
  uint8_t codes[kSuperblock];
};

/// Q2_K, Q4_K and Q5_K.
/// @param most of a scale and of a minimum
template <int kGroups>
ScaledGroups<kGroups> quantize_with_minimums(const float* x, CodeRange codes, int most) {
  constexpr int kCount = kSuperblock / kGroups;
  float weights[kSuperblock];
  LinearFit fits[kGroups];
  float largest_scale = 0, largest_min = 0;
  for (int g = 0; g < kGroups; ++g) {
    weigh<kCount>(x + g * kCount, weights + g * kCount);
    fits[g] = fit_linear<kCount, Minimum::kNegative>(x + g * kCount, weights + g * kCount, codes);
    largest_scale = std::max(largest_scale, fits[g].scale);
    largest_min = std::max(largest_min, -fits[g].min);
  }
  const Steps d(scale_to_half(largest_scale / static_cast<float>(most)));
  const Steps dmin(scale_to_half(largest_min / static_cast<float>(most)));
  ScaledGroups<kGroups> groups{d.bits, dmin.bits, {}, {}, {}};
  for (int g = 0; g < kGroups; ++g) {
    const float* group = x + g * kCount;
    // Scale and minimum were rounded one by one: a neighbour of the pair may serve better.
    const int scale = d.count(fits[g].scale, 0, most), min = dmin.count(-fits[g].min, 0, most);
    float least = std::numeric_limits<float>::infinity();
    for (int s = std::max(0, scale - 1); s <= std::min(most, scale + 1); ++s) {
      for (int m = std::max(0, min - 1); m <= std::min(most, min + 1); ++m) {
        const float error = error_of<kCount>(group, weights + g * kCount, codes, d.factor * static_cast<float>(s),
                                             -dmin.factor * static_cast<float>(m));
        if (error >= least) continue;
        least = error;
        groups.scales[g] = static_cast<uint8_t>(s);
        groups.mins[g] = static_cast<uint8_t>(m);
      }
    }
    const float unit = d.factor * groups.scales[g], offset = dmin.factor * groups.mins[g];
    const float inverse = unit == 0 ? 0 : 1 / unit;
    for (int i = 0; i < kCount; ++i) {
      groups.codes[g * kCount + i] = static_cast<uint8_t>(codes.nearest((group[i] + offset) * inverse));
    }
  }
  return groups;
}

/// x ~ d * scale * q with signed scales, from -most to most - 1.
template <int kGroups>
struct SignedGroups {
  uint16_t d;
  int scales[kGroups];
  float inverse[kGroups];  ///< of d * scale, 0 if that is 0
};

/// Q3_K, Q6_K and IQ4_XS.
template <int kGroups, typename Codes>
SignedGroups<kGroups> quantize_signed(const float* x, Codes codes, int most, float reach = kSweepReach) {
  constexpr int kCount = kSuperblock / kGroups;
  float weights[kSuperblock], scales[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    weigh<kCount>(x + g * kCount, weights + g * kCount);
    scales[g] = fit_linear<kCount, Minimum::kNone>(x + g * kCount, weights + g * kCount, codes, reach).scale;
  }
  const Steps d(float_to_half(largest<kGroups>(scales) / static_cast<float>(-most)));
  SignedGroups<kGroups> groups{d.bits, {}, {}};
  for (int g = 0; g < kGroups; ++g) {
    const int nearest = d.count(scales[g], -most, most - 1);
    float least = std::numeric_limits<float>::infinity();
    for (int s = std::max(-most, nearest - 1); s <= std::min(most - 1, nearest + 1); ++s) {
      const float error =
          error_of<kCount>(x + g * kCount, weights + g * kCount, codes, d.factor * static_cast<float>(s), 0);
      if (error >= least) continue;
      least = error;
      groups.scales[g] = s;
    }
    const float unit = d.factor * static_cast<float>(groups.scales[g]);
    groups.inverse[g] = unit == 0 ? 0 : 1 / unit;
  }
  return groups;
}

/// The inverse of k4_scale_min.
void store_scales(const ScaledGroups<8>& groups, uint8_t* out) {
  for (int g = 0; g < 4; ++g) {
    out[g] = static_cast<uint8_t>(groups.scales[g] | (groups.scales[g + 4] >> 4) << 6);
    out[g + 4] = static_cast<uint8_t>(groups.mins[g] | (groups.mins[g + 4] >> 4) << 6);
    out[g + 8] = static_cast<uint8_t>((groups.scales[g + 4] & 15) | (groups.mins[g + 4] & 15) << 4);
  }
}

/// Two bits of each code from bit `shift` on, in the order of Q2_K.
void store_pairs(const uint8_t* codes, int shift, uint8_t* out) {
  for (int i = 0; i < kSuperblock; ++i) {
    out[32 * (i / 128) + i % 32] |= static_cast<uint8_t>(((codes[i] >> shift) & 3) << (2 * (i % 128 / 32)));
  }
}

/// The low nibbles in the order of Q4_K.
void store_nibbles(const uint8_t* codes, uint8_t* out) {
  for (int i = 0; i < kSuperblock; ++i) {
    out[32 * (i / 64) + i % 32] |= static_cast<uint8_t>((codes[i] & 15) << (4 * (i % 64 / 32)));
  }
}

}  // namespace

void quantize_block(const float* x, BlockQ2_K& block) {
  const auto groups = quantize_with_minimums<16>(x, {0, 3}, 15);
  block = {};
  block.d = groups.d;
  block.dmin = groups.dmin;
  for (int g = 0; g < 16; ++g) block.scales[g] = static_cast<uint8_t>(groups.scales[g] | groups.mins[g] << 4);
  store_pairs(groups.codes, 0, block.qs);
}

void quantize_block(const float* x, BlockQ4_K& block) {
  const auto groups = quantize_with_minimums<8>(x, {0, 15}, 63);
  block = {groups.d, groups.dmin, {}, {}};
  store_scales(groups, block.scales);
  store_nibbles(groups.codes, block.qs);
}

void quantize_block(const float* x, BlockQ5_K& block) {
  const auto groups = quantize_with_minimums<8>(x, {0, 31}, 63);
  block = {groups.d, groups.dmin, {}, {}, {}};
  store_scales(groups, block.scales);
  store_nibbles(groups.codes, block.qs);
  for (int i = 0; i < kSuperblock; ++i) {
    block.qh[i % 32] |= static_cast<uint8_t>((groups.codes[i] >> 4) << (i / 32));
  }
}

void quantize_block(const float* x, BlockQ3_K& block) {
  constexpr CodeRange kCodes{-4, 3};
  const auto groups = quantize_signed<16>(x, kCodes, 32);
  block = {};
  block.d = groups.d;
  for (int g = 0; g < 16; ++g) {  // the inverse of k3_scale
    const int scale = groups.scales[g] + 32;
    block.scales[g % 8] |= static_cast<uint8_t>((scale & 15) << (4 * (g / 8)));
    block.scales[8 + g % 4] |= static_cast<uint8_t>((scale >> 4) << (2 * (g / 4)));
  }
  uint8_t codes[kSuperblock];
  for (int i = 0; i < kSuperblock; ++i) {
    codes[i] = static_cast<uint8_t>(kCodes.nearest(x[i] * groups.inverse[i / 16]) + 4);
    block.hmask[i % 32] |= static_cast<uint8_t>((codes[i] >> 2) << (i / 32));
  }
  store_pairs(codes, 0, block.qs);
}

void quantize_block(const float* x, BlockQ6_K& block) {
  constexpr CodeRange kCodes{-32, 31};
  const auto groups = quantize_signed<16>(x, kCodes, 128);
  block = {};
  block.d = groups.d;
  for (int g = 0; g < 16; ++g) block.scales[g] = static_cast<int8_t>(groups.scales[g]);
  uint8_t codes[kSuperblock];
  for (int i = 0; i < kSuperblock; ++i) {
    codes[i] = static_cast<uint8_t>(kCodes.nearest(x[i] * groups.inverse[i / 16]) + 32);
    block.ql[64 * (i / 128) + i % 64] |= static_cast<uint8_t>((codes[i] & 15) << (4 * (i % 128 / 64)));
  }
  store_pairs(codes, 4, block.qh);
}

void quantize_block(const float* x, BlockIQ4_XS& block) {
  const auto groups = quantize_signed<8>(x, Iq4Codes(), 32, Iq4Codes::kReach);
  block = {};
  block.d = groups.d;
  for (int g = 0; g < 8; ++g) {
    const int scale = groups.scales[g] + 32;
    block.scales_l[g / 2] |= static_cast<uint8_t>((scale & 15) << (4 * (g % 2)));
    block.scales_h = static_cast<uint16_t>(block.scales_h | (scale >> 4) << (2 * g));
    for (int i = 0; i < 32; ++i) {
      const int code = Iq4Codes::index(x[32 * g + i] * groups.inverse[g]);
      block.qs[16 * g + i % 16] |= static_cast<uint8_t>(code << (4 * (i / 16)));
    }
  }
}

}  // namespace outpost
