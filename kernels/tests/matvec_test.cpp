// Quantized products with few tokens: against sums in double precision for every type, and the promise that the bits
// of a token's result do not depend on how many others there are.
#include "kernels/portable/matvec.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/common/visit_block.h"
#include "kernels/tests/operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

struct Shape {
  int64_t n_rows, n_cols;
};
// Below, at and above the rows of a warp and a block; one and more groups than lanes.
constexpr Shape kShapes[] = {{1, 256}, {16, 256}, {19, 1280}};
// Widths that only blocks of 32 can have.
constexpr Shape kNarrowShapes[] = {{5, 32}, {17, 1056}};

bool is_small_block(TensorType type) { return tensor_type_traits(type).block_elements <= 32; }

/// x * matrix^T, [n_tokens, n_rows]
std::vector<float> multiply(const FileMatrix& matrix, const std::vector<float>& x, const std::vector<float>& bias = {},
                            Schedule schedule = Schedule::kInOrder) {
  const auto n_tokens = static_cast<int32_t>(static_cast<int64_t>(x.size()) / matrix.n_cols);
  DeviceActivations activations(x, matrix.type);
  DeviceArray<float> y("y", static_cast<size_t>(n_tokens * matrix.n_rows)), device_bias("bias", bias);
  const MatvecParams params{static_cast<int32_t>(matrix.n_rows), static_cast<int32_t>(matrix.n_cols / 32), n_tokens,
                            bias.empty() ? 0 : 1, 0};
  DeviceArray<std::byte> weight = device_bytes_of(matrix);
  run_matvec(matrix.type, weight, activations, device_bias, y, params, schedule);
  return y.values();
}

/// Every element against its sum in f64; step is the largest error of an activation.
void check_product(const FileMatrix& matrix, const std::vector<float>& x, const std::vector<float>& y, double step) {
  const std::vector<float> w = matrix.values();
  const auto n_rows = static_cast<size_t>(matrix.n_rows), n_cols = static_cast<size_t>(matrix.n_cols);
  for (size_t t = 0; t < x.size() / n_cols; ++t) {
    for (size_t row = 0; row < n_rows; ++row) {
      double sum = 0, sum_product = 0, sum_weight = 0;
      for (size_t col = 0; col < n_cols; ++col) {
        const double product = double{w[row * n_cols + col]} * x[t * n_cols + col];
        sum += product;
        sum_product += std::abs(product);
        sum_weight += std::abs(double{w[row * n_cols + col]});
      }
      // A group takes at most six roundings of 2^-24, each relative to terms that may cancel where there are offsets;
      // one per column leaves room for terms five times as large as their difference.
      const double tolerance = static_cast<double>(n_cols + 2) * 0x1p-24 * (sum_product + sum_weight);
      const double error = std::abs(double{y[t * n_rows + row]} - sum);
      if (!(error <= tolerance + 1.001 * step * sum_weight))
        FAIL_CHECK("row ", row, " of token ", t, ": got ", y[t * n_rows + row], ", expected ", sum);
    }
  }
}

template <typename Check>
void for_each_type(const Check& check) {
  for (const TensorType type : kCpuTypes) {
    if (!visit_block(type, []<typename>() {})) continue;  // without blocks: float_matvec_test.cpp
    CAPTURE(std::string(tensor_type_traits(type).name));
    check(type);
  }
}

}  // namespace

TEST_CASE("gpu matvec: equals the exact sum up to f32 rounding when activations fit int8") {
  for_each_type([](TensorType type) {
    std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
    if (is_small_block(type)) shapes.insert(shapes.end(), std::begin(kNarrowShapes), std::end(kNarrowShapes));
    for (const Shape& shape : shapes) {
      CAPTURE(shape.n_rows);
      CAPTURE(shape.n_cols);
      const FileMatrix matrix = random_matrix(type, shape.n_rows, shape.n_cols, /*seed=*/1);
      const auto x = exact_activations(static_cast<size_t>(3 * shape.n_cols), /*seed=*/2);
      check_product(matrix, x, multiply(matrix, x), 0);
    }
  });
}

TEST_CASE("gpu matvec: any activations are within the error of quantizing them to int8") {
  for_each_type([](TensorType type) {
    const FileMatrix matrix = random_matrix(type, 9, 512, /*seed=*/3);
    const auto x = random_f32(2 * 512, /*seed=*/4);
    check_product(matrix, x, multiply(matrix, x), 0.5 / 127);  // |x| <= 1
  });
}

TEST_CASE("gpu matvec: bits do not depend on the number of tokens or on the order of warps and blocks") {
  for_each_type([](TensorType type) {
    const int64_t n_rows = 21, n_cols = is_small_block(type) ? 480 : 2560;  // of superblocks, more than slots
    const FileMatrix matrix = random_matrix(type, n_rows, n_cols, /*seed=*/5);
    const auto x = random_f32(static_cast<size_t>(16 * n_cols), /*seed=*/6);
    const std::vector<float> all = multiply(matrix, x, {}, Schedule::kRandom);
    for (const int64_t n_tokens : {1, 2, 4, 5, 15}) {
      CAPTURE(n_tokens);
      const std::vector<float> part(x.end() - n_tokens * n_cols, x.end());
      const std::vector<float> y = multiply(matrix, part);
      CHECK(std::equal(y.begin(), y.end(), all.end() - n_tokens * n_rows));
    }
  });
}

TEST_CASE("gpu matvec: adds the bias once") {
  const FileMatrix matrix = random_matrix(TensorType::kQ4_K, 37, 256, /*seed=*/7);
  const auto x = random_f32(3 * 256, /*seed=*/8), bias = random_f32(37, /*seed=*/9);
  const auto plain = multiply(matrix, x), biased = multiply(matrix, x, bias);
  for (size_t i = 0; i < plain.size(); ++i) CHECK(biased[i] == plain[i] + bias[i % 37]);
}

TEST_CASE("gpu matvec: a gated pair is the gate of two products") {
  struct Case {
    TensorType type;
    int32_t gate, n_tokens;
    bool has_bias;
  };
  for (const Case& c :
       {Case{TensorType::kQ6_K, kGateSwiGlu, 5, true}, Case{TensorType::kIQ4_XS, kGateGeGlu, 5, false},
        Case{TensorType::kQ4_K, kGateSwiGluOai, 1, true}, Case{TensorType::kQ4_K, kGateSwiGlu, 5, true},
        Case{TensorType::kQ5_K, kGateGeGlu, 1, false}, Case{TensorType::kQ5_K, kGateSwiGluOai, 16, false}}) {
    CAPTURE(std::string(tensor_type_traits(c.type).name));
    CAPTURE(c.n_tokens);
    const FileMatrix a = random_matrix(c.type, 18, 512, 10), b = random_matrix(c.type, 18, 512, 11);
    const auto x = random_f32(static_cast<size_t>(c.n_tokens) * 512, 12);
    const auto bias_a = random_f32(18, 13), bias_b = random_f32(18, 14);
    const auto left = multiply(a, x, c.has_bias ? bias_a : std::vector<float>{});
    const auto right = multiply(b, x, c.has_bias ? bias_b : std::vector<float>{});

    DeviceActivations activations(x, c.type);
    DeviceArray<std::byte> weight_a = device_bytes_of(a), weight_b = device_bytes_of(b);
    DeviceArray<float> y("y", left.size()), device_a("gate_bias", bias_a), device_b("up_bias", bias_b);
    const MatvecParams params{18, 16, c.n_tokens, c.has_bias ? 1 : 0, c.gate};
    run_matvec_gated(c.type, weight_a, weight_b, activations, device_a, device_b, y, params);
    // The gate's exponential is the device's own here, and the host's there: both are off by an ulp or two.
    const auto got = y.values();
    for (size_t i = 0; i < left.size(); ++i)
      CHECK(std::abs(got[i] - gated(left[i], right[i], c.gate)) <= 32 * 0x1p-24 * std::abs(left[i] * right[i]) + 1e-30);
  }
}

TEST_CASE("gpu matvec: three matrices with one input are three products") {
  for (const int32_t n_tokens : {1, 9}) {
    CAPTURE(n_tokens);
    const TensorType type = TensorType::kQ4_K;
    const int64_t n_cols = 768;
    const FileMatrix matrices[] = {random_matrix(type, 21, n_cols, 30), random_matrix(type, 3, n_cols, 31),
                                   random_matrix(type, 17, n_cols, 32)};
    const auto x = random_f32(static_cast<size_t>(n_tokens * n_cols), 33), bias = random_f32(17, 34);
    DeviceActivations activations(x, type);
    DeviceArray<std::byte> a = device_bytes_of(matrices[0]), b = device_bytes_of(matrices[1]),
                           c = device_bytes_of(matrices[2]);
    DeviceArray<float> device_bias("bias", bias), y_a("y_a", static_cast<size_t>(21 * n_tokens)),
        y_b("y_b", static_cast<size_t>(3 * n_tokens)), y_c("y_c", static_cast<size_t>(17 * n_tokens));
    DeviceArray<std::byte>* weights[] = {&a, &b, &c};
    DeviceArray<float>*biases[] = {&device_bias, &device_bias, &device_bias}, *ys[] = {&y_a, &y_b, &y_c};
    run_matvec_set(type, weights, activations, biases, ys, {{21, 3, 17}, 3, n_tokens, 4, 0});
    CHECK(y_a.values() == multiply(matrices[0], x));
    CHECK(y_b.values() == multiply(matrices[1], x));
    CHECK(y_c.values() == multiply(matrices[2], x, bias));
  }
}

TEST_CASE("gpu matvec: wide blocks are those that they are made of, with the same bits for any number of tokens") {
  for (const TensorType type : {TensorType::kQ8_0, TensorType::kQ6_K}) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    const int64_t n_rows = 19, n_cols = 2560;  // more blocks than slots
    const FileMatrix matrix = random_matrix(type, n_rows, n_cols, /*seed=*/22);
    DeviceArray<std::byte> narrow = device_bytes_of(matrix);
    DeviceArray<std::byte> wide("wide", device_bytes({type, true}, n_rows * n_cols));
    REQUIRE(can_widen(type, n_cols));
    run_widen(type, narrow, wide, n_rows * n_cols);
    const auto x = random_f32(static_cast<size_t>(16 * n_cols), /*seed=*/23);
    DeviceArray<float> none("bias", std::vector<float>{});
    std::vector<float> last;
    for (const int32_t n_tokens : {1, 3, 8, 9, 16}) {
      CAPTURE(n_tokens);
      const std::vector<float> part(x.end() - n_tokens * n_cols, x.end());
      DeviceActivations activations(part, DeviceType{type, true});
      DeviceArray<float> y("y", static_cast<size_t>(n_tokens * n_rows));
      const MatvecParams params{static_cast<int32_t>(n_rows), static_cast<int32_t>(n_cols / 32), n_tokens, 0, 0};
      run_matvec({type, true}, wide, activations, none, y, params, Schedule::kRandom);
      check_product(matrix, part, y.values(), 0.5 / 127);  // |x| <= 1
      const auto all = y.values();
      const std::vector<float> own(all.end() - n_rows, all.end());
      if (n_tokens == 1) last = own;
      CHECK(own == last);
    }
    DeviceArray<int32_t> tokens("tokens", std::vector<int32_t>{18, 0});
    DeviceArray<float> rows("rows", 2 * static_cast<size_t>(n_cols)), same("same", 2 * static_cast<size_t>(n_cols));
    run_embed(type, narrow, tokens, rows, {2, static_cast<int32_t>(n_cols)});
    run_embed({type, true}, wide, tokens, same, {2, static_cast<int32_t>(n_cols)});
    CHECK(same.values() == rows.values());
  }
}

TEST_CASE("gpu activations: are rounded to the nearest of 255 codes, in groups of 32") {
  std::vector<float> x = random_f32(5 * 32, 20);
  for (size_t i = 32; i < 64; ++i) x[i] *= 1e20f;
  for (size_t i = 64; i < 96; ++i) x[i] = 0;
  for (size_t i = 96; i < 128; ++i) x[i] *= 1e-38f;  // too small to scale: zero
  DeviceActivations q(x);
  const auto codes = q.codes.values();
  const auto scales = q.scales.values();
  for (size_t group = 0; group < 5; ++group) {
    CAPTURE(group);
    double max = 0;
    for (size_t i = 0; i < 32; ++i) max = std::max(max, std::abs(double{x[group * 32 + i]}));
    int sums[2] = {0, 0};
    for (size_t i = 0; i < 32; ++i) {
      const int code = static_cast<int8_t>(codes[group * 8 + i / 4] >> (8 * (i % 4)));
      sums[i / 16] += code;
      const double got = double{scales[group]} * code;
      CHECK(std::abs(got - x[group * 32 + i]) <= std::max(0.5001 / 127 * max, 1e-30));
    }
    CHECK(first_sum(q.sums.values()[group]) == sums[0]);
    CHECK(second_sum(q.sums.values()[group]) == sums[1]);
  }
}

TEST_CASE("gpu activations: an infinity or a NaN stays visible in every product with its group") {
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    std::vector<float> x = random_f32(64, 21);
    x[40] = bad;
    DeviceActivations q(x);
    CHECK(std::isfinite(q.scales.values()[0]));
    CHECK(std::isnan(q.scales.values()[1]));
  }
}
