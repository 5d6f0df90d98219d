// Formats against elements worked out by hand from their definition: the blocks are written here field by field, the
// expected numbers are literals. quant_vectors_test.cpp compares every format with llama.cpp. Everything else in the
// backend is tested against dequantize().
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "kernels/common/block_layouts.h"
#include "quant/dequantize.h"

using namespace outpost;

namespace {

constexpr uint16_t kHalfOne = 0x3c00, kHalfTwo = 0x4000, kHalfHalf = 0x3800;

template <typename Block>
std::vector<float> elements_of(TensorType type, const Block& block, int64_t n = kSuperblock) {
  std::vector<float> out(static_cast<size_t>(n));
  dequantize(type, reinterpret_cast<const std::byte*>(&block), out.data(), n);
  return out;
}

}  // namespace

TEST_CASE("f16 and bf16 elements are widened exactly") {
  const uint16_t halfs[] = {0x3c00, 0xc000, 0x0001, 0x7bff};  // 1, -2, the smallest subnormal, the largest
  CHECK(elements_of(TensorType::kF16, halfs, 4) == std::vector<float>{1.0f, -2.0f, 0x1p-24f, 65504.0f});
  const uint16_t brains[] = {0x3f80, 0xc000, 0x4049};  // 1, -2, 3.140625
  CHECK(elements_of(TensorType::kBF16, brains, 3) == std::vector<float>{1.0f, -2.0f, 3.140625f});
}

TEST_CASE("q4_0 keeps element 16 in the high nibble of byte 0 and is offset by 8") {
  BlockQ4_0 block{};
  block.d = kHalfTwo;
  for (auto& byte : block.qs) byte = 0x88;
  block.qs[0] = 0x3f;  // element 0: 15, element 16: 3
  block.qs[5] = 0xf0;  // element 5: 0, element 21: 15
  const auto x = elements_of(TensorType::kQ4_0, block, 32);
  CHECK(x[0] == 14.0f);
  CHECK(x[16] == -10.0f);
  CHECK(x[5] == -16.0f);
  CHECK(x[21] == 14.0f);
  CHECK(x[1] == 0.0f);
}

TEST_CASE("q8_0 is a signed byte times the scale") {
  BlockQ8_0 block{};
  block.d = kHalfHalf;
  block.qs[0] = -128;
  block.qs[31] = 127;
  const auto x = elements_of(TensorType::kQ8_0, block, 32);
  CHECK(x[0] == -64.0f);
  CHECK(x[31] == 63.5f);
  CHECK(x[1] == 0.0f);
}

TEST_CASE("q2_K: 2-bit codes with a 4-bit scale and a 4-bit minimum per 16") {
  BlockQ2_K block{};
  block.d = kHalfTwo;
  block.dmin = kHalfHalf;
  block.scales[0] = 0x43;             // elements 0-15: scale 3, min 4
  block.scales[3] = 0x0f;             // elements 48-63: scale 15, min 0
  block.scales[15] = 0xf1;            // elements 240-255: scale 1, min 15
  block.qs[0] = 0b11'10'01'10;        // elements 0: 2, 32: 1, 64: 2, 96: 3
  block.qs[16] = 0b00'00'11'00;       // elements 16: 0, 48: 3
  block.qs[32 + 31] = 0b11'00'00'00;  // element 128 + 96 + 31 = 255: 3
  const auto x = elements_of(TensorType::kQ2_K, block);
  CHECK(x[0] == 2.0f * 3 * 2 - 0.5f * 4);
  CHECK(x[1] == -2.0f);  // code 0: only the minimum
  CHECK(x[32] == 0.0f);  // its scale and minimum are 0
  CHECK(x[48] == 2.0f * 15 * 3);
  CHECK(x[255] == 2.0f * 1 * 3 - 0.5f * 15);
}

TEST_CASE("q4_K: 6-bit scales and minimums, the upper four groups' high bits apart") {
  BlockQ4_K block{};
  block.d = kHalfOne;
  block.dmin = kHalfTwo;
  block.scales[0] = 0b10'000101;  // group 0: scale 5; upper two bits of group 4's scale: 2
  block.scales[4] = 0b11'000110;  // group 0: min 6; upper two bits of group 4's min: 3
  block.scales[8] = 0b0111'1001;  // group 4: scale 9 + 16*2 = 41, min 7 + 16*3 = 55
  block.scales[1] = 63;           // group 1: scale 63, min 0
  block.qs[0] = 0xa3;             // group 0 element 0: 3; group 1 element 32: 10
  block.qs[64] = 0x0c;            // group 4 element 128: 12
  const auto x = elements_of(TensorType::kQ4_K, block);
  CHECK(x[0] == 5.0f * 3 - 2.0f * 6);
  CHECK(x[1] == -12.0f);
  CHECK(x[32] == 630.0f);
  CHECK(x[128] == 41.0f * 12 - 2.0f * 55);
  CHECK(x[64] == 0.0f);
}

TEST_CASE("q5_K: bit g of qh is the fifth bit in group g") {
  BlockQ5_K block{};
  block.d = kHalfOne;
  block.scales[0] = 2;      // group 0
  block.scales[3] = 3;      // group 3
  block.qs[0] = 0x05;       // element 0: 5
  block.qs[32 + 7] = 0x90;  // group 3 element 96 + 7: 9
  block.qh[0] = 1;          // + 16 for element 0
  block.qh[7] = 1 << 3;     // + 16 for element 103
  const auto x = elements_of(TensorType::kQ5_K, block);
  CHECK(x[0] == 2.0f * 21);
  CHECK(x[103] == 3.0f * 25);
  CHECK(x[7] == 0.0f);
}

TEST_CASE("q6_K: six bits in two places, offset by 32, signed scales") {
  BlockQ6_K block{};
  block.d = kHalfTwo;
  block.scales[0] = -3;               // elements 0-15
  block.scales[6] = 100;              // elements 96-111
  block.scales[15] = 1;               // elements 240-255
  block.ql[0] = 0x0f;                 // element 0, low bits 15
  block.qh[0] = 0b00'00'00'11;        // element 0, high bits 3: 63
  block.ql[32 + 4] = 0x70;            // element 96 + 4, low bits 7
  block.qh[4] = 0b01'00'00'00;        // high bits 1: 23
  block.ql[64 + 32 + 31] = 0x10;      // element 255, low bits 1
  block.qh[32 + 31] = 0b10'00'00'00;  // high bits 2: 33
  const auto x = elements_of(TensorType::kQ6_K, block);
  CHECK(x[0] == 2.0f * -3 * 31);
  CHECK(x[1] == 2.0f * -3 * -32);
  CHECK(x[100] == 2.0f * 100 * -9);
  CHECK(x[255] == 2.0f);
  CHECK(x[16] == 0.0f);
}

TEST_CASE("iq2_xxs: grid patterns, seven stored signs of eight, scale (0.5 + s) / 4") {
  BlockIQ2_XXS block{};
  block.d = kHalfTwo;
  // Group 0: patterns 0 to 3, in ggml's table 0x..080808, 0x..08082b, 0x..081919 and 0x..082b08 (first byte last).
  block.qs[0] = 0 | (1 << 8);
  block.qs[1] = 2 | (3 << 8);
  // Signs: run 0 0b0000001 -> element 0 and, to make the number even, element 7; run 1 none; run 2 0b0000011 ->
  // elements 16 and 17; run 3 0b1000000 -> elements 30 and 31. Scale 4.
  const uint32_t word = 1u | (0u << 7) | (3u << 14) | (64u << 21) | (4u << 28);
  std::memcpy(&block.qs[2], &word, 4);
  const auto x = elements_of(TensorType::kIQ2_XXS, block);
  const float unit = 2.0f * 4.5f * 0.25f;
  const float expected[32] = {-8,  8,   8, 8, 8, 8, 8,  -8,   // pattern 0
                              43,  8,   8, 8, 8, 8, 8,  8,    // pattern 1
                              -25, -25, 8, 8, 8, 8, 8,  8,    // pattern 2
                              8,   43,  8, 8, 8, 8, -8, -8};  // pattern 3
  for (int i = 0; i < 32; ++i) CHECK(x[static_cast<size_t>(i)] == unit * expected[i]);
  // The other groups have pattern 0, no signs and scale 0.
  CHECK(x[32] == 2.0f * 0.125f * 8);
  CHECK(x[255] == 2.0f * 0.125f * 8);
}
