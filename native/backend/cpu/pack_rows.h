// Sixteen rows packed at once, for the types that most files have: a word of four bytes, which lie side by side in a
// file and in a tile, of each row. Loops over the rows become vector instructions, which packing row by row does not.
// See packed_tiles.h for the tiles.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backend/cpu/packed_tiles.h"
#include "kernels/common/block_layouts.h"

namespace outpost {

inline uint32_t load_word(const void* p) {
  uint32_t word;
  std::memcpy(&word, p, 4);
  return word;
}

/// A word of each row.
using Words = std::array<uint32_t, kTileRows>;

template <typename Operation>
Words each_row(const Operation& operation) {
  Words words;
  for (size_t row = 0; row < kTileRows; ++row) words[row] = operation(row);
  return words;
}

/// n words of each row, one after another from field(block) on.
template <size_t n, typename Block, typename Field>
std::array<Words, n> words_of(const Block (&blocks)[kTileRows], const Field& field) {
  std::array<Words, n> words;
  for (size_t i = 0; i < n; ++i) words[i] = each_row([&](size_t row) { return load_word(field(blocks[row]) + 4 * i); });
  return words;
}

/// The bytes of the rows side by side; @param out [64]
inline void store_words(uint8_t* out, const Words& words) { std::memcpy(out, words.data(), sizeof(Words)); }

/// @param out [4][kTileRows] byte i of each row, `lowered_by` less, to out[i]
template <typename Byte>
void store_bytes(Byte (*out)[kTileRows], const Words& words, int lowered_by = 0) {
  for (int i = 0; i < 4; ++i) {
    for (size_t row = 0; row < kTileRows; ++row)
      out[i][row] = static_cast<Byte>(static_cast<int>(words[row] >> (8 * i) & 255) - lowered_by);
  }
}

/// Bit `bit` of the rows' bytes: bit 4*row + i is of byte i.
inline uint64_t mask_of(const Words& words, int bit) {
  uint64_t mask = 0;
#ifdef __SSE2__
  for (size_t i = 0; i < kTileRows; i += 4) {
    const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(&words[i]));
    const int bits = _mm_movemask_epi8(_mm_sll_epi16(four, _mm_cvtsi32_si128(7 - bit)));
    mask |= static_cast<uint64_t>(bits) << (4 * i);
  }
#else
  for (size_t i = 0; i < kTileRows / 2; ++i) {
    const uint64_t bytes = words[2 * i] | uint64_t{words[2 * i + 1]} << 32;
    // The product brings bits 0, 8 … 56 to 56 to 63.
    mask |= ((bytes >> bit & 0x0101010101010101u) * 0x0102040810204080u >> 56) << (8 * i);
  }
#endif
  return mask;
}

/// The 2-bit codes of 16 sub-blocks of Q2_K, Q3_K and TQ2_0, four in each byte.
template <typename Block>
void pack_quarters(const Block (&blocks)[kTileRows], uint8_t (&codes)[16][64]) {
  const auto qs = words_of<16>(blocks, [](const Block& block) { return block.qs; });
  for (size_t sub = 0; sub < 16; ++sub) {
    const Words* chunks = &qs[8 * (sub / 8) + 4 * (sub % 2)];
    const int shift = 2 * static_cast<int>(sub % 8 / 2);
    store_words(codes[sub], each_row([&](size_t row) {
                  uint32_t quarters = 0;
                  for (int c = 0; c < 4; ++c) quarters |= (chunks[c][row] >> shift & 0x03030303u) << (2 * c);
                  return quarters;
                }));
  }
}

inline void pack_rows(const BlockQ2_K (&blocks)[kTileRows], TileQ2_K& tile) {
  pack_quarters(blocks, tile.codes);
  const auto scales = words_of<4>(blocks, [](const BlockQ2_K& block) { return block.scales; });
  for (size_t pair = 0; pair < 8; ++pair) {
    for (size_t row = 0; row < kTileRows; ++row) {
      const uint32_t two = scales[pair / 2][row] >> (16 * (pair % 2));
      tile.scales[pair][row] = static_cast<uint8_t>((two & 0x0F) | (two >> 4 & 0xF0));
      tile.mins[pair][row] = static_cast<uint8_t>((two >> 4 & 0x0F) | (two >> 8 & 0xF0));
    }
  }
  for (int row = 0; row < kTileRows; ++row) {
    tile.d[row] = blocks[row].d;
    tile.dmin[row] = blocks[row].dmin;
  }
}

inline void pack_rows(const BlockTQ2_0 (&blocks)[kTileRows], TileTernary& tile) {
  pack_quarters(blocks, tile.codes);
  for (int row = 0; row < kTileRows; ++row) tile.d[row] = blocks[row].d;
}

inline void pack_rows(const BlockQ3_K (&blocks)[kTileRows], TileQ3_K& tile) {
  pack_quarters(blocks, tile.codes);
  const auto high = words_of<8>(blocks, [](const BlockQ3_K& block) { return block.hmask; });
  for (size_t sub = 0; sub < 16; ++sub) {
    for (size_t c = 0; c < 4; ++c) tile.high[sub][c] = mask_of(high[4 * (sub % 2) + c], static_cast<int>(sub / 2));
  }
  const auto scales = words_of<3>(blocks, [](const BlockQ3_K& block) { return block.scales; });
  for (size_t i = 0; i < 4; ++i) {  // see k3_scale
    const Words four = each_row([&](size_t row) {
      return (scales[i % 2][row] >> (4 * (i / 2)) & 0x0F0F0F0Fu) | (scales[2][row] >> (2 * i) & 0x03030303u) << 4;
    });
    store_bytes(tile.scales + 4 * i, four, 32);
  }
  for (int row = 0; row < kTileRows; ++row) tile.d[row] = blocks[row].d;
}

/// Scales and mins of Q4_K and Q5_K, see k4_scale_min.
template <typename Block, typename Tile>
void pack_k4_scales(const Block (&blocks)[kTileRows], Tile& tile) {
  const auto words = words_of<3>(blocks, [](const Block& block) { return block.scales; });
  uint8_t mins[8][kTileRows];
  store_bytes(tile.scales, each_row([&](size_t row) { return words[0][row] & 0x3F3F3F3Fu; }));
  store_bytes(mins, each_row([&](size_t row) { return words[1][row] & 0x3F3F3F3Fu; }));
  const auto upper = [&](size_t i, size_t row) { return (words[i][row] >> 6 & 0x03030303u) << 4; };
  store_bytes(tile.scales + 4, each_row([&](size_t row) { return (words[2][row] & 0x0F0F0F0Fu) | upper(0, row); }));
  store_bytes(mins + 4, each_row([&](size_t row) { return (words[2][row] >> 4 & 0x0F0F0F0Fu) | upper(1, row); }));
  for (int group = 0; group < 8; ++group) {
    for (int row = 0; row < kTileRows; ++row) tile.mins[group / 2][2 * row + group % 2] = mins[group][row];
  }
}

template <typename Block, typename Tile>
void pack_k4_rows(const Block (&blocks)[kTileRows], Tile& tile) {
  const auto qs = words_of<32>(blocks, [](const Block& block) { return block.qs; });
  for (size_t group = 0; group < 8; ++group) {
    const Words* words = &qs[8 * (group / 2)];
    const int shift = 4 * static_cast<int>(group % 2);
    for (size_t v = 0; v < 4; ++v) {
      store_words(tile.codes[group][v], each_row([&](size_t row) {
                    const uint32_t first = words[v][row] >> shift & 0x0F0F0F0Fu;
                    return first | (words[4 + v][row] >> shift & 0x0F0F0F0Fu) << 4;
                  }));
    }
  }
  if constexpr (requires { tile.high; }) {
    const auto high = words_of<8>(blocks, [](const Block& block) { return block.qh; });
    for (int group = 0; group < 8; ++group) {
      for (size_t c = 0; c < 8; ++c) tile.high[group][c] = mask_of(high[c], group);
    }
  }
  pack_k4_scales(blocks, tile);
  for (int row = 0; row < kTileRows; ++row) {
    tile.d[row] = blocks[row].d;
    tile.dmin[row] = blocks[row].dmin;
  }
}
inline void pack_rows(const BlockQ4_K (&blocks)[kTileRows], TileQ4_K& tile) { pack_k4_rows(blocks, tile); }
inline void pack_rows(const BlockQ5_K (&blocks)[kTileRows], TileQ5_K& tile) { pack_k4_rows(blocks, tile); }

inline void pack_rows(const BlockQ6_K (&blocks)[kTileRows], TileQ6_K& tile) {
  for (size_t part = 0; part < 4; ++part) {  // sub-blocks of 16 columns that have their high bits in the same bytes
    const size_t half = part / 2, at = 16 * (part % 2);
    const auto high = words_of<4>(blocks, [&](const BlockQ6_K& block) { return block.qh + 32 * half + at; });
    for (size_t pair = 0; pair < 2; ++pair) {  // in the low and the high nibbles of the same bytes
      const auto low =
          words_of<4>(blocks, [&](const BlockQ6_K& block) { return block.ql + 64 * half + 32 * pair + at; });
      for (size_t nibble = 0; nibble < 2; ++nibble) {
        const size_t sub = 8 * half + part % 2 + 2 * pair + 4 * nibble;
        const size_t low_shift = 4 * nibble, high_shift = 2 * pair + 4 * nibble;
        for (size_t v = 0; v < 2; ++v) {
          store_words(tile.low[sub][v], each_row([&](size_t row) {
                        const uint32_t first = low[v][row] >> low_shift & 0x0F0F0F0Fu;
                        return first | (low[2 + v][row] >> low_shift & 0x0F0F0F0Fu) << 4;
                      }));
        }
        store_words(tile.high[sub], each_row([&](size_t row) {
                      uint32_t codes = 0;
                      for (size_t c = 0; c < 4; ++c) codes |= (high[c][row] >> high_shift & 0x03030303u) << (2 * c);
                      return codes;
                    }));
      }
    }
  }
  for (int row = 0; row < kTileRows; ++row) {
    for (int sub = 0; sub < 16; ++sub) tile.scales[sub][row] = blocks[row].scales[sub];
    tile.d[row] = blocks[row].d;
  }
}

}  // namespace outpost
