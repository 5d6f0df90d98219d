// Quantized blocks as GGUF lays them out (ggml-org/ggml, ggml-common.h). Shared by every backend.
// 256 elements in a K- or I-quant superblock, 32 in the older blocks; scales are f16 bit patterns.
#pragma once

#include <cstdint>

namespace outpost {

inline constexpr int kSuperblock = 256;

/// x = d * (scale & 15) * q - dmin * (scale >> 4), one scale byte per 16 elements.
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];  ///< byte l of half h: elements 128h + 32j + l in bits 2j
  uint16_t d, dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

/// x = d * scale * q - dmin * min, 6-bit scale and min per 32 elements.
struct BlockQ4_K {
  uint16_t d, dmin;
  uint8_t scales[12];  ///< see k4_scale_min
  uint8_t qs[128];     ///< byte l of quarter j: elements 64j + l (low nibble) and 64j + 32 + l (high)
};
static_assert(sizeof(BlockQ4_K) == 144);

/// As Q4_K with a fifth bit: bit g of qh[l] belongs to element 32g + l.
struct BlockQ5_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

/// Per 32 elements: four grid indices, then four 7-bit sign patterns and a 4-bit scale s in one word.
/// x = d * (0.5 + s) * 0.25 * magnitude * sign
struct BlockIQ2_XXS {
  uint16_t d;
  uint16_t qs[32];
};
static_assert(sizeof(BlockIQ2_XXS) == 66);

/// x = d * scales[i / 16] * (q - 32); the low four bits of q in ql, the high two in qh.
struct BlockQ6_K {
  uint8_t ql[128];  ///< byte l of half h: elements 128h + l (low nibble) and 128h + 64 + l (high)
  uint8_t qh[64];   ///< byte l of half h: elements 128h + 32j + l in bits 2j
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

inline constexpr int kSmallBlock = 32;

/// x = d * (q - 8); byte l holds elements l (low nibble) and 16 + l (high).
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// x = d * q
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

struct ScaleMin {
  uint8_t scale, min;
};

/// The 6-bit scale and min of group `g` (0 to 7) of Q4_K and Q5_K: groups 0-3 in the low six bits of bytes 0-3
/// and 4-7; groups 4-7 in the nibbles of bytes 8-11, their upper two bits on top of bytes 0-7.
inline constexpr ScaleMin k4_scale_min(const uint8_t* scales, int g) {
  if (g < 4) return {static_cast<uint8_t>(scales[g] & 63), static_cast<uint8_t>(scales[g + 4] & 63)};
  return {static_cast<uint8_t>((scales[g + 4] & 15) | ((scales[g - 4] >> 6) << 4)),
          static_cast<uint8_t>((scales[g + 4] >> 4) | ((scales[g] >> 6) << 4))};
}

}  // namespace outpost
