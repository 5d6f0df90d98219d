// llama.cpp's values of tensor blocks (vectors/tensor-types.txt), and the data they belong to: arbitrary blocks and
// weights that the recorder and the tests both make from a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/common/tensor_type.h"

namespace outpost::test {

/// Blocks of any bytes with finite scales: zeros, subnormals, both signs, every code.
std::vector<std::byte> arbitrary_blocks(TensorType type, int64_t n_blocks, uint64_t seed);

/// Standard normal values times `rms`.
std::vector<float> gaussian_values(size_t n, float rms, uint64_t seed);
/// Student's t with four degrees of freedom, times `scale`: outliers as in attention projections.
std::vector<float> heavy_tailed_values(size_t n, float scale, uint64_t seed);

/// FNV-1a of the bytes, or of the values' bits.
uint64_t checksum(std::span<const std::byte> bytes);
uint64_t checksum(std::span<const float> values);

struct BlockVector {
  int64_t n_blocks = 0;
  uint64_t seed = 0;             ///< of arbitrary_blocks, or
  std::vector<std::byte> bytes;  ///< the blocks themselves
  uint64_t byte_checksum = 0, value_checksum = 0;
  std::vector<std::pair<size_t, uint32_t>> values;  ///< some indices and the bits of the value there
};

struct TypeVectors {
  TensorType type;
  std::vector<BlockVector> blocks;
  /// Root mean square error of llama.cpp's quantizer on kErrorSamples values; negative if it was not recorded.
  double rmse_gaussian = -1, rmse_heavy_tailed = -1;
};

// What the errors are measured on: rows of the usual length, and a size that makes chance differences small.
inline constexpr size_t kErrorSamples = 64 * 1024;
inline std::vector<float> gaussian_samples() { return gaussian_values(kErrorSamples, 0.02f, 101); }
inline std::vector<float> heavy_tailed_samples() { return heavy_tailed_values(kErrorSamples, 0.02f, 102); }

double rmse(std::span<const float> a, std::span<const float> b);

void write_type_vectors(const std::string& path, const std::string& comment, std::span<const TypeVectors> types);
/// Throws std::runtime_error if the file is absent or malformed.
std::vector<TypeVectors> read_type_vectors(const std::string& path = "native/tests/vectors/tensor-types.txt");

}  // namespace outpost::test
