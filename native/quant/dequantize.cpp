#include "quant/dequantize.h"

#include <bit>
#include <cassert>
#include <cstring>

#include "core/half.h"
#include "quant/dequantize_block.h"

namespace outpost {
namespace {

template <typename Block, int kElements>
void dequantize_blocks(const std::byte* bytes, float* out, int64_t n) {
  for (int64_t i = 0; i < n / kElements; ++i) {
    Block block;  // in the file it may lie at any address
    std::memcpy(&block, bytes + static_cast<size_t>(i) * sizeof(Block), sizeof(Block));
    dequantize_block(block, out + i * kElements);
  }
}

template <typename Widen>
void widen(const std::byte* bytes, float* out, int64_t n, const Widen& to_float) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, 2);
    out[i] = to_float(bits);
  }
}

using DequantizeFunction = void (*)(const std::byte* bytes, float* out, int64_t n);

/// @return null for a type that holds no weights
DequantizeFunction function_of(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return [](const std::byte* bytes, float* out, int64_t n) { std::memcpy(out, bytes, static_cast<size_t>(n) * 4); };
    case TensorType::kF16:
      return [](const std::byte* bytes, float* out, int64_t n) { widen(bytes, out, n, half_to_float); };
    case TensorType::kBF16:
      return [](const std::byte* bytes, float* out, int64_t n) {
        widen(bytes, out, n, [](uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); });
      };
    case TensorType::kQ4_0: return dequantize_blocks<BlockQ4_0, kSmallBlock>;
    case TensorType::kQ4_1: return dequantize_blocks<BlockQ4_1, kSmallBlock>;
    case TensorType::kQ5_0: return dequantize_blocks<BlockQ5_0, kSmallBlock>;
    case TensorType::kQ5_1: return dequantize_blocks<BlockQ5_1, kSmallBlock>;
    case TensorType::kQ8_0: return dequantize_blocks<BlockQ8_0, kSmallBlock>;
    case TensorType::kIQ4_NL: return dequantize_blocks<BlockIQ4_NL, kSmallBlock>;
    case TensorType::kMXFP4: return dequantize_blocks<BlockMXFP4, kSmallBlock>;
    case TensorType::kQ2_K: return dequantize_blocks<BlockQ2_K, kSuperblock>;
    case TensorType::kQ3_K: return dequantize_blocks<BlockQ3_K, kSuperblock>;
    case TensorType::kQ4_K: return dequantize_blocks<BlockQ4_K, kSuperblock>;
    case TensorType::kQ5_K: return dequantize_blocks<BlockQ5_K, kSuperblock>;
    case TensorType::kQ6_K: return dequantize_blocks<BlockQ6_K, kSuperblock>;
    case TensorType::kQ8_K: return dequantize_blocks<BlockQ8_K, kSuperblock>;
    case TensorType::kIQ4_XS: return dequantize_blocks<BlockIQ4_XS, kSuperblock>;
    case TensorType::kTQ1_0: return dequantize_blocks<BlockTQ1_0, kSuperblock>;
    case TensorType::kTQ2_0: return dequantize_blocks<BlockTQ2_0, kSuperblock>;
    case TensorType::kIQ2_XXS: return dequantize_blocks<BlockIQ2_XXS, kSuperblock>;
    case TensorType::kIQ2_XS: return dequantize_blocks<BlockIQ2_XS, kSuperblock>;
    case TensorType::kIQ2_S: return dequantize_blocks<BlockIQ2_S, kSuperblock>;
    case TensorType::kIQ3_XXS: return dequantize_blocks<BlockIQ3_XXS, kSuperblock>;
    case TensorType::kIQ3_S: return dequantize_blocks<BlockIQ3_S, kSuperblock>;
    case TensorType::kIQ1_S: return dequantize_blocks<BlockIQ1_S, kSuperblock>;
    case TensorType::kIQ1_M: return dequantize_blocks<BlockIQ1_M, kSuperblock>;
    case TensorType::kQ8_1:
    case TensorType::kI8:
    case TensorType::kI16:
    case TensorType::kI32:
    case TensorType::kI64:
    case TensorType::kF64: return nullptr;
  }
  return nullptr;
}

}  // namespace

bool can_dequantize(TensorType type) { return function_of(type) != nullptr; }

void dequantize(TensorType type, const std::byte* blocks, float* out, int64_t n) {
  const DequantizeFunction function = function_of(type);
  assert(function != nullptr);
  function(blocks, out, n);
}

}  // namespace outpost
