// Products of matrices on AMX's tiles (Intel, "Architecture Instruction Set Extensions", chapter 3), in plain loops
// where there are none or OUTPOST_PLAIN_PRODUCTS is set. Operands are bf16, sums f32; all sizes are multiples of 32.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "numbers.h"

#if defined(__AMX_BF16__) && !defined(OUTPOST_F32_PRODUCTS) && !defined(OUTPOST_PLAIN_PRODUCTS)
#define OUTPOST_HAS_TILES
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace outpost::forge {

/// Rows and columns of a block of sums, and elements that one step of a product takes: two tiles by two, and one.
constexpr int kBlock = 32, kTileRows = 16, kTileDepth = 32, kTile = kTileRows * kTileDepth;
/// Elements of the left operand that stay in the L2 cache (2 MiB) while all columns go by
constexpr int kCachedElements = 384 * 1024;
/// Elements between rows: not a power of two, so that the rows of a tile do not share a set of the L1 cache.
constexpr int kPad = 32;

/// Tiles of an operand. Left: 16 rows of 32 elements. Right: 16 pairs of rows, of 16 columns each, pairs side by side.
struct Operand {
  const Element* data;
  std::size_t row;       ///< elements between the rows of a tile
  std::size_t next_row;  ///< elements between tiles below each other (left), or beside each other (right)
  std::size_t next_depth;
};

inline Operand in_rows(const Element* data, std::size_t stride) {
  return {data, stride, kTileRows * stride, kTileDepth};
}

inline Operand packed(const Element* data, int depth) {
  return {data, kTileDepth, static_cast<std::size_t>(depth) * kTileRows, kTile};
}

#ifdef OUTPOST_HAS_TILES

/// Of this thread: 8 tiles of 16 rows of 64 bytes
inline void prepare_tiles() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // of arch_prctl
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) {
    std::perror("The system does not give AMX to this process");
    std::abort();
  }
  // Not on the stack: GCC takes it that the instruction reads the first eight bytes only, and may drop the rest.
  struct alignas(64) Config {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t column_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static constexpr Config config;
  _tile_loadconfig(&config);
}

/// block = the product of `depth` elements, [32, 32]
inline void multiply_block(const Operand& a, const Operand& b, const Element* left, const Element* right, int depth,
                           float* block) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int k = 0; k < depth; k += kTileDepth) {
    _tile_loadd(4, left, 2 * a.row);
    _tile_loadd(6, right, 2 * b.row);
    _tile_loadd(5, left + a.next_row, 2 * a.row);
    _tile_loadd(7, right + b.next_row, 2 * b.row);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
    left += a.next_depth;
    right += b.next_depth;
  }
  _tile_stored(0, block, 4 * kBlock);
  _tile_stored(1, block + 16, 4 * kBlock);
  _tile_stored(2, block + 16 * kBlock, 4 * kBlock);
  _tile_stored(3, block + 16 * kBlock + 16, 4 * kBlock);
}

/// to[j][i] = from[i][j], [16, 16] of pairs
inline void transpose_pairs(const Element* from, std::size_t stride, Element* to) {
  __m512i r[16], t[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(from + i * stride);
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    _mm512_storeu_si512(to + 32 * i, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
    _mm512_storeu_si512(to + 32 * (i + 8), _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    _mm512_storeu_si512(to + 32 * (i + 4), _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88));
    _mm512_storeu_si512(to + 32 * (i + 12), _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd));
  }
}

#else

inline void prepare_tiles() {}

inline void multiply_block(const Operand& a, const Operand& b, const Element* left, const Element* right, int depth,
                           float* block) {
  for (int i = 0; i < kBlock; ++i) {
    const Element* row = left + i / kTileRows * a.next_row + i % kTileRows * a.row;
    for (int j = 0; j < kBlock; ++j) {
      const Element* column = right + j / 16 * b.next_row + 2 * (j % 16);
      float sum = 0;
      for (int k = 0; k < depth; ++k)
        sum += widened(row[k / kTileDepth * a.next_depth + k % kTileDepth]) *
               widened(column[k / kTileDepth * b.next_depth + k % kTileDepth / 2 * b.row + k % 2]);
      block[i * kBlock + j] = sum;
    }
  }
}

inline void transpose_pairs(const Element* from, std::size_t stride, Element* to) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j) std::copy_n(from + i * stride + 2 * j, 2, to + 32 * j + 2 * i);
}

#endif

/// Columns of two rows side by side: to[2 j] = first[j], to[2 j + 1] = second[j]
inline void interleave(const Element* first, const Element* second, Element* to) {
  if constexpr (sizeof(Element) == 2) {  // as one number, which compilers vectorize better
    std::uint32_t pairs[16];
    for (int j = 0; j < 16; ++j) pairs[j] = std::uint32_t(first[j]) | std::uint32_t(second[j]) << 16;
    std::memcpy(to, pairs, sizeof pairs);
  } else {
    for (int j = 0; j < 16; ++j) {
      to[2 * j] = first[j];
      to[2 * j + 1] = second[j];
    }
  }
}

/// Right operand that is the transpose of [n, depth]
inline void pack_transposed(const Element* from, std::size_t stride, int n, int depth, Element* to) {
  for (int j = 0; j < n; j += 16)
    for (int k = 0; k < depth; k += kTileDepth, to += kTile) transpose_pairs(from + j * stride + k, stride, to);
}

/// Where the tile of column j and element k of the depth is
inline Element* tile_at(Element* packed, int depth, int j, int k) {
  return packed + std::size_t(j / 16) * (depth / kTileDepth) * kTile + k / kTileDepth * kTile;
}

/// Right operand that is [depth, n]
inline void pack(const Element* from, std::size_t stride, int n, int depth, Element* to) {
  for (int k = 0; k < depth; k += kTileDepth)
    for (int j = 0; j < n; j += 16) {
      Element* tile = tile_at(to, depth, j, k);
      for (int i = 0; i < 16; ++i) {
        const Element* pair = from + (k + 2 * i) * stride + j;
        interleave(pair, pair + stride, tile + 32 * i);
      }
    }
}

/// Left operand that is the transpose of [depth, n]
inline void pack_left_transposed(const Element* from, std::size_t stride, int n, int depth, Element* to) {
  alignas(64) Element pairs[kTile];
  for (int k = 0; k < depth; k += kTileDepth)
    for (int j = 0; j < n; j += 16) {
      for (int i = 0; i < 16; ++i) {
        const Element* pair = from + (k + 2 * i) * stride + j;
        interleave(pair, pair + stride, pairs + 32 * i);
      }
      transpose_pairs(pairs, 32, tile_at(to, depth, j, k));
    }
}

/// take(row, column, block) gets [32, 32] sums of a · b, [n_rows, n_columns]; all sizes multiples of 32
template <class Take>
inline void multiply(int n_rows, int n_columns, int depth, const Operand& a, const Operand& b, Take&& take) {
  alignas(64) float block[kBlock * kBlock];
  const int n_cached = std::max(1, kCachedElements / depth / kBlock) * kBlock;
  for (int cached = 0; cached < n_rows; cached += n_cached)
    for (int column = 0; column < n_columns; column += kBlock)
      for (int row = cached; row < std::min(n_rows, cached + n_cached); row += kBlock) {
        const Element* left = a.data + row / kTileRows * a.next_row;
        const Element* right = b.data + column / 16 * b.next_row;
        multiply_block(a, b, left, right, depth, block);
        take(row, column, block);
      }
}

struct StoreRounded {
  Element* to;
  std::size_t stride;
  void operator()(int row, int column, const float* block) const {
    for (int i = 0; i < kBlock; ++i)
      for (int j = 0; j < kBlock; ++j) to[(row + i) * stride + column + j] = rounded(block[i * kBlock + j]);
  }
};

struct Store {
  float* to;
  std::size_t stride;
  void operator()(int row, int column, const float* block) const {
    for (int i = 0; i < kBlock; ++i)
      for (int j = 0; j < kBlock; ++j) to[(row + i) * stride + column + j] = block[i * kBlock + j];
  }
};

struct Add {
  float* to;
  std::size_t stride;
  void operator()(int row, int column, const float* block) const {
    for (int i = 0; i < kBlock; ++i)
      for (int j = 0; j < kBlock; ++j) to[(row + i) * stride + column + j] += block[i * kBlock + j];
  }
};

}  // namespace outpost::forge
