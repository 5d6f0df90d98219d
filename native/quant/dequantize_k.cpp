// Superblocks of 256 elements without a codebook of patterns: K-quants, ternary quants and IQ4_XS.
#include "core/half.h"
#include "quant/dequantize_block.h"

namespace outpost {
namespace {

/// Q4_K and Q5_K differ in the fifth bit only.
template <typename Block>
void dequantize_k4(const Block& block, float* out) {
  const float d = half_to_float(block.d), dmin = half_to_float(block.dmin);
  for (int group = 0; group < 8; ++group, out += 32) {
    const ScaleMin s = k4_scale_min(block.scales, group);
    const float scale = d * static_cast<float>(s.scale), min = dmin * static_cast<float>(s.min);
    const uint8_t* bytes = block.qs + 32 * (group / 2);
    const int shift = 4 * (group % 2);
    for (int l = 0; l < 32; ++l) {
      int q = (bytes[l] >> shift) & 15;
      if constexpr (requires { block.qh; }) q |= ((block.qh[l] >> group) & 1) << 4;
      out[l] = scale * static_cast<float>(q) - min;
    }
  }
}

/// Digits 0 to n_digits - 1 of n_bytes bytes of TQ1_0.
/// @return where the next digits go
float* expand_ternary(const uint8_t* bytes, int n_bytes, int n_digits, float d, float* out) {
  uint32_t power = 1;
  for (int digit = 0; digit < n_digits; ++digit, power *= 3) {
    for (int l = 0; l < n_bytes; ++l) {
      const uint32_t fraction = (bytes[l] * power) & 255;
      *out++ = static_cast<float>(static_cast<int>((fraction * 3) >> 8) - 1) * d;
    }
  }
  return out;
}

}  // namespace

void dequantize_block(const BlockQ2_K& block, float* out) {
  const float d = half_to_float(block.d), dmin = half_to_float(block.dmin);
  for (int group = 0; group < 16; ++group, out += 16) {
    const float scale = d * static_cast<float>(block.scales[group] & 15);
    const float min = dmin * static_cast<float>(block.scales[group] >> 4);
    const uint8_t* bytes = block.qs + 32 * (group / 8) + 16 * (group % 2);
    const int shift = 2 * (group % 8 / 2);
    for (int l = 0; l < 16; ++l) out[l] = scale * static_cast<float>((bytes[l] >> shift) & 3) - min;
  }
}

void dequantize_block(const BlockQ3_K& block, float* out) {
  const float d = half_to_float(block.d);
  for (int group = 0; group < 16; ++group, out += 16) {
    const float scale = d * static_cast<float>(k3_scale(block.scales, group) - 32);
    const uint8_t* low = block.qs + 32 * (group / 8) + 16 * (group % 2);
    const uint8_t* high = block.hmask + 16 * (group % 2);
    const int shift = 2 * (group % 8 / 2);
    for (int l = 0; l < 16; ++l) {
      const int q = ((low[l] >> shift) & 3) | ((high[l] >> (group / 2)) & 1) << 2;
      out[l] = scale * static_cast<float>(q - 4);
    }
  }
}

void dequantize_block(const BlockQ4_K& block, float* out) { dequantize_k4(block, out); }
void dequantize_block(const BlockQ5_K& block, float* out) { dequantize_k4(block, out); }

void dequantize_block(const BlockQ6_K& block, float* out) {
  const float d = half_to_float(block.d);
  for (int group = 0; group < 16; ++group, out += 16) {
    const float scale = d * static_cast<float>(block.scales[group]);
    const int half = group / 8, quarter = group % 8 / 2, l0 = 16 * (group % 2);
    const uint8_t* low = block.ql + 64 * half + 32 * (quarter % 2) + l0;
    const uint8_t* high = block.qh + 32 * half + l0;
    for (int l = 0; l < 16; ++l) {
      const int q = ((low[l] >> (4 * (quarter / 2))) & 15) | ((high[l] >> (2 * quarter)) & 3) << 4;
      out[l] = scale * static_cast<float>(q - 32);
    }
  }
}

void dequantize_block(const BlockQ8_K& block, float* out) {
  for (int i = 0; i < kSuperblock; ++i) out[i] = block.d * static_cast<float>(block.qs[i]);
}

void dequantize_block(const BlockIQ4_XS& block, float* out) {
  const float d = half_to_float(block.d);
  for (int group = 0; group < 8; ++group, out += 32) {
    const int low = (block.scales_l[group / 2] >> (4 * (group % 2))) & 15;
    const int high = (block.scales_h >> (2 * group)) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    const uint8_t* bytes = block.qs + 16 * group;
    for (int l = 0; l < 16; ++l) {
      out[l] = scale * static_cast<float>(kIq4Values[bytes[l] & 15]);
      out[16 + l] = scale * static_cast<float>(kIq4Values[bytes[l] >> 4]);
    }
  }
}

void dequantize_block(const BlockTQ1_0& block, float* out) {
  const float d = half_to_float(block.d);
  out = expand_ternary(block.qs, 32, 5, d, out);
  out = expand_ternary(block.qs + 32, 16, 5, d, out);
  expand_ternary(block.qh, 4, 4, d, out);
}

void dequantize_block(const BlockTQ2_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int quarter = 0; quarter < 8; ++quarter, out += 32) {
    const uint8_t* bytes = block.qs + 32 * (quarter / 4);
    const int shift = 2 * (quarter % 4);
    for (int l = 0; l < 32; ++l) out[l] = static_cast<float>(((bytes[l] >> shift) & 3) - 1) * d;
  }
}

}  // namespace outpost
