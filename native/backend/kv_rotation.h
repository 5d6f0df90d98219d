// Rotations of keys, queries and values before they are packed: outliers of single dimensions are spread over the whole
// head, and what is left looks normal.
//
// A head of 2^a * m dimensions (m odd) is turned by H * S: S changes the signs of some dimensions, H is the Kronecker
// product of a Hadamard matrix of 2^a and a Hartley matrix of m (sums of cosines and sines; symmetric, and its own
// inverse, as the Hadamard matrix). A model may bring a basis of its own (kv_calibration.h): then a key x is turned
// into H S A (x - m), and a query into H S A^-1 x, so that products differ by the same number for every key.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/kv_calibration.h"

namespace outpost {

class KvRotation {
 public:
  /// H * S of `n` dimensions.
  explicit KvRotation(int32_t n);
  /// H * S * shape * (x - mean). An empty basis is the identity. @pre `shape` is symmetric and positive definite
  KvRotation(int32_t n, const KvBasis& basis);

  int32_t n() const { return n_; }
  /// What a rotation does to keys and values, without the mean; to queries; and what `undo` does.
  enum class Way { kForward, kQueries, kBack };
  /// As a matrix [n, n], columns one after the other.
  std::vector<float> columns(Way way) const;
  const std::vector<float>& mean() const { return mean_; }  ///< [n] that `apply` subtracts, or empty
  /// Of keys and values, in place.
  void apply(float* x) const;
  /// Of queries, in place: products with turned keys are those of before but for one number for all keys.
  void apply_to_query(float* x) const;
  /// Takes `apply` back, also from a mean of several vectors.
  void undo(float* x) const;

 private:
  void mix(float* x) const;
  void turn(float* x) const;

  int32_t n_;
  int32_t n_hadamard_ = 1, n_hartley_ = 1;
  float scale_ = 1.0f;
  std::vector<float> signs_;    // [n]
  std::vector<float> hartley_;  // [m, m]
  // With a basis, [n, n] each, columns one after the other: H S A, H S A^-1, A^-1 S H.
  std::vector<float> matrix_, query_matrix_, inverse_;
  std::vector<float> mean_;  // [n]
};

}  // namespace outpost
