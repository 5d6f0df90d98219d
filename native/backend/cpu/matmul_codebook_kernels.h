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

/// Patterns of four 3-bit codes, one per nibble.
template <size_t kPatterns>
constexpr std::array<uint16_t, kPatterns> iq3_nibbles(const uint16_t (&grid)[kPatterns]) {
  std::array<uint16_t, kPatterns> patterns{};
  for (size_t i = 0; i < kPatterns; ++i) {
    const int codes = grid[i];
    patterns[i] =
        static_cast<uint16_t>((codes & 7) | (codes >> 3 & 7) << 4 | (codes >> 6 & 7) << 8 | (codes >> 9) << 12);
  }
  return patterns;
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
  static constexpr int kGroups = 8, kMaxCode = kCodebookOffset + 43, kOffset = kCodebookOffset;
  U8PairTable<1> patterns{kIq2XxsGrid};
  Iq2Magnitudes magnitudes;

  static const int8_t* input(const ActivationBlock& x) { return x.q_by_position; }
  static int32_t sum(const ActivationBlock& x, int group) { return x.sum32[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatIQ2_XXS>& out) const {
    const Tile::Group& codes = tile.groups[group];
    U8x64 first, second;
    patterns.look_up(codes.indices, nullptr, first, second);
    magnitudes.expand(first, codes.signs, out.w);
    magnitudes.expand(second, codes.signs + 4, out.w + 4);
    out.scale[0] = odd_scale(tile.scales[group / 2], group % 2);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d) * f32_set1(0.125f)}; }
};

/// As IQ2_XXS, with a scale for 16 columns.
template <int kHighBits, const auto& kGrid>
struct FormatIQ2 {
  using Tile = TileIQ2<kHighBits>;
  static constexpr int kGroups = 8, kScales = 2, kMaxCode = kCodebookOffset + 43, kOffset = kCodebookOffset;
  U8PairTable<1 << kHighBits> patterns{kGrid};
  Iq2Magnitudes magnitudes;

  static const int8_t* input(const ActivationBlock& x) { return x.q_by_pair; }
  static int32_t sum(const ActivationBlock& x, int sub) { return x.sum16[sub]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatIQ2>& out) const {
    const typename Tile::Group& codes = tile.groups[group];
    U8x64 a, b;
    patterns.look_up(codes.indices, codes.high, a, b);
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
  static constexpr int kGroups = 8, kMaxCode = kCodebookOffset + 62, kOffset = kCodebookOffset;
  static constexpr auto kNibbles = iq3_nibbles(kGrid);
  U8PairTable<1 << kHighBits> patterns{kNibbles.data()};
  U8Table16 magnitudes = table_of_magnitudes();

  static U8Table16 table_of_magnitudes() {
    int8_t values[16] = {};
    for (int i = 0; i < 8; ++i) values[i] = static_cast<int8_t>(kMagnitudes[i]);
    return {values, kCodebookOffset};
  }

  static const int8_t* input(const ActivationBlock& x) { return x.q_by_position; }
  static int32_t sum(const ActivationBlock& x, int group) { return x.sum32[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatIQ3>& out) const {
    const typename Tile::Group& codes = tile.groups[group];
    for (int half = 0; half < 2; ++half) {
      const uint64_t* high = nullptr;
      if constexpr (kHighBits > 0) high = &codes.high[half];
      U8x64 pairs[2];
      patterns.look_up(codes.indices[half], high, pairs[0], pairs[1]);
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
