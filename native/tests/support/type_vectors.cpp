#include "tests/support/type_vectors.h"

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "kernels/common/block_layouts.h"
#include "tests/support/quantized_data.h"

namespace outpost::test {
namespace {

/// SplitMix64 (Steele, Lea, Flood 2014): small enough to be written down again anywhere.
struct SplitMix64 {
  uint64_t state;
  uint64_t operator()() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// In (0, 1].
  double uniform() { return static_cast<double>(((*this)() >> 11) + 1) * 0x1p-53; }
};

/// The `i`-th scale: mostly any finite one, regularly 0, -0 and subnormals.
uint16_t finite_half(uint64_t random, int64_t i) {
  auto half = static_cast<uint16_t>(random);
  if (i % 16 == 3) half &= 0x8000;
  if (i % 16 == 7) half &= 0x83ff;
  if ((half & 0x7c00) == 0x7c00) half &= 0xbfff;
  return half;
}

double normal(SplitMix64& random) {
  const double radius = std::sqrt(-2 * std::log(random.uniform()));
  return radius * std::cos(2 * 3.14159265358979323846 * random.uniform());
}

uint64_t fnv1a(const void* data, size_t n) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < n; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  char digits[3];
  for (const std::byte byte : bytes) {
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned>(byte));
    text += digits;
  }
  return text;
}

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

TensorType type_named(const std::string& name) {
  for (uint32_t id = 0; id < 64; ++id) {
    const TensorTypeTraits* traits = tensor_type_traits(id);
    if (traits != nullptr && name == traits->name) return static_cast<TensorType>(id);
  }
  throw std::runtime_error("no tensor type is called " + name);
}

}  // namespace

std::vector<std::byte> arbitrary_blocks(TensorType type, int64_t n_blocks, uint64_t seed) {
  const TensorTypeTraits& traits = tensor_type_traits(type);
  FileMatrix matrix{type, 1, n_blocks * traits.block_elements, {}};
  matrix.bytes.resize(static_cast<size_t>(n_blocks) * traits.block_bytes);
  SplitMix64 random{seed};
  for (std::byte& byte : matrix.bytes) byte = static_cast<std::byte>(random());
  if (type == TensorType::kMXFP4) {  // every exponent but that of NaN
    for (size_t at = offsetof(BlockMXFP4, e); at < matrix.bytes.size(); at += sizeof(BlockMXFP4)) {
      if (matrix.bytes[at] == std::byte{255}) matrix.bytes[at] = std::byte{254};
    }
  } else if (type == TensorType::kF16 || type == TensorType::kBF16) {
    const uint16_t infinity = type == TensorType::kF16 ? 0x7c00 : 0x7f80;
    for (size_t at = 0; at < matrix.bytes.size(); at += 2) {
      uint16_t bits;
      std::memcpy(&bits, &matrix.bytes[at], 2);
      if ((bits & infinity) == infinity) bits &= 0xbfff;
      std::memcpy(&matrix.bytes[at], &bits, 2);
    }
  } else {
    int64_t i = 0;
    set_block_scales(matrix, [&] { return finite_half(random(), i++); });
  }
  return matrix.bytes;
}

std::vector<float> gaussian_values(size_t n, float rms, uint64_t seed) {
  SplitMix64 random{seed};
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rms * normal(random));
  return values;
}

std::vector<float> heavy_tailed_values(size_t n, float scale, uint64_t seed) {
  SplitMix64 random{seed};
  std::vector<float> values(n);
  for (float& value : values) {
    const double numerator = normal(random);
    const double chi_squared = -2 * std::log(random.uniform()) - 2 * std::log(random.uniform());
    value = static_cast<float>(scale * numerator / std::sqrt(chi_squared / 4));
  }
  return values;
}

uint64_t checksum(std::span<const std::byte> bytes) { return fnv1a(bytes.data(), bytes.size()); }
uint64_t checksum(std::span<const float> values) { return fnv1a(values.data(), values.size_bytes()); }

double rmse(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

// One line per vector: "seed N S" or "bytes N HEX", the checksums of bytes and values, the number of values shown,
// then index and bits of each.
void write_type_vectors(const std::string& path, const std::string& comment, std::span<const TypeVectors> types) {
  std::ofstream out(path);
  out << comment;
  for (const TypeVectors& vectors : types) {
    out << "\ntype " << tensor_type_traits(vectors.type).name << "\n";
    for (const BlockVector& vector : vectors.blocks) {
      if (vector.bytes.empty()) {
        out << "seed " << vector.n_blocks << " " << vector.seed;
      } else {
        out << "bytes " << vector.n_blocks << " " << to_hex(vector.bytes);
      }
      out << std::hex << " " << vector.byte_checksum << " " << vector.value_checksum << std::dec << " "
          << vector.values.size();
      for (const auto& [index, bits] : vector.values) out << " " << index << " " << std::hex << bits << std::dec;
      out << "\n";
    }
    if (vectors.rmse_gaussian >= 0) {
      out.precision(7);
      out << "rmse " << vectors.rmse_gaussian << " " << vectors.rmse_heavy_tailed << "\n";
    }
  }
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

std::vector<TypeVectors> read_type_vectors(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::vector<TypeVectors> types;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string word;
    if (!(words >> word) || word[0] == '#') continue;
    if (word == "type") {
      words >> word;
      types.push_back({type_named(word), {}});
    } else if (word == "rmse" && !types.empty()) {
      words >> types.back().rmse_gaussian >> types.back().rmse_heavy_tailed;
    } else if ((word == "seed" || word == "bytes") && !types.empty()) {
      BlockVector vector;
      std::string hex;
      size_t n_values = 0;
      words >> vector.n_blocks;
      if (word == "seed") words >> vector.seed;
      if (word == "bytes") words >> hex;
      vector.bytes = from_hex(hex);
      words >> std::hex >> vector.byte_checksum >> vector.value_checksum >> std::dec >> n_values;
      for (size_t i = 0; i < n_values; ++i) {
        std::pair<size_t, uint32_t> value;
        words >> std::dec >> value.first >> std::hex >> value.second;
        vector.values.push_back(value);
      }
      types.back().blocks.push_back(std::move(vector));
    } else {
      throw std::runtime_error(path + ": unexpected line " + line);
    }
    if (!words) throw std::runtime_error(path + ": malformed line " + line);
  }
  return types;
}

}  // namespace outpost::test
