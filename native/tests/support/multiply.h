// A plain matrix product of a backend, as the reference of what is built on it.
#pragma once

#include <cmath>
#include <vector>

#include "tests/support/cpu_backends.h"
#include "tests/support/quantized_data.h"

namespace outpost::test {

/// x * matrix^T, [n_tokens, n_rows]; x is [n_tokens, n_cols].
inline std::vector<float> multiply(Backend& backend, const FileMatrix& matrix, const std::vector<float>& x) {
  const auto weight = backend.load_weight(matrix.view());
  const auto n_tokens = static_cast<int32_t>(static_cast<int64_t>(x.size()) / matrix.n_cols);
  std::vector<float> y(static_cast<size_t>(n_tokens * matrix.n_rows), NAN);
  const MatmulTask task{weight.get(), span_of(y)};
  backend.matmul({&task, 1}, span_of(x), n_tokens);
  return y;
}

}  // namespace outpost::test
