#include "backend/cpu/dequantize.h"

#include <bit>
#include <cassert>
#include <cstring>

#include "core/half.h"
#include "kernels/common/block_layouts.h"
#include "kernels/common/iq2_xxs_grid.h"

namespace outpost {
namespace {

void dequantize_block(const BlockQ2_K& block, float* out) {
  const float d = half_to_float(block.d), dmin = half_to_float(block.dmin);
  for (int i = 0; i < kSuperblock; ++i) {
    const int half = i / 128, shift = 2 * (i % 128 / 32);
    const int q = (block.qs[32 * half + i % 32] >> shift) & 3;
    const uint8_t scale = block.scales[i / 16];
    out[i] = d * static_cast<float>((scale & 15) * q) - dmin * static_cast<float>(scale >> 4);
  }
}

/// Q4_K and Q5_K differ in the fifth bit only.
template <typename Block>
void dequantize_k4(const Block& block, float* out) {
  const float d = half_to_float(block.d), dmin = half_to_float(block.dmin);
  for (int i = 0; i < kSuperblock; ++i) {
    const int group = i / 32;
    const uint8_t byte = block.qs[32 * (i / 64) + i % 32];
    int q = group % 2 == 0 ? byte & 15 : byte >> 4;
    if constexpr (requires { block.qh; }) q |= ((block.qh[i % 32] >> group) & 1) << 4;
    const ScaleMin s = k4_scale_min(block.scales, group);
    out[i] = d * static_cast<float>(s.scale * q) - dmin * static_cast<float>(s.min);
  }
}

void dequantize_block(const BlockQ4_K& block, float* out) { dequantize_k4(block, out); }
void dequantize_block(const BlockQ5_K& block, float* out) { dequantize_k4(block, out); }

void dequantize_block(const BlockIQ2_XXS& block, float* out) {
  const float d = half_to_float(block.d);
  for (int group = 0; group < 8; ++group) {
    uint8_t indices[4];
    uint32_t signs_and_scale;
    std::memcpy(indices, &block.qs[4 * group], 4);
    std::memcpy(&signs_and_scale, &block.qs[4 * group + 2], 4);
    const float scale = d * (0.5f + static_cast<float>(signs_and_scale >> 28)) * 0.25f;
    for (int j = 0; j < 32; ++j) {
      const uint8_t signs = iq2_signs((signs_and_scale >> (7 * (j / 8))) & 127);
      const int code = (kIq2XxsGrid[indices[j / 8]] >> (2 * (j % 8))) & 3;
      const float magnitude = scale * static_cast<float>(kIq2Magnitudes[code]);
      out[32 * group + j] = (signs >> (j % 8)) & 1 ? -magnitude : magnitude;
    }
  }
}

void dequantize_block(const BlockQ6_K& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < kSuperblock; ++i) {
    const int half = i / 128, quarter = i % 128 / 32;
    const uint8_t byte = block.ql[64 * half + i % 64];
    const int low = quarter < 2 ? byte & 15 : byte >> 4;
    const int high = (block.qh[32 * half + i % 32] >> (2 * quarter)) & 3;
    out[i] = d * static_cast<float>(block.scales[i / 16] * ((low | (high << 4)) - 32));
  }
}

void dequantize_block(const BlockQ4_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < kSmallBlock; ++i) {
    const int q = i < 16 ? block.qs[i] & 15 : block.qs[i - 16] >> 4;
    out[i] = d * static_cast<float>(q - 8);
  }
}

void dequantize_block(const BlockQ8_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < kSmallBlock; ++i) out[i] = d * static_cast<float>(block.qs[i]);
}

template <typename Block, int kElements = kSuperblock>
void dequantize_blocks(const std::byte* bytes, float* out, int64_t n) {
  for (int64_t i = 0; i < n / kElements; ++i) {
    Block block;
    std::memcpy(&block, bytes + static_cast<size_t>(i) * sizeof(Block), sizeof(Block));
    dequantize_block(block, out + i * kElements);
  }
}

}  // namespace

bool can_dequantize(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
    case TensorType::kQ4_0:
    case TensorType::kQ8_0:
    case TensorType::kQ2_K:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
    case TensorType::kQ6_K:
    case TensorType::kIQ2_XXS: return true;
    default: return false;
  }
}

void dequantize(TensorType type, const std::byte* blocks, float* out, int64_t n) {
  switch (type) {
    case TensorType::kF32: std::memcpy(out, blocks, static_cast<size_t>(n) * sizeof(float)); return;
    case TensorType::kF16:
    case TensorType::kBF16:
      for (int64_t i = 0; i < n; ++i) {
        uint16_t bits;
        std::memcpy(&bits, blocks + 2 * i, 2);
        out[i] = type == TensorType::kF16 ? half_to_float(bits) : std::bit_cast<float>(uint32_t{bits} << 16);
      }
      return;
    case TensorType::kQ4_0: return dequantize_blocks<BlockQ4_0, kSmallBlock>(blocks, out, n);
    case TensorType::kQ8_0: return dequantize_blocks<BlockQ8_0, kSmallBlock>(blocks, out, n);
    case TensorType::kQ2_K: return dequantize_blocks<BlockQ2_K>(blocks, out, n);
    case TensorType::kQ4_K: return dequantize_blocks<BlockQ4_K>(blocks, out, n);
    case TensorType::kQ5_K: return dequantize_blocks<BlockQ5_K>(blocks, out, n);
    case TensorType::kQ6_K: return dequantize_blocks<BlockQ6_K>(blocks, out, n);
    case TensorType::kIQ2_XXS: return dequantize_blocks<BlockIQ2_XXS>(blocks, out, n);
    default: assert(!"can_dequantize was not asked");
  }
}

}  // namespace outpost
