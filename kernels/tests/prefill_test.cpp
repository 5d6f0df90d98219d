// What computes many tokens at once on matrix units: activations as f16 images, products with weights of every type
// against sums in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/half.h"
#include "kernels/common/visit_block.h"
#include "kernels/portable/halve.h"
#include "kernels/tests/gemm_data.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

TEST_CASE("gpu halve: every column has its place in the image, as f16 of the value over the row's power of two") {
  const int32_t n_tokens = 11, n_cols = 160;  // a slice and a quarter
  std::vector<float> x = random_f32(static_cast<size_t>(n_tokens * n_cols), 1);
  for (int32_t i = 0; i < n_cols; ++i) {
    x[static_cast<size_t>(n_cols + i)] *= 1e-30f;
    x[static_cast<size_t>(2 * n_cols + i)] *= 1e30f;
    x[static_cast<size_t>(3 * n_cols + i)] = 0;
  }
  DeviceImage image(x, n_cols);
  const auto words = image.words.values();
  const auto scales = image.scales.values();
  const auto n_rows = static_cast<size_t>(image_rows(n_tokens));
  REQUIRE(words.size() == 4 * n_rows * 32);
  std::vector<int> n_seen(words.size(), 0);
  for (int32_t t = 0; t < n_tokens; ++t) {
    float most = 0;
    for (int32_t column = 0; column < 256; ++column) {
      // The definition of the order from the fragments of the instruction: column = 128 slice + 32 c + 16 half + 4 k +
      // 2 h + e is, in step 2 slice + half, the 16 columns number k, and in these number 8 h + 2 c + e.
      const int32_t slice = column / 128, c = column % 128 / 32, half = column % 32 / 16, k = column % 16 / 4;
      const int32_t in_step = 16 * k + 8 * (column % 4 / 2) + 2 * c + column % 2;
      const int32_t piece = in_step / 8 ^ t % 8;
      const size_t word = (static_cast<size_t>(2 * slice + half) * n_rows + static_cast<size_t>(t)) * 32 +
                          static_cast<size_t>(piece * 4 + in_step % 8 / 2);
      ++n_seen[word];
      const float got = half_to_float(static_cast<uint16_t>(words[word] >> (16 * (in_step % 2))));
      const float value = column < n_cols ? x[static_cast<size_t>(t * n_cols + column)] : 0;
      const float scale = scales[static_cast<size_t>(t)];
      CHECK(got == half_to_float(float_to_half(value / scale)));  // the division is exact: a power of two
      most = std::max(most, std::abs(got));
    }
    CHECK((t == 3 ? most == 0 : most >= 0x1p14f && most <= 0x1p15f));
  }
  for (size_t i = 0; i < words.size(); ++i) {
    const bool is_token = i / 32 % n_rows < static_cast<size_t>(n_tokens);
    if (n_seen[i] != (is_token ? 2 : 0) || (!is_token && words[i] != 0)) FAIL_CHECK("word ", i, " of the image");
  }
}

TEST_CASE("gpu halve: a row with an infinity or a NaN becomes zeros with the scale NaN, alone") {
  std::vector<float> x = random_f32(3 * 128, 2);
  x[5] = std::numeric_limits<float>::quiet_NaN();
  x[2 * 128 + 127] = -std::numeric_limits<float>::infinity();
  DeviceImage image(x, 128);
  const auto scales = image.scales.values();
  CHECK(std::isnan(scales[0]));
  CHECK(scales[1] > 0);
  CHECK(std::isnan(scales[2]));
  const auto words = image.words.values();
  for (size_t i = 0; i < 32; ++i) {
    CHECK(words[i] == 0);
    CHECK(words[64 + i] == 0);
  }
}

namespace {

/// Bits, so that a NaN is equal to itself.
std::vector<uint32_t> bits_of(DeviceArray<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values.values()) bits.push_back(bits_of_float(value));
  return bits;
}

// More than one step of a block, more than a thread holds, and less than a slice.
const int32_t kHalvedWidths[] = {96, 4224, kIsEmulated ? 16416 : 20000 / 32 * 32};

}  // namespace

TEST_CASE("gpu halve: what a gate lets through, with the bits of the gate alone") {
  const int32_t n_tokens = 5;
  for (const int32_t n_cols : kHalvedWidths) {
    for (const int32_t kind : {kGateSwiGlu, kGateGeGlu, kGateSwiGluOai}) {
      if (kIsEmulated && n_cols > 96 && kind != kGateSwiGlu) continue;
      CAPTURE(n_cols);
      CAPTURE(kind);
      const auto n = static_cast<size_t>(n_tokens * n_cols);
      std::vector<float> gates = random_f32(n, 3), others = random_f32(n, 4);
      gates[7] = std::numeric_limits<float>::quiet_NaN();
      for (size_t i = 2 * static_cast<size_t>(n_cols); i < 3 * static_cast<size_t>(n_cols); ++i) others[i] *= 1e6f;
      DeviceArray<float> x("x", gates), up("up", others), y("y", gates, RegionKind::kValues);
      run_gate(y, up, {static_cast<int32_t>(n), 0, kind});
      DeviceImage expected(y.values(), n_cols), image(n_tokens, n_cols);
      run_halve(x, &up, image.words, image.scales, {n_tokens, n_cols, 1, kind});
      CHECK(image.words.values() == expected.words.values());
      CHECK(bits_of(image.scales) == bits_of(expected.scales));
    }
  }
}

TEST_CASE("gpu halve: an addition and the norm after it, with the bits of residual_norm") {
  const int32_t n_tokens = 5;
  for (const int32_t n_cols : kHalvedWidths) {
    for (const bool has_addend : {false, true}) {
      CAPTURE(n_cols);
      CAPTURE(has_addend);
      const auto n = static_cast<size_t>(n_tokens * n_cols), width = static_cast<size_t>(n_cols);
      std::vector<float> values = random_f32(n, 5);
      values[width + 3] = std::numeric_limits<float>::infinity();
      for (size_t i = 3 * width; i < 4 * width; ++i) values[i] *= 1e-20f;
      const std::vector<float> addends = random_f32(n, 6);
      DeviceArray<float> x("x", values, RegionKind::kValues), same("same", values, RegionKind::kValues);
      DeviceArray<float> addend("addend", addends), y("y", n);
      DeviceArray<float> weight("weight", random_f32(width, 7));
      DeviceActivations codes(static_cast<int32_t>(n / 32), false);
      run_residual_norm(y, same, addend, weight, codes, n_tokens, {n_cols, 1e-5f, has_addend ? 1 : 0, 0.5f, 0});
      DeviceImage expected(y.values(), n_cols), image(n_tokens, n_cols);
      run_halve_normed(x, has_addend ? &addend : nullptr, weight, image.words, image.scales,
                       {n_tokens, n_cols, 1e-5f, has_addend ? 1 : 0, 0.5f});
      CHECK(image.words.values() == expected.words.values());
      CHECK(bits_of(image.scales) == bits_of(expected.scales));
      CHECK(bits_of(x) == bits_of(same));
      const auto scales = image.scales.values();
      CHECK(std::isnan(scales[1]));
      CHECK(scales[0] > 0);
    }
  }
}

namespace {

/// x * matrix^T, [n_tokens, n_rows]
std::vector<float> multiply(GemmUnits units, const FileMatrix& matrix, bool is_wide, DeviceImage& image,
                            const std::vector<float>& bias = {}, GemmTile tile = kGemmAny,
                            Schedule schedule = Schedule::kInOrder) {
  DeviceArray<std::byte> narrow = device_bytes_of(matrix);
  DeviceArray<float> y("y", static_cast<size_t>(image.n_tokens * matrix.n_rows)), device_bias("bias", bias);
  const GemmSetParams params{{static_cast<int32_t>(matrix.n_rows), 0, 0},
                             static_cast<int32_t>(matrix.n_cols / 32),
                             image.n_tokens,
                             bias.empty() ? 0 : 1};
  if (is_wide) {
    const int64_t n_elements = matrix.n_rows * matrix.n_cols;
    DeviceArray<std::byte> wide("wide", device_bytes({matrix.type, true}, n_elements));
    run_widen(matrix.type, narrow, wide, n_elements);
    run_gemm({matrix.type, true}, {{wide, device_bias, y}}, image.words, image.scales, params, units, tile, schedule);
  } else {
    run_gemm(matrix.type, {{narrow, device_bias, y}}, image.words, image.scales, params, units, tile, schedule);
  }
  return y.values();
}

std::vector<float> multiply(GemmUnits units, const FileMatrix& matrix, const std::vector<float>& x,
                            const std::vector<float>& bias = {}, GemmTile tile = kGemmAny) {
  DeviceImage image(x, static_cast<int32_t>(matrix.n_cols));
  return multiply(units, matrix, false, image, bias, tile);
}

}  // namespace

TEST_CASE("gpu gemm: one tile equals the exact sum of every type up to the rounding to f16") {
  const auto x = random_f32(128 * 256, /*seed=*/2);
  DeviceImage image(x, 256);
  for_each_units([&](GemmUnits units) {
    for_each_gemm_type(256, [&](TensorType type, bool is_wide) {
      const FileMatrix matrix = random_matrix(type, 128, 256, /*seed=*/1);
      check_product(matrix, x, multiply(units, matrix, is_wide, image, {}, kGemmSmall));
      check_product(matrix, x, multiply(units, matrix, is_wide, image, {}, kGemmLarge, Schedule::kReverse));
    });
  });
}

TEST_CASE("gpu gemm: rows, tokens and columns that fill no tile") {
  struct Shape {
    int64_t n_rows, n_cols, n_tokens;
  };
  const std::vector<Shape> shapes = {{1, 256, 17},     {3, 256, 33},     {5, 32, 33},
                                     {70, 160, 40},    {70, 768, 40},    {200, 1280, 130},
                                     {131, 2304, 257}, {145, 1056, 300}, {145, 512, 300}};
  const std::vector<Shape> emulated = {{5, 32, 33}, {70, 160, 40}, {3, 256, 130}, {131, 1280, 17}};
  for (const Shape& shape : kIsEmulated ? emulated : shapes) {
    CAPTURE(shape.n_rows);
    CAPTURE(shape.n_cols);
    CAPTURE(shape.n_tokens);
    const auto x = random_f32(static_cast<size_t>(shape.n_tokens * shape.n_cols), /*seed=*/4);
    DeviceImage image(x, static_cast<int32_t>(shape.n_cols));
    for_each_units([&](GemmUnits units) {
      for_each_gemm_type(shape.n_cols, [&](TensorType type, bool is_wide) {
        const FileMatrix matrix = random_matrix(type, shape.n_rows, shape.n_cols, /*seed=*/3);
        check_product(matrix, x, multiply(units, matrix, is_wide, image, {}, kGemmAny, Schedule::kRandom));
      });
    });
  }
}

TEST_CASE("gpu gemm: bits of a token do not depend on the number of tokens, in tiles of either size") {
  for_each_units([](GemmUnits units) {
    for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0, TensorType::kBF16}) {
      const int64_t n_rows = kIsEmulated ? 20 : 20000, n_cols = 512;  // enough for the larger tile
      const FileMatrix matrix = random_matrix(type, n_rows, n_cols, /*seed=*/5);
      const auto x = random_f32(static_cast<size_t>((kIsEmulated ? 270 : 700) * n_cols), /*seed=*/6);
      const std::vector<float> all = multiply(units, matrix, x);
      for (const int64_t n_tokens : {17, 64, 129, 256, 513}) {
        if (kIsEmulated && n_tokens > 256) continue;
        CAPTURE(n_tokens);
        const std::vector<float> part(x.end() - n_tokens * n_cols, x.end());
        const std::vector<float> y = multiply(units, matrix, part);
        CHECK(std::equal(y.begin(), y.end(), all.end() - n_tokens * n_rows));
      }
    }
  });
}

TEST_CASE("gpu gemm: both tiles give the same bits") {
  for_each_units([](GemmUnits units) {
    for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ5_0}) {
      for (const int64_t n_rows : {100, 128, 300}) {
        if (kIsEmulated && n_rows != 100) continue;
        CAPTURE(n_rows);
        const int64_t n_cols = kIsEmulated ? 768 : 1536, n_tokens = kIsEmulated ? 140 : 300;
        const FileMatrix matrix = random_matrix(type, n_rows, n_cols, /*seed=*/10);
        const auto x = random_f32(static_cast<size_t>(n_tokens * n_cols), /*seed=*/11);
        const auto small = multiply(units, matrix, x, {}, kGemmSmall);
        CHECK(multiply(units, matrix, x, {}, kGemmLarge) == small);
      }
    }
  });
}

TEST_CASE("gpu gemm: adds the bias once, and a row with a NaN is NaN alone") {
  for_each_units([](GemmUnits units) {
    const FileMatrix matrix = random_matrix(TensorType::kQ4_K, 137, 256, /*seed=*/7);
    auto x = random_f32(40 * 256, /*seed=*/8);
    const auto bias = random_f32(137, /*seed=*/9);
    const auto plain = multiply(units, matrix, x), biased = multiply(units, matrix, x, bias);
    // With the bias the end is one rounding, without it there is one before.
    for (size_t i = 0; i < plain.size(); ++i)
      if (!(std::abs(biased[i] - (plain[i] + bias[i % 137])) <=
            0x1p-23f * (std::abs(plain[i]) + std::abs(bias[i % 137]))))
        FAIL_CHECK("element ", i);
    x[7 * 256 + 3] = std::numeric_limits<float>::quiet_NaN();
    x[9 * 256 + 3] = std::numeric_limits<float>::infinity();
    const auto spoiled = multiply(units, matrix, x);
    for (size_t i = 0; i < plain.size(); ++i) {
      if (i / 137 == 7 || i / 137 == 9 ? !std::isnan(spoiled[i]) : spoiled[i] != plain[i]) FAIL_CHECK("element ", i);
    }
  });
}

TEST_CASE("gpu gemm: several matrices at once are each multiplied by, and get their own biases") {
  for_each_units([](GemmUnits units) {
    for (const GemmTile tile : {kGemmSmall, kGemmLarge}) {
      CAPTURE(tile);
      const int32_t n_rows[] = {140, 7, 64}, n_tokens = 21;
      const auto x = random_f32(static_cast<size_t>(n_tokens) * 512, /*seed=*/12);
      DeviceImage image(x, 512);
      const auto matrix = [&](size_t i) {
        return random_matrix(TensorType::kQ4_K, n_rows[i], 512, 20 + static_cast<uint32_t>(i));
      };
      const auto bias = [&](size_t i) {
        return random_f32(static_cast<size_t>(n_rows[i]), 30 + static_cast<uint32_t>(i));
      };
      const auto n_results = [&](size_t i) { return static_cast<size_t>(n_tokens * n_rows[i]); };
      DeviceArray<std::byte> weights[] = {device_bytes_of(matrix(0)), device_bytes_of(matrix(1)),
                                          device_bytes_of(matrix(2))};
      DeviceArray<float> biases[] = {{"bias", bias(0)}, {"bias", bias(1)}, {"bias", bias(2)}};
      DeviceArray<float> ys[] = {{"y", n_results(0)}, {"y", n_results(1)}, {"y", n_results(2)}};
      std::vector<GemmMatrix> set;
      for (size_t i = 0; i < 3; ++i) set.push_back({weights[i], biases[i], ys[i]});
      run_gemm(TensorType::kQ4_K, set, image.words, image.scales, {{140, 7, 64}, 16, n_tokens, 5}, units, tile,
               Schedule::kRandom);
      for (size_t i = 0; i < 3; ++i) {
        CAPTURE(i);
        CHECK(ys[i].values() == multiply(units, matrix(i), x, i == 1 ? std::vector<float>{} : bias(i)));
      }
    }
  });
}
