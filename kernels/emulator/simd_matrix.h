// Matrices [8, 8] that a warp holds together: Metal Shading Language Specification, "SIMD-group Matrix Functions".
//
// The language does not say which lane has which elements, so a kernel can't look into one, and every operation is one
// of all 32 lanes, with the same operands. What an operation reads and writes in memory belongs to the warp as a whole:
// a warp or block barrier has to be between it and what any lane of the warp does there, also the one that it would
// have been on some device.
#pragma once

#include "kernels/emulator/simt.h"

namespace outpost::emulator {

inline constexpr int kSimdMatrixSize = 8;

/// A lane's share of a matrix.
class SimdMatrix {
 private:
  friend struct SimdMatrixAccess;

  float values_[kSimdMatrixSize * kSimdMatrixSize / kWarpSize] = {};
  uint64_t number_ = 0;  ///< which matrix this is a share of: a new one with every operation; 0: no value yet
};

/// Where a matrix lies in memory: row r begins `stride` elements after row r - 1, at a multiple of 16 bytes.
struct SimdMatrixPlace {
  Region* region = nullptr;
  int64_t offset = 0;  ///< bytes
  int64_t stride = 0;  ///< elements

  bool operator==(const SimdMatrixPlace&) const = default;
};

/// Every element becomes `value`.
void fill_matrix(SimdMatrix& matrix, float value, Site site);
/// Elements of 16 bits. @param value_of what one stands for
void load_matrix(SimdMatrix& matrix, const SimdMatrixPlace& from, bool is_transposed, float (*value_of)(uint16_t),
                 Site site);
/// Elements of 32 bits.
void store_matrix(const SimdMatrix& matrix, const SimdMatrixPlace& to, Site site);
/// sum += a * b: products and their sum in f64, rounded once. Units of a device are not as exact, and may add in any
/// order.
void multiply_add(SimdMatrix& sum, const SimdMatrix& a, const SimdMatrix& b, Site site);

}  // namespace outpost::emulator
