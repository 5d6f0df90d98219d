// Weights in the layout that the CPU kernels compute with.
//
// Sixteen rows lie side by side in a tile: a vector of 64 bytes holds four consecutive elements of each row,
// byte 4*row + i. One broadcast of four activations then feeds sixteen rows, each 32-bit lane owns one row,
// and no sum ever crosses lanes. A quantized tile is a sequence of superblocks of 256 columns. Rows past the
// matrix's end are zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/tensor_type.h"

namespace outpost {

inline constexpr int kTileRows = 16;

/// 2-bit codes: vector `sub` holds the 16 columns of sub-block `sub`; columns 4c..4c+3 in bits 2c.
struct alignas(64) TileQ2_K {
  uint8_t codes[16][64];
  uint8_t scales[16][kTileRows];  ///< low nibble scale, high nibble min, per sub-block of 16
  uint16_t d[kTileRows], dmin[kTileRows];
};
static_assert(sizeof(TileQ2_K) == 16 * 84);

/// 4-bit codes: vector v of a group of 32 holds columns 4v..4v+3 (low nibbles) and 16+4v.. (high nibbles).
struct alignas(32) TileQ4_K {
  uint8_t codes[8][4][64];
  uint8_t scales[8][kTileRows], mins[8][kTileRows];
  uint16_t d[kTileRows], dmin[kTileRows];
};
static_assert(sizeof(TileQ4_K) == 16 * 148);

/// As Q4_K; bit 4*row + i of high[group][c] is the fifth bit of column 4c + i.
struct alignas(64) TileQ5_K {
  uint8_t codes[8][4][64];
  uint64_t high[8][8];
  uint8_t scales[8][kTileRows], mins[8][kTileRows];
  uint16_t d[kTileRows], dmin[kTileRows];
};
static_assert(sizeof(TileQ5_K) == 16 * 180);

/// A group of 32 columns is four runs of eight. Byte 4*row + run of `indices` names the run's pattern in the
/// grid; bit 4*row + run of signs[p] is the sign of the element at position p of that run.
struct alignas(32) TileIQ2_XXS {
  struct Group {
    uint8_t indices[64];
    uint64_t signs[8];
  };
  Group groups[8];
  uint8_t scales[4][kTileRows];  ///< group 2i in the low nibble, 2i+1 in the high one
  uint16_t d[kTileRows];
};
static_assert(sizeof(TileIQ2_XXS) == 16 * 70);  // the file's block has 66 bytes: the eighth sign is stored

/// Types without a kernel of their own yet: a tile is sixteen rows as the file has them, and `expand_tile` makes
/// it a dense one in front of every product. Correct, and several times slower than a kernel.
bool is_expanded(TensorType type);
/// Types whose activations stay f32: tiles are f32 or f16, [n_cols][kTileRows], or are expanded to f32.
bool is_dense(TensorType type);
/// Whether the CPU backend can multiply by the type.
bool can_pack(TensorType type);

/// Bytes of one tile of `n_cols` columns.
size_t tile_bytes(TensorType type, int64_t n_cols);

/// Packs rows [row0, row0 + n_rows) of a matrix in file layout; n_rows <= kTileRows.
/// @param row_bytes distance of two rows in `matrix`
void pack_tile(TensorType type, const std::byte* matrix, size_t row_bytes, int64_t n_cols, int64_t row0, int n_rows,
               std::byte* tile);

/// Dequantizes a tile whose type `is_expanded` to f32 [n_cols][kTileRows].
void expand_tile(TensorType type, const std::byte* tile, int64_t n_cols, float* out);

}  // namespace outpost
