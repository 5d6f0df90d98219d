#include "quant/quantize.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

#include "core/half.h"
#include "quant/quantize_block.h"

namespace outpost {
namespace {

/// The upper half of the f32, rounded to nearest, ties to even.
uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <typename Block, int kElements>
void quantize_blocks(const float* x, int64_t n, std::byte* out) {
  for (int64_t i = 0; i < n / kElements; ++i) {
    Block block;
    quantize_block(x + i * kElements, block);
    std::memcpy(out + static_cast<size_t>(i) * sizeof(Block), &block, sizeof(Block));
  }
}

template <typename Narrow>
void narrow(const float* x, int64_t n, std::byte* out, const Narrow& from_float) {
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = from_float(x[i]);
    std::memcpy(out + 2 * i, &bits, 2);
  }
}

using QuantizeFunction = void (*)(const float* x, int64_t n, std::byte* out);

/// @return null for a type that has no quantizer
QuantizeFunction function_of(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return [](const float* x, int64_t n, std::byte* out) { std::memcpy(out, x, static_cast<size_t>(n) * 4); };
    case TensorType::kF16: return [](const float* x, int64_t n, std::byte* out) { narrow(x, n, out, float_to_half); };
    case TensorType::kBF16: return [](const float* x, int64_t n, std::byte* out) { narrow(x, n, out, float_to_bf16); };
    case TensorType::kQ4_0: return quantize_blocks<BlockQ4_0, kSmallBlock>;
    case TensorType::kQ4_1: return quantize_blocks<BlockQ4_1, kSmallBlock>;
    case TensorType::kQ5_0: return quantize_blocks<BlockQ5_0, kSmallBlock>;
    case TensorType::kQ5_1: return quantize_blocks<BlockQ5_1, kSmallBlock>;
    case TensorType::kQ8_0: return quantize_blocks<BlockQ8_0, kSmallBlock>;
    case TensorType::kIQ4_NL: return quantize_blocks<BlockIQ4_NL, kSmallBlock>;
    case TensorType::kMXFP4: return quantize_blocks<BlockMXFP4, kSmallBlock>;
    case TensorType::kQ2_K: return quantize_blocks<BlockQ2_K, kSuperblock>;
    case TensorType::kQ3_K: return quantize_blocks<BlockQ3_K, kSuperblock>;
    case TensorType::kQ4_K: return quantize_blocks<BlockQ4_K, kSuperblock>;
    case TensorType::kQ5_K: return quantize_blocks<BlockQ5_K, kSuperblock>;
    case TensorType::kQ6_K: return quantize_blocks<BlockQ6_K, kSuperblock>;
    case TensorType::kIQ4_XS: return quantize_blocks<BlockIQ4_XS, kSuperblock>;
    case TensorType::kTQ1_0: return quantize_blocks<BlockTQ1_0, kSuperblock>;
    case TensorType::kTQ2_0: return quantize_blocks<BlockTQ2_0, kSuperblock>;
    default: return nullptr;
  }
}

}  // namespace

bool can_quantize(TensorType type) { return function_of(type) != nullptr; }

float largest_quantizable(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kMXFP4: return std::bit_cast<float>(0x7f7fffffu);
    case TensorType::kBF16: return std::bit_cast<float>(0x7f7f7fffu);
    // Scales and minimums are f16 and no larger than the elements. No weight of a real model comes near.
    default: return 65504;
  }
}

std::optional<int64_t> find_unquantizable(TensorType type, const float* x, int64_t n) {
  const float most = largest_quantizable(type);
  for (int64_t i = 0; i < n; ++i) {
    if (!(std::abs(x[i]) <= most)) return i;
  }
  return std::nullopt;
}

void quantize(TensorType type, const float* x, int64_t n, std::byte* blocks) {
  const QuantizeFunction function = function_of(type);
  assert(function != nullptr);
  function(x, n, blocks);
}

}  // namespace outpost
