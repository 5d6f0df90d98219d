// Weights in the layout that the CPU kernels compute with.
//
// Sixteen rows lie side by side in a tile: a vector of 64 bytes holds four consecutive elements of each row,
// byte 4*row + i. One broadcast of four activations then feeds sixteen rows, each 32-bit lane owns one row,
// and no sum ever crosses lanes. A quantized tile is a sequence of superblocks of 256 columns. Rows past the
// matrix's end are zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/common/tensor_type.h"

namespace outpost {

inline constexpr int kTileRows = 16;

/// 2-bit codes: vector `sub` holds the 16 columns of sub-block `sub`; columns 4c..4c+3 in bits 2c.
struct alignas(64) TileQ2_K {
  uint8_t codes[16][64];
  /// Per two sub-blocks of 16, the first one's in the low nibble.
  uint8_t scales[8][kTileRows], mins[8][kTileRows];
  uint16_t d[kTileRows], dmin[kTileRows];
};
static_assert(sizeof(TileQ2_K) == 16 * 84);

/// 4-bit codes: vector v of a group of 32 holds columns 4v..4v+3 (low nibbles) and 16+4v.. (high nibbles).
struct alignas(32) TileQ4_K {
  uint8_t codes[8][4][64];
  uint8_t scales[8][kTileRows];
  uint8_t mins[4][kTileRows * 2];  ///< of two groups side by side
  uint16_t d[kTileRows], dmin[kTileRows];
};
static_assert(sizeof(TileQ4_K) == 16 * 148);

/// As Q4_K; bit 4*row + i of high[group][c] is the fifth bit of column 4c + i.
struct alignas(64) TileQ5_K {
  uint8_t codes[8][4][64];
  uint64_t high[8][8];
  uint8_t scales[8][kTileRows];
  uint8_t mins[4][kTileRows * 2];
  uint16_t d[kTileRows], dmin[kTileRows];
};
static_assert(sizeof(TileQ5_K) == 16 * 180);

/// 3-bit codes: the low two bits as in Q2_K; bit 4*row + i of high[sub][c] is the third bit of column 4c + i of the
/// sub-block.
struct alignas(64) TileQ3_K {
  uint8_t codes[16][64];
  uint64_t high[16][4];
  int8_t scales[16][kTileRows];  ///< per sub-block of 16, 32 taken off
  uint16_t d[kTileRows];
};

/// 6-bit codes of a sub-block of 16: the low four bits of columns 4v..4v+3 in the low nibbles of low[sub][v] and of
/// columns 8+4v.. in the high ones, for v < 2; the upper two bits of columns 4c..4c+3 in bits 2c of high[sub].
struct alignas(64) TileQ6_K {
  uint8_t low[16][2][64];
  uint8_t high[16][64];
  int8_t scales[16][kTileRows];
  uint16_t d[kTileRows];
};

/// 4-bit codes as in Q4_K, with a signed scale per group of 32.
struct alignas(64) TileIQ4_XS {
  uint8_t codes[8][4][64];
  int8_t scales[8][kTileRows];
  uint16_t d[kTileRows];
};

// Types with a scale of their own for every 32 columns. A superblock past the last column is filled up with zeros.

/// Vector c of a group of 32 holds columns 4c..4c+3, as code + 128.
struct alignas(64) TileQ8_0 {
  uint8_t codes[8][8][64];
  uint16_t d[8][kTileRows];
};

/// Codes as in Q4_K. Also IQ4_NL.
struct alignas(64) TileQ4_0 {
  uint8_t codes[8][4][64];
  uint16_t d[8][kTileRows];
};

struct alignas(64) TileQ4_1 {
  uint8_t codes[8][4][64];
  uint16_t d[8][kTileRows], m[8][kTileRows];
};

/// The fifth bit as in Q5_K.
struct alignas(64) TileQ5_0 {
  uint8_t codes[8][4][64];
  uint64_t high[8][8];
  uint16_t d[8][kTileRows];
};

struct alignas(64) TileQ5_1 {
  uint8_t codes[8][4][64];
  uint64_t high[8][8];
  uint16_t d[8][kTileRows], m[8][kTileRows];
};

struct alignas(64) TileMXFP4 {
  uint8_t codes[8][4][64];
  uint8_t exponents[8][kTileRows];  ///< of 2^(e - 127)
};

/// A group of 32 columns is four runs of eight. Byte 4*row + run of `indices` names the run's pattern in the
/// grid, and bit p of the same byte of `signs` is the sign of the element at position p of that run.
struct alignas(32) TileIQ2_XXS {
  struct Group {
    uint8_t indices[64], signs[64];
  };
  Group groups[8];
  uint8_t scales[4][kTileRows];  ///< group 2i in the low nibble, 2i+1 in the high one
  uint16_t d[kTileRows];
};
static_assert(sizeof(TileIQ2_XXS) == 16 * 70);  // the file's block has 66 bytes: the eighth sign is stored

/// IQ2_XS (kHighBits 1) and IQ2_S (2): a scale for 16 columns, which are two runs of eight. Indices as in IQ2_XXS, with
/// more bits: bit 4*row + run of high[b] is bit 8 + b. The elements of 16 columns are in the order of
/// ActivationBlock::q_by_pair; bit 4*half + p of byte 4*row + i of `signs` is the sign of its byte 4*p + i.
template <int kHighBits>
struct alignas(32) TileIQ2 {
  struct Group {
    uint8_t indices[64];
    uint64_t high[kHighBits];
    uint8_t signs[64];
  };
  Group groups[8];
  uint8_t scales[8][kTileRows];  ///< first 16 columns in the low nibble, the others in the high one
  uint16_t d[kTileRows];
};
using TileIQ2_XS = TileIQ2<1>;
using TileIQ2_S = TileIQ2<2>;
static_assert(sizeof(TileIQ2_XS) == 16 * 78 && sizeof(TileIQ2_S) == 16 * 82);  // in the file 74 and 82

/// IQ3_XXS (kHighBits 0) and IQ3_S (1): runs of four. Byte 4*row + run of indices[half] names the pattern of the
/// elements 4*half to 4*half + 3 of the run of eight; bit 4*row + run of high[half] is its ninth bit. Signs as in
/// IQ2_XXS.
template <int kHighBits>
struct alignas(32) TileIQ3 {
  struct GroupXXS {
    uint8_t indices[2][64], signs[64];
  };
  struct GroupS {
    uint8_t indices[2][64];
    uint64_t high[2];
    uint8_t signs[64];
  };
  using Group = std::conditional_t<kHighBits == 0, GroupXXS, GroupS>;
  Group groups[8];
  uint8_t scales[4][kTileRows];  ///< as in IQ2_XXS
  uint16_t d[kTileRows];
};
using TileIQ3_XXS = TileIQ3<0>;
using TileIQ3_S = TileIQ3<1>;
static_assert(sizeof(TileIQ3_XXS) == 16 * 102 && sizeof(TileIQ3_S) == 16 * 110);  // in the file 98 and 110

/// TQ1_0 and TQ2_0: codes as in Q2_K, one scale.
struct alignas(32) TileTernary {
  uint8_t codes[16][64];
  uint16_t d[kTileRows];
};
static_assert(sizeof(TileTernary) == 16 * 66);  // in the file 54 and 66

/// Types without a kernel of their own yet: a tile is sixteen rows as the file has them, and `expand_tile` makes
/// it a dense one in front of every product. Correct, and several times slower than a kernel.
bool is_expanded(TensorType type);
/// What a type's codes are multiplied by.
enum class MatmulInputKind {
  kF32,          ///< tiles are f32, f16 or bf16, [n_cols][kTileRows], or are expanded to f32
  kSuperblocks,  ///< int8 with a scale per 256 columns
  kBlocks,       ///< int8 with a scale per 32 columns
};
MatmulInputKind matmul_input_kind(TensorType type);
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
