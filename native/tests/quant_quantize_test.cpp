// Quantizers: no worse than llama.cpp's on the same values, and sane on blocks that are not like weights.
#include "quant/quantize.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/dequantize.h"
#include "tests/support/quantized_data.h"
#include "tests/support/type_vectors.h"

using namespace outpost;
using namespace outpost::test;

namespace {

std::vector<float> round_trip(TensorType type, const std::vector<float>& values) {
  const TensorTypeTraits& traits = tensor_type_traits(type);
  std::vector<std::byte> blocks(values.size() / traits.block_elements * traits.block_bytes);
  quantize(type, values.data(), static_cast<int64_t>(values.size()), blocks.data());
  std::vector<float> out(values.size());
  dequantize(type, blocks.data(), out.data(), static_cast<int64_t>(out.size()));
  return out;
}

template <typename Check>
void for_each_quantizer(const Check& check) {
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    if (can_quantize(type)) check(type);
  }
}

double energy(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double{value} * value;
  return sum;
}

/// Squares of the error as a share of the squares of the values; NaN and infinities fail every comparison.
double error_share(TensorType type, const std::vector<float>& values) {
  const double error = rmse(values, round_trip(type, values));
  return error * error * static_cast<double>(values.size()) / energy(values);
}

}  // namespace

// 2 % is the margin that a change of the search may cost; at the time of writing no type needs it.
TEST_CASE("the error is at most that of llama.cpp's quantizer") {
  const auto recorded = read_type_vectors();
  const auto gaussian = gaussian_samples(), heavy_tailed = heavy_tailed_samples();
  int n_compared = 0;
  for_each_quantizer([&](TensorType type) {
    if (type == TensorType::kF32) return;
    const auto it = std::find_if(recorded.begin(), recorded.end(), [&](const auto& v) { return v.type == type; });
    REQUIRE(it != recorded.end());
    REQUIRE(it->rmse_gaussian > 0);
    const double ratio_gaussian = rmse(gaussian, round_trip(type, gaussian)) / it->rmse_gaussian;
    const double ratio_heavy = rmse(heavy_tailed, round_trip(type, heavy_tailed)) / it->rmse_heavy_tailed;
    CHECK(ratio_gaussian <= 1.02);
    CHECK(ratio_heavy <= 1.02);
    ++n_compared;
  });
  CHECK(n_compared == 17);
}

TEST_CASE("zeros stay zeros") {
  for_each_quantizer([](TensorType type) {
    const auto out = round_trip(type, std::vector<float>(512, 0.0f));
    CHECK(std::all_of(out.begin(), out.end(), [](float value) { return value == 0; }));
  });
}

TEST_CASE("a constant is kept to the precision of its scale") {
  for_each_quantizer([](TensorType type) {
    for (const float constant : {1.0f, -1.0f, 23.7f, -23.7f}) {
      CAPTURE(constant);
      // An f16 scale has 11 bits, and with a minimum two of them add up; bf16 has 8 bits; E2M1 steps by up to a third.
      const double tolerance = type == TensorType::kMXFP4 ? 1.0 / 6 : type == TensorType::kBF16 ? 0x1p-8 : 0x1p-10;
      for (const float value : round_trip(type, std::vector<float>(256, constant))) {
        CHECK(std::abs(value - constant) <= tolerance * std::abs(constant));
      }
    }
  });
}

TEST_CASE("one huge outlier is kept, and its neighbours are not made larger than a step") {
  for_each_quantizer([](TensorType type) {
    for (const float outlier : {1000.0f, -1000.0f, 65504.0f}) {
      CAPTURE(outlier);
      auto values = gaussian_values(512, 0.02f, 3);
      values[77] = outlier;
      const auto out = round_trip(type, values);
      // E2M1 may clip 7.99 to 6.
      CHECK(std::abs(out[77] - outlier) <= 0.26 * std::abs(outlier));
      // The coarsest step next to an outlier: its whole size, of a ternary format, whose code there is 0.
      for (size_t i = 0; i < out.size(); ++i) {
        if (i != 77) CHECK(std::abs(out[i] - values[i]) <= 0.02 * std::abs(outlier));
      }
    }
  });
}

TEST_CASE("tiny values and subnormals are never worse than zeros") {
  for_each_quantizer([](TensorType type) {
    if (type == TensorType::kF32) return;
    for (const float magnitude : {1e-45f, 1e-40f, 1.2e-38f, 1e-20f, 0x1p-25f, 0x1p-24f, 1e-7f, 1e-6f, 1e-5f, 1e-4f}) {
      CAPTURE(magnitude);
      auto values = gaussian_values(2048, magnitude, 4);
      values[0] = magnitude;  // a sample of subnormals may be all zeros
      CHECK(error_share(type, values) <= 1.0);
      for (float& value : values) value = std::abs(value);
      CHECK(error_share(type, values) <= 1.0);
    }
  });
}

TEST_CASE("the largest values give no infinity") {
  for_each_quantizer([](TensorType type) {
    std::vector<float> values(512);
    for (size_t i = 0; i < values.size(); ++i) values[i] = i % 3 == 0 ? 65504.0f : -65504.0f;
    REQUIRE_FALSE(find_unquantizable(type, values.data(), 512).has_value());
    CHECK(error_share(type, values) < 0.1);
  });
}

TEST_CASE("the first value that a type cannot hold is found") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for_each_quantizer([](TensorType type) {
    for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
      auto values = gaussian_values(512, 1, 5);
      CHECK_FALSE(find_unquantizable(type, values.data(), 512).has_value());
      values[300] = values[301] = bad;
      CHECK(find_unquantizable(type, values.data(), 512) == 300);
    }
    const float large = 70000;
    const bool has_half = type != TensorType::kF32 && type != TensorType::kBF16 && type != TensorType::kMXFP4;
    CHECK(find_unquantizable(type, &large, 1).has_value() == has_half);
    const float largest = std::numeric_limits<float>::max();  // rounds to infinity in bf16
    CHECK(find_unquantizable(type, &largest, 1).has_value() == (has_half || type == TensorType::kBF16));
  });
}

TEST_CASE("ternary weights keep their values") {
  std::vector<float> values(1024);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 0.0546875f * static_cast<float>(static_cast<int>(i * 7 % 3) - 1);
  CHECK(round_trip(TensorType::kTQ1_0, values) == values);
  CHECK(round_trip(TensorType::kTQ2_0, values) == values);
}

TEST_CASE("values that mxfp4 can hold are kept, whatever their exponent") {
  const auto blocks = arbitrary_blocks(TensorType::kMXFP4, 2048, 6);
  for (size_t i = 0; i < 2048; ++i) {
    std::vector<float> values(32);
    dequantize(TensorType::kMXFP4, blocks.data() + 17 * i, values.data(), 32);
    // With the largest exponents 4 and 6 are infinite in f32.
    if (find_unquantizable(TensorType::kMXFP4, values.data(), 32).has_value()) continue;
    CHECK(round_trip(TensorType::kMXFP4, values) == values);
  }
}

TEST_CASE("types without a quantizer say so") {
  for (const TensorType type : {TensorType::kIQ1_S, TensorType::kIQ1_M, TensorType::kIQ2_XXS, TensorType::kIQ2_XS,
                                TensorType::kIQ2_S, TensorType::kIQ3_XXS, TensorType::kIQ3_S, TensorType::kQ8_K,
                                TensorType::kQ8_1, TensorType::kI8, TensorType::kF64}) {
    CHECK_FALSE(can_quantize(type));
  }
}
