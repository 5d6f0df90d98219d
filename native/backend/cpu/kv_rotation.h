// Rotations of keys, queries and values before they are packed: outliers of single dimensions are spread over the whole
// head, and what is left looks normal.
//
// A head of 2^a * m dimensions (m odd) is turned by H * S: S changes the signs of some dimensions, H is the Kronecker
// product of a Hadamard matrix of 2^a and a Hartley matrix of m (sums of cosines and sines; symmetric, and its own
// inverse, as the Hadamard matrix). A model may bring matrices of its own instead (kv_calibration.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace outpost {

class KvRotation {
 public:
  /// H * S of `n` dimensions.
  explicit KvRotation(int32_t n);
  /// An orthogonal matrix, [n, n].
  KvRotation(int32_t n, std::span<const float> matrix);

  int32_t n() const { return n_; }
  /// x = R x, in place.
  void apply(float* x) const;
  /// x = R^T x, in place.
  void undo(float* x) const;

 private:
  void mix(float* x) const;

  int32_t n_;
  int32_t n_hadamard_ = 1, n_hartley_ = 1;
  float scale_ = 1.0f;
  std::vector<float> signs_;    // [n]
  std::vector<float> hartley_;  // [m, m]
  std::vector<float> matrix_;   // [n, n], columns one after the other; empty: H * S
  std::vector<float> inverse_;  // likewise, of the transpose
};

}  // namespace outpost
