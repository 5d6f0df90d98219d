// The nearest orthogonal matrix, which Muon makes of its momentum.
#pragma once

#include <cmath>
#include <utility>

#include "tiles.h"

namespace outpost::forge {

/// Of Newton and Schulz's iteration as train.py has it
constexpr float kNewton[] = {3.4445f, -4.7750f, 2.0315f};
constexpr int kNewtonSteps = 5;

/// [n_rows, n_columns] f32, n_rows at most n_columns, to about the nearest with singular values of 1, in place
inline void orthogonalize(float* matrix, int n_rows, int n_columns) {
  const std::size_t n = std::size_t(n_rows) * n_columns, stride = n_columns + kPad, square = n_rows + kPad;
  Buffer<Element> x(n_rows * stride), next(n_rows * stride), gram(n_rows * square), factor(n_rows * square), right(n);
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += double{matrix[i]} * matrix[i];
  const float scale = 1.0f / (static_cast<float>(std::sqrt(sum)) + 1e-7f);
  for (int i = 0; i < n_rows; ++i)
    for (int j = 0; j < n_columns; ++j) x[i * stride + j] = rounded(matrix[std::size_t(i) * n_columns + j] * scale);
  const auto [a, b, c] = kNewton;
  for (int step = 0; step < kNewtonSteps; ++step) {
    pack_transposed(x.get(), stride, n_rows, n_columns, right.get());
    multiply(n_rows, n_rows, n_columns, in_rows(x.get(), stride), packed(right.get(), n_columns),
             StoreRounded{gram.get(), square});
    pack(gram.get(), square, n_rows, n_rows, right.get());
    multiply(n_rows, n_rows, n_rows, in_rows(gram.get(), square), packed(right.get(), n_rows),
             [&, b = b, c = c](int row, int column, const float* block) {
               for (int i = 0; i < kBlock; ++i)
                 for (int j = 0; j < kBlock; ++j) {
                   const std::size_t at = (row + i) * square + column + j;
                   factor[at] = rounded(b * widened(gram[at]) + c * block[i * kBlock + j]);
                 }
             });
    pack(x.get(), stride, n_columns, n_rows, right.get());
    multiply(n_rows, n_columns, n_rows, in_rows(factor.get(), square), packed(right.get(), n_rows),
             [&, a = a](int row, int column, const float* block) {
               for (int i = 0; i < kBlock; ++i)
                 for (int j = 0; j < kBlock; ++j) {
                   const std::size_t at = (row + i) * stride + column + j;
                   next[at] = rounded(a * widened(x[at]) + block[i * kBlock + j]);
                 }
             });
    std::swap(x, next);
  }
  for (int i = 0; i < n_rows; ++i)
    for (int j = 0; j < n_columns; ++j) matrix[std::size_t(i) * n_columns + j] = widened(x[i * stride + j]);
}

}  // namespace outpost::forge
