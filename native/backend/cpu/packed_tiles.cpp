#include "backend/cpu/packed_tiles.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <new>

#include "backend/cpu/pack_rows.h"
#include "core/half.h"
#include "kernels/common/block_layouts.h"
#include "kernels/common/iq2_xxs_grid.h"
#include "quant/dequantize.h"

namespace outpost {
namespace {

void store_word(uint8_t* p, uint32_t word) { std::memcpy(p, &word, 4); }

void pack_row(const BlockTQ1_0& block, int row, TileTernary& tile) {
  BlockTQ1_0 digits = block;
  digits.d = float_to_half(1.0f);
  float values[kSuperblock];  // -1, 0 and 1
  dequantize(TensorType::kTQ1_0, reinterpret_cast<const std::byte*>(&digits), values, kSuperblock);
  for (int i = 0; i < kSuperblock; ++i) {
    const auto code = static_cast<unsigned>(values[i] + 1.0f);
    tile.codes[i / 16][4 * row + i % 4] |= static_cast<uint8_t>(code << (2 * (i % 16 / 4)));
  }
  tile.d[row] = block.d;
}

/// 32 nibbles of a file's block, elements l and 16 + l in byte l, as vectors of a tile.
void pack_nibbles(const uint8_t* bytes, int row, uint8_t (&codes)[4][64]) {
  for (int v = 0; v < 4; ++v) store_word(codes[v] + 4 * row, load_word(bytes + 4 * v));
}

void pack_row(const BlockIQ4_XS& block, int row, TileIQ4_XS& tile) {
  for (int group = 0; group < 8; ++group) {
    pack_nibbles(block.qs + 16 * group, row, tile.codes[group]);
    const int low = (block.scales_l[group / 2] >> (4 * (group % 2))) & 15;
    const int high = (block.scales_h >> (2 * group)) & 3;
    tile.scales[group][row] = static_cast<int8_t>((low | high << 4) - 32);
  }
  tile.d[row] = block.d;
}

/// The fifth bits of 32 elements, element i in bit i of the word, as masks of a tile's vectors.
void pack_fifth_bits(const uint8_t* bytes, int row, uint64_t (&high)[8]) {
  const uint32_t bits = load_word(bytes);
  for (int c = 0; c < 8; ++c) high[c] |= uint64_t{(bits >> (4 * c)) & 15} << (4 * row);
}

void pack_group(const BlockQ8_0& block, int group, int row, TileQ8_0& tile) {
  for (int c = 0; c < 8; ++c) {
    // Adding 128 to a byte is flipping its highest bit.
    store_word(tile.codes[group][c] + 4 * row, load_word(block.qs + 4 * c) ^ 0x80808080u);
  }
  tile.d[group][row] = block.d;
}

template <typename Block, typename Tile>
void pack_group(const Block& block, int group, int row, Tile& tile) {
  pack_nibbles(block.qs, row, tile.codes[group]);
  if constexpr (requires { tile.high; }) pack_fifth_bits(block.qh, row, tile.high[group]);
  if constexpr (requires { tile.m; }) tile.m[group][row] = block.m;
  if constexpr (requires { tile.exponents; }) {
    tile.exponents[group][row] = block.e;
  } else {
    tile.d[group][row] = block.d;
  }
}

/// Four runs of eight signs in 7 bits each, as a byte per run.
uint32_t spell_out_signs(uint32_t packed) {
  uint32_t signs = 0;
  for (int run = 0; run < 4; ++run) signs |= static_cast<uint32_t>(iq2_signs((packed >> (7 * run)) & 127)) << (8 * run);
  return signs;
}

/// The signs of 32 elements, a byte per run of eight, for vectors that hold 16 elements in the order of
/// ActivationBlock::q_by_pair: bit 4*half + p of byte i.
uint32_t signs_by_pair(uint32_t signs) {
  // Byte i of half h is about run 2*h + i % 2, and there about the four elements from 4*(i / 2) on.
  const uint32_t low = signs & 0x0F0F0F0Fu, high = signs >> 4 & 0x0F0F0F0Fu;
  const uint32_t first = (low & 0xFFFFu) | (high & 0xFFFFu) << 16, second = low >> 16 | (high & 0xFFFF0000u);
  return first | second << 4;
}

void pack_row(const BlockIQ2_XXS& block, int row, TileIQ2_XXS& tile) {
  for (int group = 0; group < 8; ++group) {
    const uint32_t signs_and_scale = load_word(&block.qs[4 * group + 2]);
    store_word(tile.groups[group].indices + 4 * row, load_word(&block.qs[4 * group]));
    store_word(tile.groups[group].signs + 4 * row, spell_out_signs(signs_and_scale));
    tile.scales[group / 2][row] |= static_cast<uint8_t>((signs_and_scale >> 28) << (4 * (group % 2)));
  }
  tile.d[row] = block.d;
}

void pack_row(const BlockIQ2_XS& block, int row, TileIQ2_XS& tile) {
  for (int group = 0; group < 8; ++group) {
    auto& out = tile.groups[group];
    uint32_t signs = 0;
    for (int run = 0; run < 4; ++run) {
      const uint16_t word = block.qs[4 * group + run];
      out.indices[4 * row + run] = static_cast<uint8_t>(word);
      out.high[0] |= uint64_t{word >> 8 & 1u} << (4 * row + run);
      signs |= static_cast<uint32_t>(iq2_signs(word >> 9)) << (8 * run);
    }
    store_word(out.signs + 4 * row, signs_by_pair(signs));
    tile.scales[group][row] = block.scales[group];
  }
  tile.d[row] = block.d;
}

void pack_row(const BlockIQ2_S& block, int row, TileIQ2_S& tile) {
  for (int group = 0; group < 8; ++group) {
    auto& out = tile.groups[group];
    store_word(out.indices + 4 * row, load_word(block.qs + 4 * group));
    for (int run = 0; run < 4; ++run) {
      const unsigned high = block.qh[group] >> (2 * run);
      for (int bit = 0; bit < 2; ++bit) out.high[bit] |= uint64_t{high >> bit & 1} << (4 * row + run);
    }
    store_word(out.signs + 4 * row, signs_by_pair(load_word(block.signs + 4 * group)));
    tile.scales[group][row] = block.scales[group];
  }
  tile.d[row] = block.d;
}

/// The pattern numbers of eight runs of four, those of the first and the second half of each run of eight apart.
template <typename Group>
void pack_half_runs(const uint8_t* qs, int row, Group& out) {
  for (int run = 0; run < 8; ++run) out.indices[run % 2][4 * row + run / 2] = qs[run];
}

void pack_row(const BlockIQ3_XXS& block, int row, TileIQ3_XXS& tile) {
  for (int group = 0; group < 8; ++group) {
    const uint32_t signs_and_scale = load_word(block.signs_and_scales + 4 * group);
    pack_half_runs(block.qs + 8 * group, row, tile.groups[group]);
    store_word(tile.groups[group].signs + 4 * row, spell_out_signs(signs_and_scale));
    tile.scales[group / 2][row] |= static_cast<uint8_t>((signs_and_scale >> 28) << (4 * (group % 2)));
  }
  tile.d[row] = block.d;
}

void pack_row(const BlockIQ3_S& block, int row, TileIQ3_S& tile) {
  for (int group = 0; group < 8; ++group) {
    auto& out = tile.groups[group];
    pack_half_runs(block.qs + 8 * group, row, out);
    for (int run = 0; run < 8; ++run) {
      out.high[run % 2] |= uint64_t{block.qh[group] >> run & 1u} << (4 * row + run / 2);
    }
    store_word(out.signs + 4 * row, load_word(block.signs + 4 * group));
  }
  for (int pair = 0; pair < 4; ++pair) tile.scales[pair][row] = block.scales[pair];
  tile.d[row] = block.d;
}

/// Rows of the file that are read side by side, a block of each in turn: too many streams of too few lines for the
/// processor to read ahead by itself, which waited for memory two thirds of the time. So each is asked for in time.
/// Past a row's end it asks in vain.
class RowReader {
 public:
  RowReader(const std::byte* matrix, size_t row_bytes, int64_t row0)
      : rows_(matrix + static_cast<size_t>(row0) * row_bytes), row_bytes_(row_bytes) {}

  /// Reads blocks [i, i + n) of a row.
  template <typename Block>
  void read(int row, int64_t i, int64_t n, Block* blocks) const {
    const std::byte* from = rows_ + static_cast<size_t>(row) * row_bytes_ + static_cast<size_t>(i) * sizeof(Block);
    const size_t n_bytes = static_cast<size_t>(n) * sizeof(Block);
    std::memcpy(blocks, from, n_bytes);
#ifdef __GNUC__
    for (size_t at = 0; at < n_bytes; at += 64) __builtin_prefetch(from + kReadsAhead * n_bytes + at);
#endif
  }

 private:
  static constexpr size_t kReadsAhead = 2;
  const std::byte* rows_;
  size_t row_bytes_;
};

/// An empty tile in its place: packing into one on the stack and copying it took as long again.
template <typename Tile>
Tile& new_tile(std::byte* out, int64_t i) {
  return *new (out + static_cast<size_t>(i) * sizeof(Tile)) Tile{};
}

/// Sixteen rows at once where pack_rows.h knows the type, which fills a tile whole; else one after another.
template <typename Block, typename Tile>
void pack_superblocks(const std::byte* matrix, size_t row_bytes, int64_t n_cols, int64_t row0, int n_rows,
                      std::byte* out) {
  const RowReader rows(matrix, row_bytes, row0);
  Block blocks[kTileRows] = {};  // those past the last row stay zero
  for (int64_t i = 0; i < n_cols / kSuperblock; ++i) {
    for (int row = 0; row < n_rows; ++row) rows.read(row, i, 1, &blocks[row]);
    if constexpr (requires(Tile & tile) { pack_rows(blocks, tile); }) {
      pack_rows(blocks, *new (out + static_cast<size_t>(i) * sizeof(Tile)) Tile);
    } else {
      Tile& tile = new_tile<Tile>(out, i);
      for (int row = 0; row < n_rows; ++row) pack_row(blocks[row], row, tile);
    }
  }
}

template <typename Block, typename Tile>
void pack_blocks(const std::byte* matrix, size_t row_bytes, int64_t n_cols, int64_t row0, int n_rows, std::byte* out) {
  const RowReader rows(matrix, row_bytes, row0);
  const int64_t n_blocks = n_cols / kSmallBlock;
  for (int64_t i = 0; i < n_blocks; i += 8) {
    Tile& tile = new_tile<Tile>(out, i / 8);
    const int n = static_cast<int>(std::min<int64_t>(8, n_blocks - i));
    for (int row = 0; row < n_rows; ++row) {
      Block blocks[8];
      rows.read(row, i, n, blocks);
      for (int group = 0; group < n; ++group) pack_group(blocks[group], group, row, tile);
    }
  }
}

/// Four columns of four rows, as a word of four columns per row, become a word of four rows per column.
void transpose_4x4(uint64_t (&words)[4]) {
  constexpr uint64_t kEven = 0x0000FFFF0000FFFF, kLow = 0x00000000FFFFFFFF;
  uint64_t pairs[4];
  for (int i = 0; i < 4; i += 2) {
    pairs[i] = (words[i] & kEven) | (words[i + 1] & kEven) << 16;
    pairs[i + 1] = (words[i] >> 16 & kEven) | (words[i + 1] & ~kEven);
  }
  for (int i = 0; i < 2; ++i) {
    words[i] = (pairs[i] & kLow) | pairs[i + 2] << 32;
    words[i + 2] = pairs[i] >> 32 | (pairs[i + 2] & ~kLow);
  }
}

/// f16 and bf16 in little-endian order, as GGUF and all processors we build for have them.
void pack_halfs(const std::byte* rows, size_t row_bytes, int64_t n_cols, std::byte* out) {
  static_assert(std::endian::native == std::endian::little);
  for (int64_t col = 0; col < n_cols; col += 4) {
    for (size_t row = 0; row < kTileRows; row += 4) {
      uint64_t words[4];
      for (size_t i = 0; i < 4; ++i)
        std::memcpy(&words[i], rows + (row + i) * row_bytes + static_cast<size_t>(col) * 2, 8);
      transpose_4x4(words);
      for (size_t i = 0; i < 4; ++i)
        std::memcpy(out + ((static_cast<size_t>(col) + i) * kTileRows + row) * 2, &words[i], 8);
    }
  }
}

template <typename T>
void pack_dense(const std::byte* matrix, size_t row_bytes, int64_t n_cols, int64_t row0, int n_rows, std::byte* out) {
  const std::byte* rows = matrix + static_cast<size_t>(row0) * row_bytes;
  int64_t first_col = 0;
  if (sizeof(T) == 2 && n_rows == kTileRows) {
    first_col = n_cols / 4 * 4;
    pack_halfs(rows, row_bytes, first_col, out);
  }
  if (n_rows < kTileRows) std::memset(out, 0, static_cast<size_t>(n_cols) * kTileRows * sizeof(T));
  // Column by column: row by row, every element would be written to a line of the cache that has gone since.
  for (int64_t col = first_col; col < n_cols; ++col) {
    for (int row = 0; row < n_rows; ++row) {
      std::memcpy(out + (static_cast<size_t>(col) * kTileRows + static_cast<size_t>(row)) * sizeof(T),
                  rows + static_cast<size_t>(row) * row_bytes + static_cast<size_t>(col) * sizeof(T), sizeof(T));
    }
  }
}

using PackTile = void (*)(const std::byte* matrix, size_t row_bytes, int64_t n_cols, int64_t row0, int n_rows,
                          std::byte* tile);

/// How a type with kernels of its own is laid out.
struct Layout {
  MatmulInputKind input;
  size_t superblock_bytes;  ///< of a tile per 256 columns
  PackTile pack;
};

template <typename Block, typename Tile>
constexpr Layout kSuperblockLayout = {MatmulInputKind::kSuperblocks, sizeof(Tile), pack_superblocks<Block, Tile>};
template <typename Block, typename Tile>
constexpr Layout kBlockLayout = {MatmulInputKind::kBlocks, sizeof(Tile), pack_blocks<Block, Tile>};

/// Null for a type without kernels.
const Layout* find_layout(TensorType type) {
  static constexpr Layout kDense32 = {MatmulInputKind::kF32, size_t{256} * kTileRows * 4, pack_dense<uint32_t>};
  static constexpr Layout kDense16 = {MatmulInputKind::kF32, size_t{256} * kTileRows * 2, pack_dense<uint16_t>};
  switch (type) {
    case TensorType::kF32: return &kDense32;
    case TensorType::kF16:
    case TensorType::kBF16: return &kDense16;
    case TensorType::kQ2_K: return &kSuperblockLayout<BlockQ2_K, TileQ2_K>;
    case TensorType::kQ3_K: return &kSuperblockLayout<BlockQ3_K, TileQ3_K>;
    case TensorType::kQ4_K: return &kSuperblockLayout<BlockQ4_K, TileQ4_K>;
    case TensorType::kQ5_K: return &kSuperblockLayout<BlockQ5_K, TileQ5_K>;
    case TensorType::kQ6_K: return &kSuperblockLayout<BlockQ6_K, TileQ6_K>;
    case TensorType::kIQ2_XXS: return &kSuperblockLayout<BlockIQ2_XXS, TileIQ2_XXS>;
    case TensorType::kIQ2_XS: return &kSuperblockLayout<BlockIQ2_XS, TileIQ2_XS>;
    case TensorType::kIQ2_S: return &kSuperblockLayout<BlockIQ2_S, TileIQ2_S>;
    case TensorType::kIQ3_XXS: return &kSuperblockLayout<BlockIQ3_XXS, TileIQ3_XXS>;
    case TensorType::kIQ3_S: return &kSuperblockLayout<BlockIQ3_S, TileIQ3_S>;
    case TensorType::kTQ1_0: return &kSuperblockLayout<BlockTQ1_0, TileTernary>;
    case TensorType::kTQ2_0: return &kSuperblockLayout<BlockTQ2_0, TileTernary>;
    case TensorType::kIQ4_XS: return &kSuperblockLayout<BlockIQ4_XS, TileIQ4_XS>;
    case TensorType::kQ4_0: return &kBlockLayout<BlockQ4_0, TileQ4_0>;
    case TensorType::kQ4_1: return &kBlockLayout<BlockQ4_1, TileQ4_1>;
    case TensorType::kQ5_0: return &kBlockLayout<BlockQ5_0, TileQ5_0>;
    case TensorType::kQ5_1: return &kBlockLayout<BlockQ5_1, TileQ5_1>;
    case TensorType::kQ8_0: return &kBlockLayout<BlockQ8_0, TileQ8_0>;
    case TensorType::kIQ4_NL: return &kBlockLayout<BlockIQ4_NL, TileQ4_0>;
    case TensorType::kMXFP4: return &kBlockLayout<BlockMXFP4, TileMXFP4>;
    default: return nullptr;
  }
}

size_t file_row_bytes(TensorType type, int64_t n_cols) {
  const TensorTypeTraits& traits = tensor_type_traits(type);
  return static_cast<size_t>(n_cols) / traits.block_elements * traits.block_bytes;
}

}  // namespace

bool is_expanded(TensorType type) { return can_dequantize(type) && find_layout(type) == nullptr; }

MatmulInputKind matmul_input_kind(TensorType type) {
  const Layout* layout = find_layout(type);
  return layout == nullptr ? MatmulInputKind::kF32 : layout->input;
}

bool can_pack(TensorType type) { return can_dequantize(type); }

size_t tile_bytes(TensorType type, int64_t n_cols) {
  const Layout* layout = find_layout(type);
  if (layout == nullptr) return kTileRows * file_row_bytes(type, n_cols);
  const auto n = static_cast<size_t>(n_cols);
  if (layout->input == MatmulInputKind::kF32) return layout->superblock_bytes / kSuperblock * n;
  return (n + kSuperblock - 1) / kSuperblock * layout->superblock_bytes;
}

void pack_tile(TensorType type, const std::byte* matrix, size_t row_bytes, int64_t n_cols, int64_t row0, int n_rows,
               std::byte* tile) {
  if (const Layout* layout = find_layout(type); layout != nullptr)
    return layout->pack(matrix, row_bytes, n_cols, row0, n_rows, tile);
  const size_t n_bytes = static_cast<size_t>(n_rows) * row_bytes;
  std::memcpy(tile, matrix + static_cast<size_t>(row0) * row_bytes, n_bytes);
  std::memset(tile + n_bytes, 0, kTileRows * row_bytes - n_bytes);
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
