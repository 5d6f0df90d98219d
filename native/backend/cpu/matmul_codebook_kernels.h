// Matrix product kernels for the formats whose codes name patterns of a codebook: IQ2 and IQ3.
// Included after matmul_kernels.h; internal to one kernels_*.cpp.
//
// Codes become 64 + signed magnitude, to be unsigned; 64 * sum(q) is taken off where a sum begins.
#pragma once

#include <array>

#include "backend/cpu/matmul_kernels.h"
#include "kernels/common/iq2_grids.h"
#include "kernels/common/iq2_xxs_grid.h"
#include "kernels/common/iq3_grids.h"

namespace outpost {
namespace {

inline constexpr int kCodebookOffset = 64;

/// Byte `half` of each pattern of eight 2-bit codes.
template <size_t kPatterns>
constexpr std::array<uint8_t, kPatterns> iq2_halves(const uint16_t (&grid)[kPatterns], int half) {
  std::array<uint8_t, kPatterns> bytes{};
  for (size_t i = 0; i < kPatterns; ++i) bytes[i] = static_cast<uint8_t>(grid[i] >> (8 * half));
  return bytes;
}

/// Codes 2 * half and 2 * half + 1 of each pattern of four 3-bit codes, one per nibble.
template <size_t kPatterns>
constexpr std::array<uint8_t, kPatterns> iq3_halves(const uint16_t (&grid)[kPatterns], int half) {
  std::array<uint8_t, kPatterns> bytes{};
  for (size_t i = 0; i < kPatterns; ++i) {
    const int codes = grid[i] >> (6 * half);
    bytes[i] = static_cast<uint8_t>((codes & 7) | (codes >> 3 & 7) << 4);
  }
  return bytes;
}

/// What a nibble of two 2-bit codes means, by its first or its second code.
struct Iq2Magnitudes {
  U8Table16 table[2] = {of_code(0), of_code(1)};

  static U8Table16 of_code(int which) {
    int8_t values[16] = {};
    for (int nibble = 0; nibble < 16; ++nibble) {
      const int code = nibble >> (2 * which) & 3;
      if (code < 3) values[nibble] = static_cast<int8_t>(kIq2Magnitudes[code]);
    }
    return {values, kCodebookOffset};
  }

  /// Four elements of each byte's codes.
  void expand(U8x64 codes, const uint64_t* signs, U8x64* w) const {
    const U8x64 low = u8_and(codes, 15), high = u8_shift_and<4>(codes, 15);
    w[0] = u8_mirror_masked(table[0].look_up(low), signs[0]);
    w[1] = u8_mirror_masked(table[1].look_up(low), signs[1]);
    w[2] = u8_mirror_masked(table[0].look_up(high), signs[2]);
    w[3] = u8_mirror_masked(table[1].look_up(high), signs[3]);
  }
};

/// 2s + 1 for one of two nibbles
inline I32x16 odd_scale(const uint8_t* nibbles, int which) {
  const I32x16 both = i32_load_u8(nibbles);
  const I32x16 s = which == 0 ? i32_and(both, 15) : i32_shift_right<4>(both);
  return i32_shift_left<1>(s) + i32_set1(1);
}

/// x = d * (2s + 1) / 8 * magnitude * sign. |S| <= 8 * 31 * 32 * 43 * 127 < 2^26
struct FormatIQ2_XXS {
  using Tile = TileIQ2_XXS;
  static constexpr int kGroups = 8;
  static constexpr auto kFirst = iq2_halves(kIq2XxsGrid, 0), kSecond = iq2_halves(kIq2XxsGrid, 1);
  U8Table256<1> first{kFirst.data()}, second{kSecond.data()};
  Iq2Magnitudes magnitudes;

  static const int8_t* input(const ActivationBlock& x) { return x.q_by_position; }
  static int32_t start(const ActivationBlock& x, int group) { return -kCodebookOffset * x.sum32[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatIQ2_XXS>& out) const {
    const Tile::Group& codes = tile.groups[group];
    const U8x64 index = u8_load(codes.indices);
    magnitudes.expand(first.look_up(index, nullptr), codes.signs, out.w);
    magnitudes.expand(second.look_up(index, nullptr), codes.signs + 4, out.w + 4);
    out.scale[0] = odd_scale(tile.scales[group / 2], group % 2);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d) * f32_set1(0.125f)}; }
};

/// As IQ2_XXS, with a scale for 16 columns.
template <int kHighBits, const auto& kGrid>
struct FormatIQ2 {
  using Tile = TileIQ2<kHighBits>;
  static constexpr int kGroups = 8, kScales = 2;
  static constexpr auto kFirst = iq2_halves(kGrid, 0), kSecond = iq2_halves(kGrid, 1);
  U8Table256<1 << kHighBits> first{kFirst.data()}, second{kSecond.data()};
  Iq2Magnitudes magnitudes;

  static const int8_t* input(const ActivationBlock& x) { return x.q_by_pair; }
  static int32_t start(const ActivationBlock& x, int sub) { return -kCodebookOffset * x.sum16[sub]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatIQ2>& out) const {
    const typename Tile::Group& codes = tile.groups[group];
    const U8x64 index = u8_load(codes.indices);
    const U8x64 a = first.look_up(index, codes.high), b = second.look_up(index, codes.high);
    magnitudes.expand(u8_even_pairs(a, b), codes.signs, out.w);
    magnitudes.expand(u8_odd_pairs(a, b), codes.signs + 4, out.w + 4);
    for (int half = 0; half < 2; ++half) out.scale[half] = odd_scale(tile.scales[group], half);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d) * f32_set1(0.125f)}; }
};

/// IQ3_XXS: x = d * (2s + 1) / 4 * magnitude * sign; IQ3_S: without the 4. |S| <= 8 * 31 * 32 * 62 * 127 < 2^26
template <int kHighBits, const auto& kGrid, const auto& kMagnitudes>
struct FormatIQ3 {
  using Tile = TileIQ3<kHighBits>;
  static constexpr int kGroups = 8;
  static constexpr auto kFirst = iq3_halves(kGrid, 0), kSecond = iq3_halves(kGrid, 1);
  U8Table256<1 << kHighBits> first{kFirst.data()}, second{kSecond.data()};
  U8Table16 magnitudes = table_of_magnitudes();

  static U8Table16 table_of_magnitudes() {
    int8_t values[16] = {};
    for (int i = 0; i < 8; ++i) values[i] = static_cast<int8_t>(kMagnitudes[i]);
    return {values, kCodebookOffset};
  }

  static const int8_t* input(const ActivationBlock& x) { return x.q_by_position; }
  static int32_t start(const ActivationBlock& x, int group) { return -kCodebookOffset * x.sum32[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatIQ3>& out) const {
    const typename Tile::Group& codes = tile.groups[group];
    for (int half = 0; half < 2; ++half) {
      const U8x64 index = u8_load(codes.indices[half]);
      const uint64_t* high = nullptr;
      if constexpr (kHighBits > 0) high = &codes.high[half];
      const U8x64 pairs[2] = {first.look_up(index, high), second.look_up(index, high)};
      for (int p = 0; p < 4; ++p) {
        const U8x64 code = p % 2 == 0 ? u8_and(pairs[p / 2], 15) : u8_shift_and<4>(pairs[p / 2], 15);
        out.w[4 * half + p] = u8_mirror_masked(magnitudes.look_up(code), codes.signs[4 * half + p]);
      }
    }
    out.scale[0] = odd_scale(tile.scales[group / 2], group % 2);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d) * f32_set1(kHighBits == 0 ? 0.25f : 1.0f)}; }
};

/// The tables of a codebook are set up once.
template <typename Format>
void matmul_codebook(const MatmulArgs& args) {
  static const Format format;
  matmul(format, args);
}

void matmul_iq2_xxs(const MatmulArgs& args) { matmul_codebook<FormatIQ2_XXS>(args); }
void matmul_iq2_xs(const MatmulArgs& args) { matmul_codebook<FormatIQ2<1, kIq2XsGrid>>(args); }
void matmul_iq2_s(const MatmulArgs& args) { matmul_codebook<FormatIQ2<2, kIq2SGrid>>(args); }
void matmul_iq3_xxs(const MatmulArgs& args) { matmul_codebook<FormatIQ3<0, kIq3XxsGrid, kIq3XxsMagnitudes>>(args); }
void matmul_iq3_s(const MatmulArgs& args) { matmul_codebook<FormatIQ3<1, kIq3SGrid, kIq3SMagnitudes>>(args); }

}  // namespace
}  // namespace outpost
