// Quantized blocks as GGUF lays them out (ggml-org/ggml, ggml-common.h). Shared by every backend.
// 256 elements in a superblock (K-, I- and ternary quants), 32 in the older blocks, IQ4_NL and MXFP4. `d`, `dmin` and
// `m` are f16 bit patterns where nothing else is said. Codebooks of the I-quants are in iq*_grid*.h.
#pragma once

#include "kernels/common/shared_source.h"

namespace outpost {

OUTPOST_CONSTANT int kSuperblock = 256;
OUTPOST_CONSTANT int kSmallBlock = 32;

// ---- blocks of 32: byte l of qs holds elements l (low nibble) and 16 + l (high)

/// x = d * (q - 8)
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// x = d * q + m
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

/// x = d * (q - 16); the fifth bit of element i in bit i % 8 of qh[i / 8].
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

/// x = d * q + m, otherwise as Q5_0.
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

/// x = d * q
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// x = d * kIq4Values[q]
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

/// x = 2^(e - 127) * kFp4Values[q] / 2 (OCP Microscaling Formats 1.0: E8M0 scale, E2M1 elements); NaN if e is 255.
struct BlockMXFP4 {
  uint8_t e;
  uint8_t qs[16];
};
static_assert(sizeof(BlockMXFP4) == 17);

OUTPOST_TABLE int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// Twice the values of E2M1, so that they are integers.
OUTPOST_TABLE int8_t kFp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// ---- K-quants

/// x = d * (scale & 15) * q - dmin * (scale >> 4), one scale byte per 16 elements.
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];  ///< byte l of half h: elements 128h + 32j + l in bits 2j
  uint16_t d, dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

/// x = d * (scale - 32) * (q - 4), 6-bit scale per 16 elements; the low two bits of q in qs, as in Q2_K.
struct BlockQ3_K {
  uint8_t hmask[32];  ///< the high bit of q: bit g of byte l belongs to element 32g + l
  uint8_t qs[64];
  uint8_t scales[12];  ///< see k3_scale
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110);

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

/// x = d * scales[i / 16] * (q - 32); the low four bits of q in ql, the high two in qh.
struct BlockQ6_K {
  uint8_t ql[128];  ///< byte l of half h: elements 128h + l (low nibble) and 128h + 64 + l (high)
  uint8_t qh[64];   ///< byte l of half h: elements 128h + 32j + l in bits 2j
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

/// x = d * q; `d` is f32. For intermediate results rather than files.
struct BlockQ8_K {
  float d;
  int8_t qs[256];
  int16_t bsums[16];  ///< sums of 16 codes each, for dot products
};
static_assert(sizeof(BlockQ8_K) == 292);

struct ScaleMin {
  uint8_t scale, min;
};

/// The 6-bit scale and min of group `g` (0 to 7) of Q4_K and Q5_K: groups 0-3 in the low six bits of bytes 0-3
/// and 4-7; groups 4-7 in the nibbles of bytes 8-11, their upper two bits on top of bytes 0-7.
template <typename Bytes>
inline constexpr ScaleMin k4_scale_min(Bytes scales, int g) {
  if (g < 4) return {static_cast<uint8_t>(scales[g] & 63), static_cast<uint8_t>(scales[g + 4] & 63)};
  return {static_cast<uint8_t>((scales[g + 4] & 15) | ((scales[g - 4] >> 6) << 4)),
          static_cast<uint8_t>((scales[g + 4] >> 4) | ((scales[g] >> 6) << 4))};
}

/// The 6-bit scale of group `g` (0 to 15) of Q3_K: the low nibbles in bytes 0-7 (groups 8-15 in the upper halves), the
/// upper two bits in bytes 8-11.
template <typename Bytes>
inline constexpr int k3_scale(Bytes scales, int g) {
  const int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
  return low | (((scales[8 + g % 4] >> (2 * (g / 4))) & 3) << 4);
}

// ---- ternary quants

/// x = d * (t - 1), t a base-3 digit. A byte holds v = ceil(256 n / 243) for a number n of five digits t0..t4, t0 the
/// first: t_i is the integer part of 3 * frac(v * 3^i / 256).
struct BlockTQ1_0 {
  uint8_t qs[48];  ///< digit i of byte l: element 32i + l for l < 32, 160 + 16i + l - 32 for the others
  uint8_t qh[4];   ///< four digits; digit i of byte l: element 240 + 4i + l
  uint16_t d;
};
static_assert(sizeof(BlockTQ1_0) == 54);

/// x = d * (q - 1); byte l of half h: elements 128h + 32j + l in bits 2j.
struct BlockTQ2_0 {
  uint8_t qs[64];
  uint16_t d;
};
static_assert(sizeof(BlockTQ2_0) == 66);

// ---- I-quants: patterns of a codebook. Signs: bit p belongs to element p of a run of eight, 1 is negative; where
// seven are stored, see iq2_signs.

/// Per 32 elements: four grid indices, then four 7-bit sign patterns and a 4-bit scale s in one word.
/// x = d * (0.5 + s) * 0.25 * magnitude * sign
struct BlockIQ2_XXS {
  uint16_t d;
  uint16_t qs[32];
};
static_assert(sizeof(BlockIQ2_XXS) == 66);

/// x = d * (0.5 + s) * 0.25 * magnitude * sign
struct BlockIQ2_XS {
  uint16_t d;
  uint16_t qs[32];    ///< per run of eight: 9-bit grid index, 7-bit signs above
  uint8_t scales[8];  ///< per 32 elements: s of the first 16 (low nibble) and of the others (high)
};
static_assert(sizeof(BlockIQ2_XS) == 74);

/// As IQ2_XS with a 10-bit index and eight signs.
struct BlockIQ2_S {
  uint16_t d;
  uint8_t qs[32];     ///< per run of eight: the index's low bits
  uint8_t signs[32];  ///< per run of eight
  uint8_t qh[8];      ///< the index's upper two bits: run r of 32 elements in bits 2r
  uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_S) == 82);

/// x = d * (0.5 + s) * 0.5 * magnitude * sign
struct BlockIQ3_XXS {
  uint16_t d;
  uint8_t qs[64];                   ///< grid index per run of four
  uint8_t signs_and_scales[8 * 4];  ///< per 32 elements the word of IQ2_XXS
};
static_assert(sizeof(BlockIQ3_XXS) == 98);

/// x = d * (1 + 2s) * magnitude * sign
struct BlockIQ3_S {
  uint16_t d;
  uint8_t qs[64];     ///< per run of four: the 9-bit index's low bits
  uint8_t qh[8];      ///< its high bit: run r of 32 elements in bit r
  uint8_t signs[32];  ///< per run of eight
  uint8_t scales[4];  ///< s per 32 elements, the even ones in low nibbles
};
static_assert(sizeof(BlockIQ3_S) == 110);

/// x = d * (1 + 2s) * (value + delta), delta = +-1/8
struct BlockIQ1_S {
  uint16_t d;
  uint8_t qs[32];  ///< per run of eight: the 11-bit grid index's low bits
  uint16_t
      qh[8];  ///< per 32 elements: upper bits of the index of run r in bits 3r, s in bits 12-14, delta's sign in 15
};
static_assert(sizeof(BlockIQ1_S) == 50);

/// As IQ1_S with a 3-bit s per 16 elements and a delta per run.
struct BlockIQ1_M {
  uint8_t qs[32];
  uint8_t qh[16];     ///< nibble per run of eight: upper three bits of its index, then delta's sign
  uint8_t scales[8];  ///< four 16-bit words: four 3-bit s each; their upper nibbles are d, least significant first
};
static_assert(sizeof(BlockIQ1_M) == 56);

/// x = d * (scale - 32) * kIq4Values[q]; each 32 elements in 16 bytes, as in the blocks of 32.
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_h;    ///< upper two bits of the scale of group g in bits 2g
  uint8_t scales_l[4];  ///< low nibbles, even groups in the lower half
  uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

}  // namespace outpost
