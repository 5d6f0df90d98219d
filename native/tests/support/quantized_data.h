// Random tensors in the layouts of GGUF files, and activations to multiply them with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace outpost::test {

/// Every type that the CPU backend multiplies by.
inline constexpr TensorType kCpuTypes[] = {
    TensorType::kF32,    TensorType::kF16,    TensorType::kBF16,    TensorType::kQ4_0,  TensorType::kQ4_1,
    TensorType::kQ5_0,   TensorType::kQ5_1,   TensorType::kQ8_0,    TensorType::kQ2_K,  TensorType::kQ3_K,
    TensorType::kQ4_K,   TensorType::kQ5_K,   TensorType::kQ6_K,    TensorType::kQ8_K,  TensorType::kIQ2_XXS,
    TensorType::kIQ2_XS, TensorType::kIQ2_S,  TensorType::kIQ3_XXS, TensorType::kIQ3_S, TensorType::kIQ1_S,
    TensorType::kIQ1_M,  TensorType::kIQ4_NL, TensorType::kIQ4_XS,  TensorType::kTQ1_0, TensorType::kTQ2_0,
    TensorType::kMXFP4};

/// A matrix in file layout, as a WeightView over bytes that it owns.
struct FileMatrix {
  TensorType type;
  int64_t n_rows, n_cols;
  std::vector<std::byte> bytes;

  WeightView view() const { return {"test.weight", type, n_rows, n_cols, bytes}; }
  /// All elements, by dequantize(), which quant_dequantize_test.cpp checks by hand.
  std::vector<float> values() const;
};

/// Arbitrary codes and sub-scales; the scales of blocks are uniform in +-0.02, so values are of the size of real
/// weights and never NaN.
FileMatrix random_matrix(TensorType type, int64_t n_rows, int64_t n_cols, uint32_t seed);

/// Overwrites every scale of a block: d and, where there is one, dmin or m. A scale that is not an f16 gets the
/// nearest value below in magnitude.
void set_block_scales(FileMatrix& matrix, uint16_t half_bits);
void set_block_scales(FileMatrix& matrix, const std::function<uint16_t()>& next_half_bits);

/// Uniform in [-1, 1).
std::vector<float> random_f32(size_t n, uint32_t seed);

/// Multiples of 1/64 whose largest magnitude in each 32 is 127/64: quantizing them to int8 loses nothing, so
/// that a product shows no other error than the rounding of its f32 sums.
std::vector<float> exact_activations(size_t n, uint32_t seed);

/// sum((a - b)^2) / sum(b^2)
double nmse(std::span<const float> a, std::span<const float> b);

}  // namespace outpost::test
