#include "core/symmetric_matrix.h"

#include <algorithm>
#include <cmath>

namespace outpost {
namespace {

size_t at(int32_t i, int32_t j, int32_t n) {
  return static_cast<size_t>(i) * static_cast<size_t>(n) + static_cast<size_t>(j);
}

/// Turns rows p and q of `rows` by the angle with cosine c and sine s.
void turn_rows(SquareMatrix& rows, int32_t n, int32_t p, int32_t q, double c, double s) {
  double *a = rows.data() + at(p, 0, n), *b = rows.data() + at(q, 0, n);
  for (int32_t j = 0; j < n; ++j) {
    const double x = a[j], y = b[j];
    a[j] = c * x - s * y;
    b[j] = s * x + c * y;
  }
}

}  // namespace

SquareMatrix apply_to_eigenvalues(const SquareMatrix& matrix, int32_t n, const std::function<double(double)>& f) {
  SquareMatrix a = matrix, vectors(matrix.size());  // rows of `vectors` become the eigenvectors
  for (int32_t i = 0; i < n; ++i) vectors[at(i, i, n)] = 1;
  double total = 0;
  for (const double x : matrix) total += x * x;
  // Each sweep squares the error once it is small; 30 are far more than any matrix needs.
  for (int sweep = 0; sweep < 30; ++sweep) {
    double off = 0;
    for (int32_t p = 0; p < n; ++p) {
      for (int32_t q = p + 1; q < n; ++q) off += a[at(p, q, n)] * a[at(p, q, n)];
    }
    if (off <= 1e-24 * total) break;
    for (int32_t p = 0; p < n; ++p) {
      for (int32_t q = p + 1; q < n; ++q) {
        const double apq = a[at(p, q, n)];
        if (apq * apq <= 1e-32 * total) continue;
        const double theta = (a[at(q, q, n)] - a[at(p, p, n)]) / (2 * apq);
        const double t = (theta >= 0 ? 1 : -1) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        turn_rows(a, n, p, q, c, s);
        for (int32_t i = 0; i < n; ++i) {
          const double x = a[at(i, p, n)], y = a[at(i, q, n)];
          a[at(i, p, n)] = c * x - s * y;
          a[at(i, q, n)] = s * x + c * y;
        }
        turn_rows(vectors, n, p, q, c, s);
      }
    }
  }
  SquareMatrix result(matrix.size());
  for (int32_t e = 0; e < n; ++e) {
    const double value = f(std::max(0.0, a[at(e, e, n)]));
    const double* v = vectors.data() + at(e, 0, n);
    for (int32_t i = 0; i < n; ++i) {
      for (int32_t j = 0; j < n; ++j) result[at(i, j, n)] += value * v[i] * v[j];
    }
  }
  return result;
}

SquareMatrix multiply(const SquareMatrix& a, const SquareMatrix& b, int32_t n) {
  SquareMatrix result(a.size());
  for (int32_t i = 0; i < n; ++i) {
    for (int32_t k = 0; k < n; ++k) {
      const double factor = a[at(i, k, n)];
      for (int32_t j = 0; j < n; ++j) result[at(i, j, n)] += factor * b[at(k, j, n)];
    }
  }
  return result;
}

double trace(const SquareMatrix& matrix, int32_t n) {
  double sum = 0;
  for (int32_t i = 0; i < n; ++i) sum += matrix[at(i, i, n)];
  return sum;
}

SquareMatrix invert_positive(const SquareMatrix& matrix, int32_t n) {
  // Gauss and Jordan; without pivoting, which a positive definite matrix does not need.
  SquareMatrix a = matrix, inverse(matrix.size());
  for (int32_t i = 0; i < n; ++i) inverse[at(i, i, n)] = 1;
  for (int32_t p = 0; p < n; ++p) {
    const double pivot = a[at(p, p, n)];
    if (!(pivot > 0) || !std::isfinite(pivot)) return {};
    for (int32_t j = 0; j < n; ++j) {
      a[at(p, j, n)] /= pivot;
      inverse[at(p, j, n)] /= pivot;
    }
    for (int32_t i = 0; i < n; ++i) {
      const double factor = a[at(i, p, n)];
      if (i == p || factor == 0) continue;
      for (int32_t j = 0; j < n; ++j) {
        a[at(i, j, n)] -= factor * a[at(p, j, n)];
        inverse[at(i, j, n)] -= factor * inverse[at(p, j, n)];
      }
    }
  }
  return inverse;
}

}  // namespace outpost
