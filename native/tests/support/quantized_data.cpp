#include "tests/support/quantized_data.h"

#include <cmath>
#include <cstring>
#include <random>

#include "core/half.h"
#include "kernels/common/block_layouts.h"
#include "quant/dequantize.h"

namespace outpost::test {
namespace {

/// Offsets of the f16 scales in a block.
std::vector<size_t> half_offsets(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
    case TensorType::kIQ1_M:
    case TensorType::kQ8_K:
    case TensorType::kMXFP4: return {};
    case TensorType::kQ4_1: return {offsetof(BlockQ4_1, d), offsetof(BlockQ4_1, m)};
    case TensorType::kQ5_1: return {offsetof(BlockQ5_1, d), offsetof(BlockQ5_1, m)};
    case TensorType::kQ2_K: return {offsetof(BlockQ2_K, d), offsetof(BlockQ2_K, dmin)};
    case TensorType::kQ3_K: return {offsetof(BlockQ3_K, d)};
    case TensorType::kQ4_K: return {offsetof(BlockQ4_K, d), offsetof(BlockQ4_K, dmin)};
    case TensorType::kQ5_K: return {offsetof(BlockQ5_K, d), offsetof(BlockQ5_K, dmin)};
    case TensorType::kQ6_K: return {offsetof(BlockQ6_K, d)};
    case TensorType::kTQ1_0: return {offsetof(BlockTQ1_0, d)};
    case TensorType::kTQ2_0: return {offsetof(BlockTQ2_0, d)};
    default: return {0};  // the other blocks begin with their only scale
  }
}

}  // namespace

void set_block_scales(FileMatrix& matrix, const std::function<uint16_t()>& next_half) {
  const size_t block_bytes = tensor_type_traits(matrix.type).block_bytes;
  for (size_t at = 0; at < matrix.bytes.size(); at += block_bytes) {
    std::byte* block = matrix.bytes.data() + at;
    for (const size_t offset : half_offsets(matrix.type)) {
      const uint16_t half = next_half();
      std::memcpy(block + offset, &half, 2);
    }
    if (matrix.type == TensorType::kIQ1_M) {  // in the upper nibbles of four words
      const uint16_t half = next_half();
      for (size_t i = 0; i < 4; ++i) {
        std::byte& byte = block[offsetof(BlockIQ1_M, scales) + 2 * i + 1];
        byte = (byte & std::byte{15}) | static_cast<std::byte>(((half >> (4 * i)) & 15) << 4);
      }
    } else if (matrix.type == TensorType::kQ8_K) {
      const float scale = half_to_float(next_half());
      std::memcpy(block + offsetof(BlockQ8_K, d), &scale, 4);
    } else if (matrix.type == TensorType::kMXFP4) {
      const float scale = half_to_float(next_half());
      block[offsetof(BlockMXFP4, e)] = static_cast<std::byte>(scale == 0 ? 0 : 127 + std::ilogb(scale));
    }
  }
}

void set_block_scales(FileMatrix& matrix, uint16_t half_bits) {
  set_block_scales(matrix, [&] { return half_bits; });
}

std::vector<float> FileMatrix::values() const {
  std::vector<float> out(static_cast<size_t>(n_rows * n_cols));
  dequantize(type, bytes.data(), out.data(), n_rows * n_cols);
  return out;
}

FileMatrix random_matrix(TensorType type, int64_t n_rows, int64_t n_cols, uint32_t seed) {
  const TensorTypeTraits& traits = tensor_type_traits(type);
  FileMatrix matrix{type, n_rows, n_cols, {}};
  matrix.bytes.resize(static_cast<size_t>(n_rows * n_cols) / traits.block_elements * traits.block_bytes);
  std::mt19937 random(seed);
  if (traits.block_elements == 1) {
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    for (size_t i = 0; i < static_cast<size_t>(n_rows * n_cols); ++i) {
      const float value = uniform(random);
      const auto bits = std::bit_cast<uint32_t>(value);
      const uint16_t half = type == TensorType::kF16 ? float_to_half(value) : static_cast<uint16_t>(bits >> 16);
      std::memcpy(matrix.bytes.data() + i * traits.block_bytes,
                  type == TensorType::kF32 ? static_cast<const void*>(&value) : &half, traits.block_bytes);
    }
    return matrix;
  }
  for (std::byte& byte : matrix.bytes) byte = static_cast<std::byte>(random());
  std::uniform_real_distribution<float> scale(-0.02f, 0.02f);
  set_block_scales(matrix, [&] { return float_to_half(scale(random)); });
  return matrix;
}

std::vector<float> random_f32(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> out(n);
  for (float& x : out) x = uniform(random);
  return out;
}

std::vector<float> exact_activations(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> uniform(-127, 127);
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>(i % 32 == 0 ? 127 : uniform(random)) / 64.0f;
  return out;
}

double nmse(std::span<const float> a, std::span<const float> b) {
  double error = 0, power = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    power += double{b[i]} * b[i];
  }
  return error / power;
}

}  // namespace outpost::test
