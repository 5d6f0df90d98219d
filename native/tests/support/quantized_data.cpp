#include "tests/support/quantized_data.h"

#include <cstring>
#include <random>

#include "backend/cpu/dequantize.h"
#include "core/half.h"
#include "kernels/common/block_layouts.h"

namespace outpost::test {
namespace {

/// Calls visit(pointer to two bytes) for each f16 scale of each block.
template <typename Visit>
void visit_block_scales(FileMatrix& matrix, const Visit& visit) {
  std::vector<size_t> offsets;
  switch (matrix.type) {
    case TensorType::kQ4_0: offsets = {offsetof(BlockQ4_0, d)}; break;
    case TensorType::kQ8_0: offsets = {offsetof(BlockQ8_0, d)}; break;
    case TensorType::kQ2_K: offsets = {offsetof(BlockQ2_K, d), offsetof(BlockQ2_K, dmin)}; break;
    case TensorType::kQ4_K: offsets = {offsetof(BlockQ4_K, d), offsetof(BlockQ4_K, dmin)}; break;
    case TensorType::kQ5_K: offsets = {offsetof(BlockQ5_K, d), offsetof(BlockQ5_K, dmin)}; break;
    case TensorType::kQ6_K: offsets = {offsetof(BlockQ6_K, d)}; break;
    case TensorType::kIQ2_XXS: offsets = {offsetof(BlockIQ2_XXS, d)}; break;
    default: return;
  }
  const size_t block_bytes = tensor_type_traits(matrix.type).block_bytes;
  for (size_t at = 0; at < matrix.bytes.size(); at += block_bytes) {
    for (const size_t offset : offsets) visit(matrix.bytes.data() + at + offset);
  }
}

}  // namespace

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
  visit_block_scales(matrix, [&](std::byte* at) {
    const uint16_t half = float_to_half(scale(random));
    std::memcpy(at, &half, 2);
  });
  return matrix;
}

void set_block_scales(FileMatrix& matrix, uint16_t half_bits) {
  visit_block_scales(matrix, [&](std::byte* at) { std::memcpy(at, &half_bits, 2); });
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
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>(i % 256 == 0 ? 127 : uniform(random)) / 64.0f;
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
