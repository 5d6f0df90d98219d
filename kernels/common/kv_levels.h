// The numbers that codes of packed keys and values stand for, in units of a vector's scale.
//
// After a rotation over the whole head the elements of a vector are nearly normal, whatever they were before. For a
// normal distribution of deviation 1 the levels with the least mean square error (Lloyd, 1982; Max, 1960) are
//   2 bit  0.4528, 1.5104                                                    error 0.1175
//   3 bit  0.2451, 0.7560, 1.3439, 2.1519                                    error 0.03454
//   4 bit  0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0690, 2.7326    error 0.009497
// and their negatives (J. Max, Quantizing for minimum distortion, IRE Trans. IT-6, 1960, table I). Products with
// queries are taken in integers, so the levels are integers below 64, in the unit that loses least: 2 bit nothing,
// 3 bit 0.04 %, 4 bit 0.22 % of the error. kv_codec_test.cpp derives all of them anew.
#pragma once

#include <cstdint>

namespace outpost {

/// Of a code, ascending; those past the last code repeat 0, so that every table has 16.
inline constexpr int8_t kKvLevels2[16] = {-50, -15, 15, 50};
inline constexpr int8_t kKvLevels3[16] = {-62, -39, -22, -7, 7, 22, 39, 62};
inline constexpr int8_t kKvLevels4[16] = {-61, -46, -36, -28, -21, -15, -9, -3, 3, 9, 15, 21, 28, 36, 46, 61};

/// One level unit of a distribution of deviation 1.
inline constexpr float kKvUnit2 = 0.030208352f;
inline constexpr float kKvUnit3 = 0.034636078f;
inline constexpr float kKvUnit4 = 0.044796550f;

/// @pre bits is 2, 3 or 4
inline constexpr const int8_t (&kv_levels(int bits))[16] {
  return bits == 2 ? kKvLevels2 : bits == 3 ? kKvLevels3 : kKvLevels4;
}
inline constexpr float kv_unit(int bits) { return bits == 2 ? kKvUnit2 : bits == 3 ? kKvUnit3 : kKvUnit4; }

// A scale is a byte: 5 bits of exponent and 3 of fraction, 2^(e - 20) * (1 + f / 8). Its steps are 7 to 12 %; codes are
// chosen for the rounded scale, so that its error costs next to nothing.
inline constexpr int kKvScaleBias = 20;

}  // namespace outpost
