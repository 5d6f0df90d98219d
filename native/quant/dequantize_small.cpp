// Blocks of 32 elements.
#include <bit>
#include <cstring>
#include <limits>

#include "core/half.h"
#include "quant/dequantize_block.h"

namespace outpost {
namespace {

/// Writes value(q) for the 32 nibbles.
template <typename Value>
void expand_nibbles(const uint8_t* qs, float* out, const Value& value) {
  for (int l = 0; l < 16; ++l) {
    out[l] = value(qs[l] & 15);
    out[16 + l] = value(qs[l] >> 4);
  }
}

/// Writes value(q) for the 32 five-bit codes.
template <typename Value>
void expand_five_bits(const uint8_t* qs, const uint8_t* qh, float* out, const Value& value) {
  uint32_t high;
  std::memcpy(&high, qh, 4);
  for (int l = 0; l < 16; ++l) {
    out[l] = value((qs[l] & 15) | static_cast<int>((high >> l) & 1) << 4);
    out[16 + l] = value((qs[l] >> 4) | static_cast<int>((high >> (16 + l)) & 1) << 4);
  }
}

/// 2^(e - 128): half the scale, since kFp4Values are doubled.
float mxfp4_scale(uint8_t e) {
  if (e == 255) return std::numeric_limits<float>::quiet_NaN();
  // 2^-128 and 2^-127 are subnormal.
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1u) << 23);
}

}  // namespace

void dequantize_block(const BlockQ4_0& block, float* out) {
  const float d = half_to_float(block.d);
  expand_nibbles(block.qs, out, [&](int q) { return d * static_cast<float>(q - 8); });
}

void dequantize_block(const BlockQ4_1& block, float* out) {
  const float d = half_to_float(block.d), m = half_to_float(block.m);
  expand_nibbles(block.qs, out, [&](int q) { return d * static_cast<float>(q) + m; });
}

void dequantize_block(const BlockQ5_0& block, float* out) {
  const float d = half_to_float(block.d);
  expand_five_bits(block.qs, block.qh, out, [&](int q) { return d * static_cast<float>(q - 16); });
}

void dequantize_block(const BlockQ5_1& block, float* out) {
  const float d = half_to_float(block.d), m = half_to_float(block.m);
  expand_five_bits(block.qs, block.qh, out, [&](int q) { return d * static_cast<float>(q) + m; });
}

void dequantize_block(const BlockQ8_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < kSmallBlock; ++i) out[i] = d * static_cast<float>(block.qs[i]);
}

void dequantize_block(const BlockIQ4_NL& block, float* out) {
  const float d = half_to_float(block.d);
  expand_nibbles(block.qs, out, [&](int q) { return d * static_cast<float>(kIq4Values[q]); });
}

void dequantize_block(const BlockMXFP4& block, float* out) {
  const float d = mxfp4_scale(block.e);
  expand_nibbles(block.qs, out, [&](int q) { return d * static_cast<float>(kFp4Values[q]); });
}

}  // namespace outpost
