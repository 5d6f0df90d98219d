// Codes of keys and values as operand A of mma_s8: 16 rows by 32 of them. What the rows are (positions of keys,
// dimensions of values) is the caller's; the 32 are those of one group, whose level words 2c and 2c + 1 a lane of
// column c = lane % 4 holds where mma.h has bytes 4c and on, and 16 + 4c and on. So operand B takes its words in the
// same order, and a lane needs one word of codes to a row (two of 8 bit).
#pragma once

#include "kernels/cuda/mma.h"
#include "kernels/portable/kv_codes.h"

namespace outpost {
namespace gpu {

#ifdef __CUDACC__
/// As pick_bytes, but where bit 3 of a nibble is set the byte is the sign of the one picked, 0 or 255 (PTX ISA, prmt).
GPU_FN uint32_t pick_bytes_or_signs(uint32_t low, uint32_t high, uint32_t selector) {
  uint32_t picked;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(picked) : "r"(low), "r"(high), "r"(selector));
  return picked;
}
#else
GPU_FN uint32_t pick_bytes_or_signs(uint32_t low, uint32_t high, uint32_t selector) {
  uint32_t picked = pick_bytes(low, high, selector);
  for (int32_t i = 0; i < 4; ++i) {
    if ((selector >> (4 * i) & 8) == 0) continue;
    const uint32_t byte = 255u << (8 * i);
    picked = (picked >> (8 * i + 7) & 1) != 0 ? picked | byte : picked & ~byte;
  }
  return picked;
}
#endif

/// Of kBits: words of codes that a lane holds of a row's 32, and level words whose sum the levels are. Of 4 bit those
/// below zero, or -1, and one more than those above, or 0: each is one byte permutation, and a product is cheap.
template <int kBits>
struct CodeOperand {
  enum { kWords = kBits == 8 ? 2 : 1, kParts = kBits == 4 ? 2 : 1 };
};

/// Which of the kBits words of 32 codes is a lane's word i.
template <int kBits>
GPU_FN int32_t code_word(int32_t column, int32_t i) {
  if (kBits == 8) return 2 * column + i;
  if (kBits == 4) return column;
  if (kBits == 3) return column < 3 ? column : 0;
  return column / 2;
}

/// Level words 2c and 2c + 1 of 32 codes from a lane's words of them, as parts that add up. By a whole warp.
template <int kBits>
GPU_FN void expand_operand(GPU_LOCAL const uint32_t (&words)[CodeOperand<kBits>::kWords],
                           GPU_LOCAL uint32_t (&levels)[CodeOperand<kBits>::kParts][2], int32_t column) {
  const uint32_t word = words[0];
  if (kBits == 8) {
    levels[0][0] = word;
    levels[0][1] = words[CodeOperand<kBits>::kWords - 1];
  } else if (kBits == 4) {
    const uint32_t kOnes = 0x01010101u;
    const uint32_t upper = word ^ 0x88888888u;
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
      levels[0][i] = pick_bytes_or_signs(kLevels4A, kLevels4B, word >> (16 * i));
      levels[CodeOperand<kBits>::kParts - 1][i] =
          pick_bytes_or_signs(kLevels4C + kOnes, kLevels4D + kOnes, upper >> (16 * i));
    }
  } else if (kBits == 3) {
    // The last eight codes are the upper bits of the nibbles of the words of columns 0 to 2.
    uint32_t others = column < 3 ? (word >> (3 - column)) & (0x11111111u << column) : 0u;
    others |= shuffle_xor(others, 1);
    others |= shuffle_xor(others, 2);
    const uint32_t selector = (column < 3 ? word : others) & 0x77777777u;
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) levels[0][i] =
        pick_bytes_or_signs(kLevels3Low, kLevels3High, selector >> (16 * i));
  } else {
    const uint32_t selector = (word >> (2 * (column % 2))) & 0x33333333u;
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) levels[0][i] =
        pick_bytes_or_signs(kLevels2, kLevels2, selector >> (16 * i));
  }
}

/// Four words of bytes, turned: word i gets byte i of each.
GPU_FN void transpose_bytes(GPU_LOCAL uint32_t (&words)[4]) {
  const uint32_t low01 = pick_bytes(words[0], words[1], 0x5140u), high01 = pick_bytes(words[0], words[1], 0x7362u);
  const uint32_t low23 = pick_bytes(words[2], words[3], 0x5140u), high23 = pick_bytes(words[2], words[3], 0x7362u);
  words[0] = pick_bytes(low01, low23, 0x5410u);
  words[1] = pick_bytes(low01, low23, 0x7632u);
  words[2] = pick_bytes(high01, high23, 0x5410u);
  words[3] = pick_bytes(high01, high23, 0x7632u);
}

}  // namespace gpu
}  // namespace outpost
