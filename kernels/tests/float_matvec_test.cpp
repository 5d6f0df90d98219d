// Products with float weights against sums in double precision, and rows of tables of every type against dequantize().
#include "kernels/portable/float_matvec.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/tests/operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

std::vector<float> multiply(const FileMatrix& matrix, const std::vector<float>& x, const std::vector<float>& bias) {
  const auto n_tokens = static_cast<int32_t>(static_cast<int64_t>(x.size()) / matrix.n_cols);
  DeviceArray<float> input("x", x), device_bias("bias", bias), y("y", static_cast<size_t>(n_tokens * matrix.n_rows));
  const FloatMatvecParams params{static_cast<int32_t>(matrix.n_rows), static_cast<int32_t>(matrix.n_cols), n_tokens,
                                 bias.empty() ? 0 : 1};
  DeviceArray<std::byte> weight = device_bytes_of(matrix);
  run_float_matvec(matrix.type, weight, input, device_bias, y, params);
  return y.values();
}

}  // namespace

TEST_CASE("gpu float matvec: equals the sum, and its bits do not depend on the number of tokens") {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
    for (const auto& [n_rows, n_cols] : {std::pair<int64_t, int64_t>{1, 1}, {17, 31}, {5, 1031}}) {
      CAPTURE(std::string(tensor_type_traits(type).name));
      CAPTURE(n_cols);
      const FileMatrix matrix = random_matrix(type, n_rows, n_cols, 1);
      // More tokens than a block takes, and not all of those that the last one has.
      constexpr int64_t kTokens = 37;
      const auto x = random_f32(static_cast<size_t>(kTokens * n_cols), 2),
                 bias = random_f32(static_cast<size_t>(n_rows), 3);
      const auto y = multiply(matrix, x, bias), w = matrix.values();
      for (size_t t = 0; t < kTokens; ++t) {
        for (size_t row = 0; row < static_cast<size_t>(n_rows); ++row) {
          const auto n = static_cast<size_t>(n_cols);
          double sum = bias[row], magnitude = std::abs(sum);
          for (size_t i = 0; i < n; ++i) {
            sum += double{w[row * n + i]} * x[t * n + i];
            magnitude += std::abs(double{w[row * n + i]} * x[t * n + i]);
          }
          // A rounding for each of n / 32 fused steps of a lane, five between lanes, one for the bias.
          CHECK(std::abs(y[t * static_cast<size_t>(n_rows) + row] - sum) <=
                static_cast<double>(n / 32 + 8) * 0x1p-24 * magnitude);
        }
      }
      for (const int64_t n : {1, 5}) {
        const std::vector<float> last(x.end() - n * n_cols, x.end());
        const auto alone = multiply(matrix, last, bias);
        CHECK(std::equal(alone.begin(), alone.end(), y.end() - n * n_rows));
      }
    }
  }
}

TEST_CASE("gpu float experts: give each choice the product with its expert, to the bits of a single matrix") {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
    const int64_t n_expert = 3, n_rows = 18, n_cols = 67;
    const FileMatrix matrix = random_matrix(type, n_expert * n_rows, n_cols, 5);
    const auto x = random_f32(static_cast<size_t>(2 * n_cols), 6);
    const auto bias = random_f32(static_cast<size_t>(n_expert * n_rows), 7);
    const std::vector<int32_t> choices = {2, 0, 0, 1};  // two of each token
    DeviceArray<float> input("x", x), device_bias("bias", bias), y("y", 4 * static_cast<size_t>(n_rows));
    DeviceArray<int32_t> device_choices("choices", choices);
    DeviceArray<std::byte> weight = device_bytes_of(matrix);
    const FloatExpertParams params{{static_cast<int32_t>(n_rows), static_cast<int32_t>(n_cols), 4, 1}, 2, 0, 0};
    run_float_experts(type, weight, input, device_bias, device_choices, y, params);
    const auto all = multiply(matrix, x, bias);  // [2, n_expert * n_rows]
    const auto got = y.values();
    for (int64_t c = 0; c < 4; ++c) {
      const int64_t first = (c / 2) * n_expert * n_rows + choices[static_cast<size_t>(c)] * n_rows;
      CHECK(std::equal(got.begin() + c * n_rows, got.begin() + (c + 1) * n_rows, all.begin() + first));
    }
  }
}

TEST_CASE("gpu embed: gives the rows of a table of every type") {
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    const int64_t n_cols = tensor_type_traits(type).block_elements <= 32 ? 96 : 768;
    const FileMatrix matrix = random_matrix(type, 7, n_cols, 4);
    const std::vector<int32_t> tokens = {6, 0, 6, 3};
    DeviceArray<int32_t> device_tokens("tokens", tokens);
    DeviceArray<float> y("y", tokens.size() * static_cast<size_t>(n_cols));
    const EmbedParams params{4, static_cast<int32_t>(n_cols)};
    DeviceArray<std::byte> table = device_bytes_of(matrix);
    run_embed(type, table, device_tokens, y, params);
    const auto values = matrix.values(), got = y.values();
    for (size_t i = 0; i < got.size(); ++i) {
      const auto n = static_cast<size_t>(n_cols);
      const float expected = values[static_cast<size_t>(tokens[i / n]) * n + i % n];
      if (!(got[i] == expected)) FAIL_CHECK("element ", i, ": ", got[i], ", expected ", expected);
    }
  }
}
