#include "backend/kv_rotation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "backend/backend.h"

namespace outpost {
namespace {

/// y = sum over columns of x[column] * column: in this order for every element, on every processor.
void multiply(const std::vector<float>& columns, int32_t n, float* x) {
  float y[kMaxHeadDim] = {};
  for (int32_t column = 0; column < n; ++column) {
    const float factor = x[column];
    const float* values = columns.data() + static_cast<size_t>(column) * static_cast<size_t>(n);
    for (int32_t i = 0; i < n; ++i) y[i] += factor * values[i];
  }
  std::copy_n(y, n, x);
}

}  // namespace

KvRotation::KvRotation(int32_t n) : n_(n), n_hartley_(n) {
  while (n_hartley_ % 2 == 0) {
    n_hartley_ /= 2;
    n_hadamard_ *= 2;
  }
  scale_ = static_cast<float>(1.0 / std::sqrt(static_cast<double>(n_hadamard_)));
  // Signs without a pattern that the rows of a Hadamard matrix could share: bits of a multiplicative hash.
  for (int32_t i = 0; i < n; ++i) {
    const uint32_t hash = (static_cast<uint32_t>(i) + 1) * 2654435769u;
    signs_.push_back((hash ^ hash >> 15) & 0x10000 ? -1.0f : 1.0f);
  }
  for (int32_t i = 0; i < n_hartley_ && n_hartley_ > 1; ++i) {
    for (int32_t j = 0; j < n_hartley_; ++j) {
      const double angle = 2 * std::numbers::pi * ((int64_t{i} * j) % n_hartley_) / n_hartley_;
      hartley_.push_back(static_cast<float>((std::cos(angle) + std::sin(angle)) / std::sqrt(double(n_hartley_))));
    }
  }
}

KvRotation::KvRotation(int32_t n, const KvBasis& basis) : KvRotation(n) {
  if (basis.shape.empty()) return;
  const SquareMatrix shape(basis.shape.begin(), basis.shape.end());
  const SquareMatrix inverse = invert_positive(shape, n);
  if (inverse.empty()) throw EngineError(ErrorCode::kInvalidArgument, "A basis of keys or values is singular.");
  // A column of H S A is H S times a column of A, which is a row of it as well.
  const auto turned = [&](const SquareMatrix& rows) {
    std::vector<float> columns(rows.begin(), rows.end());
    for (int32_t c = 0; c < n; ++c) {
      float* column = columns.data() + static_cast<size_t>(c) * static_cast<size_t>(n);
      for (int32_t i = 0; i < n; ++i) column[i] *= signs_[static_cast<size_t>(i)];
      mix(column);
    }
    return columns;
  };
  std::vector<float> forward = turned(shape), query = turned(inverse);
  inverse_.resize(query.size());
  for (size_t i = 0; i < query.size(); ++i) {
    const size_t row = i / static_cast<size_t>(n), column = i % static_cast<size_t>(n);
    inverse_[column * static_cast<size_t>(n) + row] = query[i];
  }
  matrix_ = std::move(forward);
  query_matrix_ = std::move(query);
  mean_ = basis.mean;
}

std::vector<float> KvRotation::columns(Way way) const {
  if (!matrix_.empty()) return way == Way::kForward ? matrix_ : way == Way::kQueries ? query_matrix_ : inverse_;
  const auto n = static_cast<size_t>(n_);
  std::vector<float> result(n * n, 0.0f);
  for (size_t i = 0; i < n; ++i) {
    float* column = result.data() + i * n;
    column[i] = 1.0f;
    way == Way::kBack ? undo(column) : turn(column);
  }
  return result;
}

/// x = H x
void KvRotation::mix(float* x) const {
  const int32_t m = n_hartley_;
  for (int32_t step = m; step < n_; step *= 2) {
    for (int32_t block = 0; block < n_; block += 2 * step) {
      for (int32_t i = block; i < block + step; ++i) {
        const float a = x[i], b = x[i + step];
        x[i] = a + b;
        x[i + step] = a - b;
      }
    }
  }
  for (int32_t i = 0; i < n_; ++i) x[i] *= scale_;
  if (m == 1) return;
  for (int32_t block = 0; block < n_; block += m) {
    float y[kMaxHeadDim] = {};
    for (int32_t j = 0; j < m; ++j) {
      for (int32_t i = 0; i < m; ++i) y[i] += x[block + j] * hartley_[static_cast<size_t>(j * m + i)];
    }
    std::copy_n(y, m, x + block);
  }
}

void KvRotation::turn(float* x) const {
  for (int32_t i = 0; i < n_; ++i) x[i] *= signs_[static_cast<size_t>(i)];
  mix(x);
}

void KvRotation::apply(float* x) const {
  if (matrix_.empty()) return turn(x);
  for (int32_t i = 0; i < n_; ++i) x[i] -= mean_[static_cast<size_t>(i)];
  multiply(matrix_, n_, x);
}

void KvRotation::apply_to_query(float* x) const {
  if (matrix_.empty()) return turn(x);
  multiply(query_matrix_, n_, x);
}

void KvRotation::undo(float* x) const {
  if (!matrix_.empty()) {
    multiply(inverse_, n_, x);
    for (int32_t i = 0; i < n_; ++i) x[i] += mean_[static_cast<size_t>(i)];
    return;
  }
  mix(x);
  for (int32_t i = 0; i < n_; ++i) x[i] *= signs_[static_cast<size_t>(i)];
}

}  // namespace outpost
