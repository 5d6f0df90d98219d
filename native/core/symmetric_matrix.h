// Functions of small symmetric matrices, for what is computed once per model: square roots, inverses, and what is made
// of them. Matrices are [n, n] in double.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace outpost {

using SquareMatrix = std::vector<double>;

/// V * diag(f(eigenvalue)) * V^T, by Jacobi's method.
/// @param f sees eigenvalues no smaller than 0: what rounding put below counts as 0
SquareMatrix apply_to_eigenvalues(const SquareMatrix& matrix, int32_t n, const std::function<double(double)>& f);

SquareMatrix multiply(const SquareMatrix& a, const SquareMatrix& b, int32_t n);
double trace(const SquareMatrix& matrix, int32_t n);

/// Of a positive definite matrix. Empty if it is none.
SquareMatrix invert_positive(const SquareMatrix& matrix, int32_t n);

}  // namespace outpost
