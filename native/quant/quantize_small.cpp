// Blocks of 32 elements. The scale is rounded to f16 first, and the codes follow the rounded one.
#include <bit>
#include <cstring>

#include "core/half.h"
#include "quant/fit.h"
#include "quant/iq4_codes.h"
#include "quant/quantize_block.h"

namespace outpost {
namespace {

template <Minimum kMinimum, typename Codes>
LinearFit fit_block(const float* x, Codes codes, float reach = kSweepReach) {
  float weights[kSmallBlock];
  weigh<kSmallBlock>(x, weights);
  return fit_linear<kSmallBlock, kMinimum>(x, weights, codes, reach);
}

template <typename Codes>
uint16_t fit_scale(const float* x, Codes codes, float reach = kSweepReach) {
  return float_to_half(fit_block<Minimum::kNone>(x, codes, reach).scale);
}

/// Writes code(i) of element i to the nibbles, and a fifth bit to qh if there is one.
template <typename Block, typename Code>
void store_codes(Block& block, const Code& code) {
  uint32_t high = 0;
  for (int l = 0; l < 16; ++l) {
    const auto a = static_cast<uint32_t>(code(l)), b = static_cast<uint32_t>(code(16 + l));
    block.qs[l] = static_cast<uint8_t>((a & 15) | (b & 15) << 4);
    high |= (a >> 4) << l | (b >> 4) << (16 + l);
  }
  if constexpr (requires { block.qh; }) std::memcpy(block.qh, &high, 4);
}

/// 0 for a scale of 0: all elements are the minimum.
float inverse_of(float d) { return d == 0 ? 0 : 1 / d; }

template <typename Block>
void quantize_symmetric(const float* x, CodeRange codes, Block& block) {
  block.d = fit_scale(x, codes);
  const float inverse = inverse_of(half_to_float(block.d));
  store_codes(block, [&](int i) { return codes.nearest(x[i] * inverse) - codes.min; });
}

template <typename Block>
void quantize_with_minimum(const float* x, CodeRange codes, Block& block) {
  const LinearFit fit = fit_block<Minimum::kAny>(x, codes);
  block.d = scale_to_half(fit.scale);
  block.m = float_to_half(fit.min);
  const float inverse = inverse_of(half_to_float(block.d)), min = half_to_float(block.m);
  store_codes(block, [&](int i) { return codes.nearest((x[i] - min) * inverse); });
}

/// Index of the value of E2M1 nearest to x / 2, see kFp4Values.
int fp4_index(float x) {
  constexpr float kMiddles[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
  int index = 0;
  for (const float middle : kMiddles) index += std::abs(x) > middle;
  return x < 0 && index > 0 ? index + 8 : index;
}

}  // namespace

void quantize_block(const float* x, BlockQ4_0& block) { quantize_symmetric(x, {-8, 7}, block); }
void quantize_block(const float* x, BlockQ5_0& block) { quantize_symmetric(x, {-16, 15}, block); }
void quantize_block(const float* x, BlockQ4_1& block) { quantize_with_minimum(x, {0, 15}, block); }
void quantize_block(const float* x, BlockQ5_1& block) { quantize_with_minimum(x, {0, 31}, block); }

void quantize_block(const float* x, BlockQ8_0& block) {
  constexpr CodeRange kCodes{-127, 127};
  block.d = fit_scale(x, kCodes);
  const float inverse = inverse_of(half_to_float(block.d));
  for (int i = 0; i < kSmallBlock; ++i) block.qs[i] = static_cast<int8_t>(kCodes.nearest(x[i] * inverse));
}

void quantize_block(const float* x, BlockIQ4_NL& block) {
  block.d = fit_scale(x, Iq4Codes(), Iq4Codes::kReach);
  const float inverse = inverse_of(half_to_float(block.d));
  store_codes(block, [&](int i) { return Iq4Codes::index(x[i] * inverse); });
}

void quantize_block(const float* x, BlockMXFP4& block) {
  block = {};
  const float amax = std::abs(largest<kSmallBlock>(x));
  if (amax == 0) return;
  // The scale that brings the largest element to [4, 8), where 6 is the largest value, or the next power of two.
  int exponent;
  std::frexp(amax, &exponent);
  double least = std::numeric_limits<double>::infinity();
  for (int e = exponent + 124; e <= exponent + 125; ++e) {
    const int clamped = std::clamp(e, 0, 252);  // above, 4 and 6 are infinite in f32
    const double unit = std::ldexp(1.0, clamped - 128);
    double error = 0;
    for (int i = 0; i < kSmallBlock; ++i) {
      const double difference = x[i] - unit * kFp4Values[fp4_index(static_cast<float>(x[i] / unit))];
      error += difference * difference;
    }
    if (error >= least) continue;
    least = error;
    block.e = static_cast<uint8_t>(clamped);
  }
  const double unit = std::ldexp(1.0, block.e - 128);
  store_codes(block, [&](int i) { return fp4_index(static_cast<float>(x[i] / unit)); });
}

}  // namespace outpost
