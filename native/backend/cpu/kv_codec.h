// Vectors of keys and values as codes, and codes as bits of a page. Plain code: it runs once for each position, while
// the kernels that read the codes run for every query (attention_kernels.h).
//
// Codes come in blocks of 512, as 8 groups of 64 that a kernel takes into one vector each:
//   keys    8 dimensions of 64 positions: group 4 * (d % 8 / 4) + p / 16, byte 4 * (p % 16) + d % 4
//   values  32 positions of 16 dimensions: group p % 32 / 4, byte 16 * (p % 4) + d % 16
// A block of b bits takes b times 64 bytes: 8 bit: group by group; 4: groups 2i and 2i + 1 in byte row i; 2: groups 4i
// to 4i + 3; 3: the two lower bits as 2 bit, then a row with the upper bits of all groups.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/kv_format.h"

namespace outpost {

inline constexpr int32_t kKvBlockCodes = 512;

inline size_t kv_block_bytes(int32_t bits) { return static_cast<size_t>(bits) * 64; }
/// Bytes of the codes of a page, and of its scales, of a head of n dimensions. With 16 bits those of n * 64 halfs.
size_t kv_key_bytes(int32_t n, int32_t bits);
size_t kv_value_bytes(int32_t n, int32_t bits);

/// Where a code lies: block and place among its 512.
struct KvPlace {
  int32_t block, i;
};
inline KvPlace kv_key_place(int32_t position, int32_t d) {
  return {d / 8, 64 * (4 * (d % 8 / 4) + position / 16) + 4 * (position % 16) + d % 4};
}
inline KvPlace kv_value_place(int32_t position, int32_t d) {
  return {d / 16 * 2 + position / 32, 64 * (position % 32 / 4) + 16 * (position % 4) + d % 16};
}

float kv_scale(uint8_t code);
/// The code of the scale nearest to `scale`, or the first that is not below it.
uint8_t kv_nearest_scale(float scale);
uint8_t kv_scale_above(float scale);

/// Codes of x[0..n), and their scale. 8 bit: x = scale * code; below: x = scale * level(code) with the scale of least
/// squared error.
struct KvEncoded {
  uint8_t scale;
  uint8_t codes[576];
};
void kv_encode(const float* x, int32_t n, int32_t bits, KvEncoded& out);
/// Code of 8 bit is a signed byte.
void kv_encode8(const float* x, int32_t n, KvEncoded& out);

/// Packs 512 codes, each below 2^bits. @pre bits is 2, 3 or 4
void kv_pack_block(const uint8_t* codes, int32_t bits, uint8_t* out);
/// One code of a packed block.
uint8_t kv_unpack(const uint8_t* block, int32_t bits, int32_t i);

}  // namespace outpost
