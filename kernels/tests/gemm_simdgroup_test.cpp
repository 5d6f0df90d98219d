// Products of many tokens on Metal's matrix units: weights of every type against sums in double precision.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "kernels/tests/expert_rows_data.h"
#include "kernels/tests/simdgroup_operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

/// x * matrix^T, [n_tokens, n_rows]
std::vector<float> multiply(const FileMatrix& matrix, bool is_wide, DeviceImage& image,
                            Schedule schedule = Schedule::kInOrder, const std::vector<float>& bias = {}) {
  DeviceArray<std::byte> narrow = device_bytes_of(matrix);
  DeviceArray<float> y("y", static_cast<size_t>(image.n_tokens * matrix.n_rows)), device_bias("bias", bias);
  const GemmParams params{static_cast<int32_t>(matrix.n_rows), static_cast<int32_t>(matrix.n_cols / 32), image.n_tokens,
                          bias.empty() ? 0 : 1};
  if (is_wide) {
    const int64_t n_elements = matrix.n_rows * matrix.n_cols;
    DeviceArray<std::byte> wide("wide", device_bytes({matrix.type, true}, n_elements));
    run_widen(matrix.type, narrow, wide, n_elements);
    run_gemm_simdgroup({matrix.type, true}, wide, image.words, image.scales, device_bias, y, params, schedule);
  } else {
    run_gemm_simdgroup(matrix.type, narrow, image.words, image.scales, device_bias, y, params, schedule);
  }
  return y.values();
}

std::vector<float> multiply(const FileMatrix& matrix, const std::vector<float>& x,
                            const std::vector<float>& bias = {}) {
  DeviceImage image(x, static_cast<int32_t>(matrix.n_cols));
  return multiply(matrix, false, image, Schedule::kRandom, bias);
}

}  // namespace

TEST_CASE("gpu gemm_simdgroup: equals the exact sum of every type up to the rounding to f16") {
  const auto x = random_f32(64 * 256, /*seed=*/2);
  DeviceImage image(x, 256);
  for_each_gemm_type(256, [&](TensorType type, bool is_wide) {
    const FileMatrix matrix = random_matrix(type, 64, 256, /*seed=*/1);
    check_product(matrix, x, multiply(matrix, is_wide, image, Schedule::kReverse));
  });
}

TEST_CASE("gpu gemm_simdgroup: rows, tokens and columns that fill no tile") {
  struct Shape {
    int64_t n_rows, n_cols, n_tokens;
  };
  for (const Shape& shape : {Shape{5, 32, 33}, Shape{70, 160, 17}, Shape{3, 256, 130}, Shape{131, 768, 17}}) {
    CAPTURE(shape.n_rows);
    CAPTURE(shape.n_cols);
    CAPTURE(shape.n_tokens);
    const auto x = random_f32(static_cast<size_t>(shape.n_tokens * shape.n_cols), /*seed=*/4);
    DeviceImage image(x, static_cast<int32_t>(shape.n_cols));
    for_each_gemm_type(shape.n_cols, [&](TensorType type, bool is_wide) {
      const FileMatrix matrix = random_matrix(type, shape.n_rows, shape.n_cols, /*seed=*/3);
      check_product(matrix, x, multiply(matrix, is_wide, image, Schedule::kRandom));
    });
  }
}

TEST_CASE("gpu gemm_simdgroup: bits of a token do not depend on the number of tokens or its place among them") {
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0, TensorType::kBF16}) {
    const int64_t n_rows = 20, n_cols = 512;
    const FileMatrix matrix = random_matrix(type, n_rows, n_cols, /*seed=*/5);
    const auto x = random_f32(150 * n_cols, /*seed=*/6);
    const std::vector<float> all = multiply(matrix, x);
    for (const int64_t n_tokens : {17, 64, 129}) {
      CAPTURE(n_tokens);
      const std::vector<float> part(x.end() - n_tokens * n_cols, x.end());
      const std::vector<float> y = multiply(matrix, part);
      CHECK(std::equal(y.begin(), y.end(), all.end() - n_tokens * n_rows));
    }
  }
}

TEST_CASE("gpu gemm_simdgroup: activations and weights beyond the range of f16") {
  const int64_t n_cols = 128;
  const FileMatrix matrix = random_matrix(TensorType::kQ4_0, 20, n_cols, /*seed=*/7);
  auto x = random_f32(static_cast<size_t>(18 * n_cols), /*seed=*/8);
  for (size_t i = 0; i < x.size(); ++i) x[i] *= i / 128 % 3 == 0 ? 1e30f : i / 128 % 3 == 1 ? 1e-20f : 1;
  check_product(matrix, x, multiply(matrix, x));

  // A weight too large for f16 is the largest that there is.
  FileMatrix large{TensorType::kBF16, 2, 32, std::vector<std::byte>(2 * 32 * sizeof(uint16_t))};
  for (const size_t at : {3, 40}) {
    const uint16_t bits = at == 3 ? 0x7f00 : 0xff00;  // of about 2^127
    std::memcpy(&large.bytes[at * sizeof(bits)], &bits, sizeof(bits));
  }
  const std::vector<float> ones(17 * 32, 1.0f), y = multiply(large, ones);
  CHECK(y[0] == 65504);
  CHECK(y[1] == -65504);
}

TEST_CASE("gpu gemm_simdgroup: adds the bias once, and a row with a NaN is NaN alone") {
  const FileMatrix matrix = random_matrix(TensorType::kQ4_K, 69, 256, /*seed=*/9);
  auto x = random_f32(40 * 256, /*seed=*/10);
  const auto bias = random_f32(69, /*seed=*/11);
  const auto plain = multiply(matrix, x), biased = multiply(matrix, x, bias);
  // With the bias the end is one rounding, without it there is one before.
  for (size_t i = 0; i < plain.size(); ++i)
    if (!(std::abs(biased[i] - (plain[i] + bias[i % 69])) <= 0x1p-23f * (std::abs(plain[i]) + std::abs(bias[i % 69]))))
      FAIL_CHECK("element ", i);
  x[7 * 256 + 3] = std::numeric_limits<float>::quiet_NaN();
  x[9 * 256 + 3] = std::numeric_limits<float>::infinity();
  const auto spoiled = multiply(matrix, x);
  for (size_t i = 0; i < plain.size(); ++i) {
    if (i / 69 == 7 || i / 69 == 9 ? !std::isnan(spoiled[i]) : spoiled[i] != plain[i]) FAIL_CHECK("element ", i);
  }
}

namespace {

void run_expert_product(DeviceType type, DeviceArray<std::byte>& weight, DeviceImage& image, DeviceArray<float>& bias,
                        DeviceRows& rows, DeviceArray<float>& y, const ExpertGemmParams& params, Schedule schedule) {
  run_experts_simdgroup(type, weight, image.words, image.scales, bias, rows, y, params, schedule);
}

}  // namespace

TEST_CASE("gpu experts_simdgroup: what every expert makes of its rows, of every type") {
  for_each_gemm_type(256, [&](TensorType type, bool is_wide) {
    ExpertCase layer{4, 2, uneven_choices(4, 2, 9, 7), random_matrix(type, 4 * 35, 256, /*seed=*/8),
                     random_f32(9 * 256, /*seed=*/9)};
    layer.is_wide = is_wide;
    layer.check(layer.multiply(run_expert_product, simdgroup_expert_rows(), Schedule::kRandom));
  });
}

TEST_CASE("gpu experts_simdgroup: the bits of gemm_simdgroup, with the bias of the expert, and in slots") {
  ExpertCase layer{3, 2, uneven_choices(3, 2, 80, 12), random_matrix(TensorType::kQ5_0, 3 * 70, 160, /*seed=*/13),
                   random_f32(80 * 160, /*seed=*/14)};
  layer.bias = random_f32(3 * 70, /*seed=*/15);
  const auto y = layer.multiply(run_expert_product, simdgroup_expert_rows());
  for (const int32_t expert : {0, 1}) {
    const auto first_bias = layer.bias.begin() + expert * 70;
    const auto all = multiply(layer.matrix_of(expert), layer.x, {first_bias, first_bias + 70});
    for (size_t c = 0; c < layer.choices.size(); ++c) {
      if (layer.choices[c] != expert) continue;
      const auto own = y.begin() + static_cast<std::ptrdiff_t>(c) * 70;
      CHECK(std::equal(own, own + 70, all.begin() + static_cast<std::ptrdiff_t>(c / 2) * 70));
    }
  }

  // One slot: expert 1 in the first round, expert 0 in the second.
  DeviceRows rows(layer.choices, 3, simdgroup_expert_rows());
  DeviceRowsImage image(rows, layer.x, 160, 2);
  DeviceArray<float> in_slots("y", y.size()), bias("bias", layer.bias);
  DeviceArray<int32_t> places("places", std::vector<int32_t>{0, 1, 0, 0, -1, -1});
  rows.places = &places;
  for (int32_t round = 0; round < 2; ++round) {
    DeviceArray<std::byte> weight = device_bytes_of(layer.matrix_of(1 - round));
    run_experts_simdgroup(TensorType::kQ5_0, weight, image.words, image.scales, bias, rows, in_slots,
                          {{70, 5, rows.n_rows, 1}, 1, round});
  }
  CHECK(in_slots.values() == y);
}
