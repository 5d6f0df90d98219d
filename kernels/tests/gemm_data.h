// For the tests of products on f16 matrix units: activations as an image, and what a product may be off by.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/common/tensor_type.h"
#include "kernels/portable/halve.h"
#include "kernels/tests/operations.h"

namespace outpost::test {

#ifdef OUTPOST_ON_GPU
inline constexpr bool kIsEmulated = false;
#else
inline constexpr bool kIsEmulated = true;  ///< slow: cases are smaller
#endif

/// With wgmma, where there is, and with mma.
template <typename Check>
void for_each_units(const Check& check) {
  for (const gpu::GemmUnits units : gemm_units()) {
    CAPTURE(units);
    check(units);
  }
}

/// With every type whose rows may have so many columns, narrow and wide.
template <typename Check>
void for_each_gemm_type(int64_t n_cols, const Check& check) {
  for (const TensorType type : kCpuTypes) {
    if (!gpu::can_gemm(type, n_cols) || n_cols % tensor_type_traits(type).block_elements != 0) continue;
    for (const bool is_wide : {false, true}) {
      if (is_wide && !gpu::can_widen(type, n_cols)) continue;
      CAPTURE(std::string(tensor_type_traits(type).name));
      CAPTURE(is_wide);
      check(type, is_wide);
    }
  }
}

struct DeviceImage {
  DeviceArray<uint32_t> words;
  DeviceArray<float> scales;
  int32_t n_tokens, n_cols;

  /// Not written yet.
  DeviceImage(int32_t n_rows, int32_t n_columns)
      : words("image",
              static_cast<size_t>(gpu::image_steps(n_columns)) * 32 * static_cast<size_t>(gpu::image_rows(n_rows))),
        scales("scales", static_cast<size_t>(n_rows)),
        n_tokens(n_rows),
        n_cols(n_columns) {}
  DeviceImage(const std::vector<float>& x, int32_t n_columns)
      : DeviceImage(static_cast<int32_t>(x.size()) / n_columns, n_columns) {
    DeviceArray<float> values("x", x);
    run_halve(values, nullptr, words, scales, {n_tokens, n_cols, 0, 0});
  }
};

/// Some tokens' elements against their sums in f64.
inline void check_product(const FileMatrix& matrix, const std::vector<float>& x, const std::vector<float>& y) {
  const std::vector<float> w = matrix.values();
  const auto n_rows = static_cast<size_t>(matrix.n_rows), n_cols = static_cast<size_t>(matrix.n_cols);
  const size_t n_tokens = x.size() / n_cols;
  size_t n_wrong = 0;
  double largest = 0;
  for (const float value : w) largest = std::max(largest, std::abs(double{value}));
  for (size_t t = 0; t < n_tokens; t += t + 6 < n_tokens ? 5 : 1) {
    for (size_t row = 0; row < n_rows; ++row) {
      double sum = 0, sum_product = 0, sum_x = 0;
      for (size_t col = 0; col < n_cols; ++col) {
        const double product = double{w[row * n_cols + col]} * x[t * n_cols + col];
        sum += product;
        sum_product += std::abs(product);
        sum_x += std::abs(double{x[t * n_cols + col]});
      }
      // Both factors are rounded to 11 bits: 2^-11 each; a subnormal f16 weight by 2^-25. A weight with an offset may
      // be a small difference of f32 values as large as the largest. The matrix units add 16 products and the sum so
      // far with at least 22 bits of the largest of them.
      const double tolerance =
          (0x1.01p-10 + static_cast<double>(n_cols) * 0x1p-22) * sum_product + (0x1p-25 + 0x1p-21 * largest) * sum_x;
      const double got = y[t * n_rows + row];
      if (!(std::abs(got - sum) <= tolerance) && ++n_wrong <= 3)
        FAIL_CHECK("row ", row, " of token ", t, ": got ", got, ", expected ", sum, " +- ", tolerance);
    }
  }
  CHECK(n_wrong == 0);
}

}  // namespace outpost::test
