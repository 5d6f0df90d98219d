// A matrix unit without instructions for one: the definition of matrix_unit_amx.h, beside the lanes of simd_scalar.h.
// Too slow to be of use; it shows on every machine that the kernels of matmul_matrix_unit.h are right.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backend/cpu/simd_scalar.h"

namespace outpost {
namespace {

/// Registers for sums [n_tokens, 16 rows] in 32 bits, for the input [n_tokens, kColumns] in 8, and for codes [kColumns
/// / 4, 16 rows, 4 columns] in 8. They are the thread's: there is one unit at a time.
/// @tparam kColumns a multiple of 4 up to 64
template <int kColumns>
class MatrixUnit {
 public:
  static_assert(kColumns >= 4 && kColumns <= 64 && kColumns % 4 == 0);

  /// @param n_tokens 1 to 16
  explicit MatrixUnit(int n_tokens) : n_tokens_(n_tokens) { assert(n_tokens >= 1 && n_tokens <= 16); }
  MatrixUnit(const MatrixUnit&) = delete;
  MatrixUnit& operator=(const MatrixUnit&) = delete;

  static constexpr int kSums = 4, kInputs = 2;

  template <int sum>
  void clear() {
    std::memset(sums_[sum], 0, sizeof sums_[sum]);
  }
  /// @tparam kStride bytes from a token's to the next one's
  template <int input, size_t kStride>
  void load_input(const int8_t* q) {
    for (int t = 0; t < n_tokens_; ++t) std::memcpy(inputs_[input][t], q + static_cast<size_t>(t) * kStride, kColumns);
  }
  template <int codes>
  void load_codes(const uint8_t* w) {
    std::memcpy(codes_[codes], w, 16 * kColumns);
  }
  /// sum += input * codes, codes from -128 to 127
  template <int sum, int input, int codes>
  void add_signed() {
    add(sums_[sum], inputs_[input], [&](int i) { return int32_t{static_cast<int8_t>(codes_[codes][i])}; });
  }
  /// The same, codes from 0 to 255.
  template <int sum, int input, int codes>
  void add_unsigned() {
    add(sums_[sum], inputs_[input], [&](int i) { return int32_t{codes_[codes][i]}; });
  }
  /// To [n_tokens][16 rows].
  template <int sum>
  void store(int32_t* out) const {
    std::memcpy(out, sums_[sum], static_cast<size_t>(n_tokens_) * sizeof sums_[sum][0]);
  }

 private:
  template <typename Code>
  void add(int32_t (&sums)[16][16], const int8_t (&input)[16][64], const Code& code) const {
    for (int t = 0; t < n_tokens_; ++t) {
      for (int row = 0; row < 16; ++row) {
        for (int c = 0; c < kColumns; ++c) sums[t][row] += input[t][c] * code(64 * (c / 4) + 4 * row + c % 4);
      }
    }
  }

  int n_tokens_;
  int32_t sums_[kSums][16][16];
  int8_t inputs_[kInputs][16][64];
  uint8_t codes_[kInputs][16 * 64];
};

inline I32x16 i32_load(const int32_t* p) {
  I32x16 r;
  std::memcpy(r.lane, p, sizeof r);
  return r;
}

/// Codes less kOffset, times a scale for each of 16 rows, as 256 * high + low. Scales fit 8 bits, products 16.
template <int kOffset>
class ScaledCodes {
 public:
  explicit ScaledCodes(I32x16 scale) : scale_(scale) {}

  /// Low bytes, in the order of w.
  void store_low(U8x64 w, uint8_t* low) const {
    for (int i = 0; i < 64; ++i) low[i] = static_cast<uint8_t>(product(w, i));
  }
  /// @param high from -128 to 127
  void store_both(U8x64 w, uint8_t* low, uint8_t* high) const {
    store_low(w, low);
    for (int i = 0; i < 64; ++i) high[i] = static_cast<uint8_t>(product(w, i) >> 8);
  }

 private:
  int32_t product(const U8x64& w, int i) const { return (w.lane[i] - kOffset) * scale_.lane[i / 4]; }

  I32x16 scale_;
};

/// Codes less `offset`, from -128 to 127.
inline void store_values(U8x64 w, int offset, uint8_t* out) {
  for (int i = 0; i < 64; ++i) out[i] = static_cast<uint8_t>(w.lane[i] - offset);
}

}  // namespace
}  // namespace outpost
