// From blocks of a GGUF tensor to signed bytes: 32 neighbouring elements at a time, as integers that a dot product
// of bytes takes as they are, and the factors that make values of them. The codes are exact, so a product of a group
// with int8 activations is exact up to its one rounding at the end, whatever instruction adds it up.
//
// The meaning of the formats is in kernels/common/block_layouts.h; native/quant/dequantize_*.cpp is the reference.
#pragma once

#include "kernels/common/block_layouts.h"
#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kGroup = 32;

/// Element i of a group is scale[i / 16] * code_i + offset[i / 16]; code_i is byte i % 4 of codes[i / 4].
struct Group {
  uint32_t codes[8];
  float scale[2];
  float offset[2];
};

/// What a kernel may leave out: kHasOffset false means that offsets are 0, kIsSplit false that both halves are alike.
/// And kGroups of a block. Spelled out for every type: Metal's language has no derived classes (its
/// specification, 1.5.4).
template <typename Block>
struct BlockTraits;

// ---- bytes of a word, none of which borrows from the next

/// Each byte minus n; bytes are 0 to 127, n is 1 to 128.
GPU_FN uint32_t subtract_from_bytes(uint32_t bytes, uint32_t n) {
  return ((bytes | 0x80808080u) - n * 0x01010101u) ^ 0x80808080u;
}

/// The low four bits, one in each byte.
GPU_FN uint32_t spread_bits(uint32_t bits) { return ((bits & 15u) * 0x00204081u) & 0x01010101u; }

/// Bytes, none of them 0, with the sign turned where a bit of `signs` is set.
GPU_FN uint32_t negate_bytes(uint32_t bytes, uint32_t signs) {
  const uint32_t ones = spread_bits(signs);
  return (bytes ^ (ones * 255u)) + ones;
}

/// Sixteen signed bytes.
struct ByteTable {
  uint32_t words[4];
};

/// The bytes that the four low nibbles of `nibbles` choose.
GPU_FN uint32_t look_up(ByteTable table, uint32_t nibbles) {
  const uint32_t low = pick_bytes(table.words[0], table.words[1], nibbles & 0x7777u);
  const uint32_t high = pick_bytes(table.words[2], table.words[3], nibbles & 0x7777u);
  return pick_bytes(low, high, 0x3210u | ((nibbles & 0x8888u) >> 1));
}

GPU_FN uint32_t word_of(int8_t a, int8_t b, int8_t c, int8_t d) {
  return uint32_t(uint8_t(a)) | uint32_t(uint8_t(b)) << 8 | uint32_t(uint8_t(c)) << 16 | uint32_t(uint8_t(d)) << 24;
}

// kIq4Values and twice the values of E2M1 (kFp4Values), four to a word.
GPU_FN ByteTable iq4_table() {
  return {
      {word_of(-127, -104, -83, -65), word_of(-49, -35, -22, -10), word_of(1, 13, 25, 38), word_of(53, 69, 89, 113)}};
}
GPU_FN ByteTable fp4_table() {
  return {{word_of(0, 1, 2, 3), word_of(4, 6, 8, 12), word_of(0, -1, -2, -3), word_of(-4, -6, -8, -12)}};
}

/// Low nibbles of 16 bytes to the first half of a group, high nibbles to the second.
template <int kAlignment>
GPU_FN void unpack_nibbles(BlockBytes qs, GPU_LOCAL uint32_t* codes) {
  GPU_UNROLL for (int32_t w = 0; w < 4; ++w) {
    const uint32_t word = load_bytes4<kAlignment>(qs + 4 * w);
    codes[w] = word & 0x0f0f0f0fu;
    codes[4 + w] = (word >> 4) & 0x0f0f0f0fu;
  }
}

/// As unpack_nibbles, each nibble replaced by what the table has for it.
template <int kAlignment>
GPU_FN void look_up_nibbles(BlockBytes qs, ByteTable table, GPU_LOCAL uint32_t* codes) {
  GPU_UNROLL for (int32_t w = 0; w < 4; ++w) {
    const uint32_t word = load_bytes4<kAlignment>(qs + 4 * w);
    const uint32_t first = look_up(table, word & 0xffffu), second = look_up(table, word >> 16);
    codes[w] = pick_bytes(first, second, 0x6420);
    codes[4 + w] = pick_bytes(first, second, 0x7531);
  }
}

GPU_FN void set_scale(GPU_LOCAL Group& group, float scale, float offset) {
  group.scale[0] = group.scale[1] = scale;
  group.offset[0] = group.offset[1] = offset;
}

}  // namespace gpu
}  // namespace outpost

#include "kernels/portable/decode_iq.h"
#include "kernels/portable/decode_k.h"
#include "kernels/portable/decode_small.h"
#include "kernels/portable/decode_wide.h"
