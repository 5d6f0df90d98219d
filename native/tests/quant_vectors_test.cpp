// Every type against llama.cpp, bit for bit: arbitrary blocks, and blocks that its quantizers made.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/dequantize.h"
#include "tests/support/quantized_data.h"
#include "tests/support/type_vectors.h"

using namespace outpost;
using namespace outpost::test;

TEST_CASE("dequantized blocks have the bits that llama.cpp gives them") {
  const auto recorded = read_type_vectors();
  for (const TensorType type : kCpuTypes) {
    if (type == TensorType::kF32) continue;  // a copy
    CAPTURE(std::string(tensor_type_traits(type).name));
    const auto it = std::find_if(recorded.begin(), recorded.end(), [&](const auto& v) { return v.type == type; });
    REQUIRE(it != recorded.end());
    REQUIRE(it->blocks.size() == 2);
    for (const BlockVector& vector : it->blocks) {
      const auto blocks = vector.bytes.empty() ? arbitrary_blocks(type, vector.n_blocks, vector.seed) : vector.bytes;
      REQUIRE(checksum(blocks) == vector.byte_checksum);  // these are the blocks that were recorded
      const TensorTypeTraits& traits = tensor_type_traits(type);
      std::vector<float> values(blocks.size() / traits.block_bytes * traits.block_elements);
      dequantize(type, blocks.data(), values.data(), static_cast<int64_t>(values.size()));
      REQUIRE(vector.values.size() >= 16);
      for (const auto& [index, bits] : vector.values) {
        CAPTURE(index);
        CHECK(std::bit_cast<uint32_t>(values.at(index)) == bits);
      }
      CHECK(checksum(values) == vector.value_checksum);
    }
  }
}

TEST_CASE("an mxfp4 block with the exponent 255 is NaN, by the definition of E8M0") {
  std::vector<std::byte> block(17, std::byte{0x21});
  block[0] = std::byte{255};
  std::vector<float> values(32);
  dequantize(TensorType::kMXFP4, block.data(), values.data(), 32);
  CHECK(std::all_of(values.begin(), values.end(), [](float value) { return std::isnan(value); }));
  block[0] = std::byte{254};
  dequantize(TensorType::kMXFP4, block.data(), values.data(), 32);
  CHECK(values[0] == 0x1p126f);  // 2^127 * 0.5
}
