// Ternary superblocks. These formats are for models that were trained with weights of -d, 0 and d, whose values they
// keep; for any others the fit below is the best that three values can do, which is not much.
#include <algorithm>
#include <cmath>
#include <functional>

#include "core/half.h"
#include "quant/fit.h"
#include "quant/quantize_block.h"

namespace outpost {
namespace {

/// The d of least squared error. If the k largest magnitudes become d, the best d is their mean and lowers the squares
/// by sum^2 / k: the best k is found by trying all.
float ternary_scale(const float* x) {
  float magnitudes[kSuperblock];
  std::transform(x, x + kSuperblock, magnitudes, [](float value) { return std::abs(value); });
  std::sort(magnitudes, magnitudes + kSuperblock, std::greater<>());
  double sum = 0, best_gain = 0, best_scale = 0;
  for (int k = 1; k <= kSuperblock; ++k) {
    sum += magnitudes[k - 1];
    if (sum * sum <= best_gain * k) continue;
    best_gain = sum * sum / k;
    best_scale = sum / k;
  }
  return static_cast<float>(best_scale);
}

/// Scale and digits, 0 to 2 for -d to d.
struct Ternary {
  uint16_t d;
  uint8_t digits[kSuperblock];
};

Ternary quantize_ternary(const float* x) {
  constexpr CodeRange kCodes{-1, 1};
  Ternary result{float_to_half(ternary_scale(x)), {}};
  const float d = half_to_float(result.d), inverse = d == 0 ? 0 : 1 / d;
  for (int i = 0; i < kSuperblock; ++i) result.digits[i] = static_cast<uint8_t>(kCodes.nearest(x[i] * inverse) + 1);
  return result;
}

/// The bytes of BlockTQ1_0: digit i of byte l comes from digits[n_bytes * i + l]; a fifth digit that is not there is 0.
void store_digits(const uint8_t* digits, int n_bytes, int n_digits, uint8_t* out) {
  for (int l = 0; l < n_bytes; ++l) {
    int number = 0;
    for (int i = 0; i < 5; ++i) number = 3 * number + (i < n_digits ? digits[n_bytes * i + l] : 0);
    out[l] = static_cast<uint8_t>((256 * number + 242) / 243);
  }
}

}  // namespace

void quantize_block(const float* x, BlockTQ1_0& block) {
  const Ternary ternary = quantize_ternary(x);
  block.d = ternary.d;
  store_digits(ternary.digits, 32, 5, block.qs);
  store_digits(ternary.digits + 160, 16, 5, block.qs + 32);
  store_digits(ternary.digits + 240, 4, 4, block.qh);
}

void quantize_block(const float* x, BlockTQ2_0& block) {
  const Ternary ternary = quantize_ternary(x);
  block = {};
  block.d = ternary.d;
  for (int i = 0; i < kSuperblock; ++i) {
    block.qs[32 * (i / 128) + i % 32] |= static_cast<uint8_t>(ternary.digits[i] << (2 * (i % 128 / 32)));
  }
}

}  // namespace outpost
