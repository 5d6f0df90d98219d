#include "backend/cpu/packed_tiles.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "kernels/common/block_layouts.h"
#include "kernels/common/iq2_xxs_grid.h"
#include "quant/dequantize.h"

namespace outpost {
namespace {

// Four elements of a row lie side by side in the file and in a tile, so rows are packed in words of four bytes.

uint32_t load_word(const void* p) {
  uint32_t word;
  std::memcpy(&word, p, 4);
  return word;
}

void store_word(uint8_t* p, uint32_t word) { std::memcpy(p, &word, 4); }

/// Bit `bit` of each of the four bytes, side by side: the product brings bits 0, 8, 16 and 24 to 28 to 31.
uint64_t gather_bits(uint32_t word, int bit) { return (((word >> bit) & 0x01010101u) * 0x10204080u) >> 28; }

void pack_row(const BlockQ2_K& block, int row, TileQ2_K& tile) {
  for (int sub = 0; sub < 16; ++sub) {
    const uint8_t* bytes = block.qs + 32 * (sub / 8) + 16 * (sub % 2);
    const int shift = 2 * (sub % 8 / 2);
    uint32_t codes = 0;
    for (int chunk = 0; chunk < 4; ++chunk) {
      codes |= ((load_word(bytes + 4 * chunk) >> shift) & 0x03030303u) << (2 * chunk);
    }
    store_word(tile.codes[sub] + 4 * row, codes);
    tile.scales[sub][row] = block.scales[sub];
  }
  tile.d[row] = block.d;
  tile.dmin[row] = block.dmin;
}

template <typename Block, typename Tile>
void pack_k4_row(const Block& block, int row, Tile& tile) {
  for (int group = 0; group < 8; ++group) {
    const uint8_t* bytes = block.qs + 32 * (group / 2);
    const int shift = 4 * (group % 2);
    for (int v = 0; v < 4; ++v) {
      const uint32_t low = (load_word(bytes + 4 * v) >> shift) & 0x0F0F0F0Fu;
      const uint32_t high = (load_word(bytes + 16 + 4 * v) >> shift) & 0x0F0F0F0Fu;
      store_word(tile.codes[group][v] + 4 * row, low | high << 4);
    }
    if constexpr (requires { tile.high; }) {
      for (int c = 0; c < 8; ++c) {
        tile.high[group][c] |= gather_bits(load_word(block.qh + 4 * c), group) << (4 * row);
      }
    }
    const ScaleMin s = k4_scale_min(block.scales, group);
    tile.scales[group][row] = s.scale;
    tile.mins[group][row] = s.min;
  }
  tile.d[row] = block.d;
  tile.dmin[row] = block.dmin;
}

void pack_row(const BlockQ4_K& block, int row, TileQ4_K& tile) { pack_k4_row(block, row, tile); }
void pack_row(const BlockQ5_K& block, int row, TileQ5_K& tile) { pack_k4_row(block, row, tile); }

void pack_row(const BlockIQ2_XXS& block, int row, TileIQ2_XXS& tile) {
  for (int group = 0; group < 8; ++group) {
    const uint32_t indices = load_word(&block.qs[4 * group]);
    const uint32_t signs_and_scale = load_word(&block.qs[4 * group + 2]);
    store_word(tile.groups[group].indices + 4 * row, indices);
    uint32_t signs = 0;  // a byte per run
    for (int run = 0; run < 4; ++run) {
      signs |= static_cast<uint32_t>(iq2_signs((signs_and_scale >> (7 * run)) & 127)) << (8 * run);
    }
    for (int p = 0; p < 8; ++p) tile.groups[group].signs[p] |= gather_bits(signs, p) << (4 * row);
    tile.scales[group / 2][row] |= static_cast<uint8_t>((signs_and_scale >> 28) << (4 * (group % 2)));
  }
  tile.d[row] = block.d;
}

template <typename Block, typename Tile>
void pack_superblocks(const std::byte* matrix, size_t row_bytes, int64_t n_cols, int64_t row0, int n_rows,
                      std::byte* out) {
  for (int64_t i = 0; i < n_cols / kSuperblock; ++i) {
    Tile tile{};
    for (int row = 0; row < n_rows; ++row) {
      Block block;
      const size_t at = static_cast<size_t>(row0 + row) * row_bytes + static_cast<size_t>(i) * sizeof(Block);
      std::memcpy(&block, matrix + at, sizeof(Block));
      pack_row(block, row, tile);
    }
    std::memcpy(out + static_cast<size_t>(i) * sizeof(Tile), &tile, sizeof(Tile));
  }
}

template <typename T>
void pack_dense(const std::byte* matrix, size_t row_bytes, int64_t n_cols, int64_t row0, int n_rows, std::byte* out) {
  std::memset(out, 0, tile_bytes(sizeof(T) == 4 ? TensorType::kF32 : TensorType::kF16, n_cols));
  for (int row = 0; row < n_rows; ++row) {
    const std::byte* source = matrix + static_cast<size_t>(row0 + row) * row_bytes;
    for (int64_t col = 0; col < n_cols; ++col) {
      std::memcpy(out + (static_cast<size_t>(col) * kTileRows + static_cast<size_t>(row)) * sizeof(T),
                  source + static_cast<size_t>(col) * sizeof(T), sizeof(T));
    }
  }
}

bool has_kernel(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kQ2_K:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
    case TensorType::kIQ2_XXS: return true;
    default: return false;
  }
}

size_t file_row_bytes(TensorType type, int64_t n_cols) {
  const TensorTypeTraits& traits = tensor_type_traits(type);
  return static_cast<size_t>(n_cols) / traits.block_elements * traits.block_bytes;
}

}  // namespace

bool is_expanded(TensorType type) { return can_dequantize(type) && !has_kernel(type); }

bool is_dense(TensorType type) { return type == TensorType::kF32 || type == TensorType::kF16 || is_expanded(type); }

bool can_pack(TensorType type) { return can_dequantize(type); }

size_t tile_bytes(TensorType type, int64_t n_cols) {
  const auto n = static_cast<size_t>(n_cols);
  if (is_expanded(type)) return kTileRows * file_row_bytes(type, n_cols);
  switch (type) {
    case TensorType::kF32: return n * kTileRows * 4;
    case TensorType::kF16: return n * kTileRows * 2;
    case TensorType::kQ2_K: return n / kSuperblock * sizeof(TileQ2_K);
    case TensorType::kQ4_K: return n / kSuperblock * sizeof(TileQ4_K);
    case TensorType::kQ5_K: return n / kSuperblock * sizeof(TileQ5_K);
    case TensorType::kIQ2_XXS: return n / kSuperblock * sizeof(TileIQ2_XXS);
    default: assert(!"can_pack was not asked"); return 0;
  }
}

void pack_tile(TensorType type, const std::byte* matrix, size_t row_bytes, int64_t n_cols, int64_t row0, int n_rows,
               std::byte* tile) {
  if (is_expanded(type)) {
    const size_t n_bytes = static_cast<size_t>(n_rows) * row_bytes;
    std::memcpy(tile, matrix + static_cast<size_t>(row0) * row_bytes, n_bytes);
    std::memset(tile + n_bytes, 0, kTileRows * row_bytes - n_bytes);
    return;
  }
  switch (type) {
    case TensorType::kF32: return pack_dense<uint32_t>(matrix, row_bytes, n_cols, row0, n_rows, tile);
    case TensorType::kF16: return pack_dense<uint16_t>(matrix, row_bytes, n_cols, row0, n_rows, tile);
    case TensorType::kQ2_K: return pack_superblocks<BlockQ2_K, TileQ2_K>(matrix, row_bytes, n_cols, row0, n_rows, tile);
    case TensorType::kQ4_K: return pack_superblocks<BlockQ4_K, TileQ4_K>(matrix, row_bytes, n_cols, row0, n_rows, tile);
    case TensorType::kQ5_K: return pack_superblocks<BlockQ5_K, TileQ5_K>(matrix, row_bytes, n_cols, row0, n_rows, tile);
    case TensorType::kIQ2_XXS:
      return pack_superblocks<BlockIQ2_XXS, TileIQ2_XXS>(matrix, row_bytes, n_cols, row0, n_rows, tile);
    default: assert(!"can_pack was not asked");
  }
}

void expand_tile(TensorType type, const std::byte* tile, int64_t n_cols, float* out) {
  constexpr int64_t kChunk = 256;  // a whole number of blocks of every type
  const size_t row_bytes = file_row_bytes(type, n_cols);
  const size_t chunk_bytes = file_row_bytes(type, kChunk);
  float values[kChunk];
  for (int64_t col = 0; col < n_cols; col += kChunk) {
    const int64_t n = std::min(kChunk, n_cols - col);
    for (int row = 0; row < kTileRows; ++row) {
      dequantize(type, tile + static_cast<size_t>(row) * row_bytes + static_cast<size_t>(col / kChunk) * chunk_bytes,
                 values, n);
      for (int64_t i = 0; i < n; ++i) out[(col + i) * kTileRows + row] = values[i];
    }
  }
}

}  // namespace outpost
