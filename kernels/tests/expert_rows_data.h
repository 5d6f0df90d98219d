// For the tests of experts' products on matrix units: a matrix of all experts with the rows of those who chose them.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include "kernels/tests/gemm_data.h"

namespace outpost::test {

using ExpertProduct =
    std::function<void(gpu::DeviceType, DeviceArray<std::byte>& weight, DeviceImage&, DeviceArray<float>& bias,
                       DeviceRows&, DeviceArray<float>& y, const gpu::ExpertGemmParams&, Schedule)>;

/// The image of the rows' activations.
struct DeviceRowsImage : DeviceImage {
  DeviceRowsImage(DeviceRows& rows, const std::vector<float>& x, int32_t n_columns, int32_t n_used)
      : DeviceImage(rows.n_rows, n_columns) {
    DeviceArray<float> values("x", x);
    run_halve_choices(values, nullptr, rows, words, scales, {rows.n_rows, n_cols, n_used, 0, 0});
  }
};

struct ExpertCase {
  int32_t n_expert, n_used;
  std::vector<int32_t> choices;
  FileMatrix matrix;  ///< [n_expert * rows of one, columns]
  std::vector<float> x;
  std::vector<float> bias = {};  ///< [n_expert * rows of one]
  bool is_wide = false;

  int32_t n_rows() const { return static_cast<int32_t>(matrix.n_rows) / n_expert; }
  int32_t n_cols() const { return static_cast<int32_t>(matrix.n_cols); }

  /// [n_choices, rows of one]
  std::vector<float> multiply(const ExpertProduct& product, int32_t tile_rows,
                              Schedule schedule = Schedule::kInOrder) const {
    DeviceRows rows(choices, n_expert, tile_rows);
    DeviceRowsImage image(rows, x, n_cols(), n_used);
    DeviceArray<float> y("y", choices.size() * static_cast<size_t>(n_rows())), device_bias("bias", bias);
    const gpu::ExpertGemmParams params{{n_rows(), n_cols() / 32, rows.n_rows, bias.empty() ? 0 : 1}, 0, 0};
    DeviceArray<std::byte> narrow = device_bytes_of(matrix);
    if (!is_wide) {
      product(matrix.type, narrow, image, device_bias, rows, y, params, schedule);
      return y.values();
    }
    const int64_t n_elements = matrix.n_rows * matrix.n_cols;
    DeviceArray<std::byte> wide("wide", gpu::device_bytes({matrix.type, true}, n_elements));
    run_widen(matrix.type, narrow, wide, n_elements);
    product({matrix.type, true}, wide, image, device_bias, rows, y, params, schedule);
    return y.values();
  }

  /// One expert's matrix.
  FileMatrix matrix_of(int32_t expert) const {
    const auto n_bytes = static_cast<std::ptrdiff_t>(matrix.bytes.size()) / n_expert;
    const auto first = matrix.bytes.begin() + expert * n_bytes;
    return {matrix.type, n_rows(), matrix.n_cols, {first, first + n_bytes}};
  }

  /// Every expert's results against sums in double precision. Without a bias.
  void check(const std::vector<float>& y) const {
    for (int32_t expert = 0; expert < n_expert; ++expert) {
      CAPTURE(expert);
      std::vector<float> own_x, own_y;
      for (size_t c = 0; c < choices.size(); ++c) {
        if (choices[c] != expert) continue;
        const auto from = x.begin() + static_cast<std::ptrdiff_t>(c) / n_used * n_cols();
        own_x.insert(own_x.end(), from, from + n_cols());
        const auto result = y.begin() + static_cast<std::ptrdiff_t>(c) * n_rows();
        own_y.insert(own_y.end(), result, result + n_rows());
      }
      if (!own_x.empty()) check_product(matrix_of(expert), own_x, own_y);
    }
  }
};

/// Each token's n_used different experts; the first third of the experts more often, the last one never.
inline std::vector<int32_t> uneven_choices(int32_t n_expert, int32_t n_used, int32_t n_tokens, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> all;
  for (int32_t t = 0; t < n_tokens; ++t) {
    std::vector<int32_t> own;
    while (static_cast<int32_t>(own.size()) < n_used) {
      const int32_t range = random() % 2 == 0 ? n_expert - 1 : std::max(n_expert / 3, n_used);
      const auto expert = static_cast<int32_t>(random() % static_cast<uint32_t>(range));
      if (std::find(own.begin(), own.end(), expert) == own.end()) own.push_back(expert);
    }
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

}  // namespace outpost::test
