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

  /// Four elements of each byte's codes. Their signs are the bits of `signs` from kFirst on.
  template <int kFirst>
  void expand(U8x64 codes, U8x64 signs, U8x64* w) const {
    const U8x64 low = u8_and(codes, 15), high = u8_shift_and<4>(codes, 15);
    w[0] = u8_mirror_where<kFirst>(table[0].look_up(low), signs);
    w[1] = u8_mirror_where<kFirst + 1>(table[1].look_up(low), signs);
    w[2] = u8_mirror_where<kFirst + 2>(table[0].look_up(high), signs);
    w[3] = u8_mirror_where<kFirst + 3>(table[1].look_up(high), signs);
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
  static constexpr int kGroups = 8, kMaxMagnitude = 43, kMaxCode = kCodebookOffset + kMaxMagnitude,
                       kOffset = kCodebookOffset;
  static constexpr int kLeastScaled = -31 * kMaxMagnitude, kMostScaled = 31 * kMaxMagnitude;
  static constexpr int kLookUps = 1;
  using Table = U8PairTable<1>;
  Table patterns{kIq2XxsGrid};
  Iq2Magnitudes magnitudes;

  static const int8_t* input(const ActivationBlock& x) { return x.q_by_position; }
  static const int16_t* starts(const ActivationBlock& x) { return x.starts_by_position; }
  static int32_t sum(const ActivationBlock& x, int group) { return x.sum32[group]; }

  void find(const Tile& tile, int group, Table::Found (&found)[1]) const {
    patterns.find(tile.groups[group].indices, nullptr, found[0]);
  }
  void expand(const Tile& tile, int group, const Table::Found (&found)[1], ExpandedGroup<FormatIQ2_XXS>& out) const {
    const Tile::Group& codes = tile.groups[group];
    const U8x64 signs = u8_load(codes.signs);
    U8x64 first, second;
    patterns.get(found[0], first, second);
    magnitudes.template expand<0>(first, signs, out.w);
    magnitudes.template expand<4>(second, signs, out.w + 4);
    out.scale[0] = odd_scale(tile.scales[group / 2], group % 2);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d) * f32_set1(0.125f)}; }
};

/// As IQ2_XXS, with a scale for 16 columns.
template <int kHighBits, const auto& kGrid>
struct FormatIQ2 {
  using Tile = TileIQ2<kHighBits>;
  static constexpr int kGroups = 8, kScales = 2, kMaxMagnitude = 43, kMaxCode = kCodebookOffset + kMaxMagnitude,
                       kOffset = kCodebookOffset;
  static constexpr int kLeastScaled = -31 * kMaxMagnitude, kMostScaled = 31 * kMaxMagnitude;
  static constexpr int kLookUps = 1;
  using Table = U8PairTable<1 << kHighBits>;
  Table patterns{kGrid};
  Iq2Magnitudes magnitudes;

  static const int8_t* input(const ActivationBlock& x) { return x.q_by_pair; }
  static const int16_t* starts(const ActivationBlock& x) { return x.starts_by_pair; }
  static int32_t sum(const ActivationBlock& x, int sub) { return x.sum16[sub]; }

  void find(const Tile& tile, int group, typename Table::Found (&found)[1]) const {
    patterns.find(tile.groups[group].indices, tile.groups[group].high, found[0]);
  }
  void expand(const Tile& tile, int group, const typename Table::Found (&found)[1],
              ExpandedGroup<FormatIQ2>& out) const {
    const typename Tile::Group& codes = tile.groups[group];
    U8x64 a, b;
    patterns.get(found[0], a, b);
    const U8x64 signs = u8_load(codes.signs);
    magnitudes.template expand<0>(u8_even_pairs(a, b), signs, out.w);
    magnitudes.template expand<4>(u8_odd_pairs(a, b), signs, out.w + 4);
    for (int half = 0; half < 2; ++half) out.scale[half] = odd_scale(tile.scales[group], half);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d) * f32_set1(0.125f)}; }
};

/// IQ3_XXS: x = d * (2s + 1) / 4 * magnitude * sign; IQ3_S: without the 4. |S| <= 8 * 31 * 32 * 62 * 127 < 2^26
template <int kHighBits, const auto& kGrid, const auto& kMagnitudes>
struct FormatIQ3 {
  using Tile = TileIQ3<kHighBits>;
  static constexpr int kGroups = 8, kMaxMagnitude = 62, kMaxCode = kCodebookOffset + kMaxMagnitude,
                       kOffset = kCodebookOffset;
  static constexpr int kLeastScaled = -31 * kMaxMagnitude, kMostScaled = 31 * kMaxMagnitude;
  static constexpr auto kNibbles = iq3_nibbles(kGrid);
  static constexpr int kLookUps = 2;
  using Table = U8PairTable<1 << kHighBits>;
  Table patterns{kNibbles.data()};
  U8Table16 magnitudes = table_of_magnitudes();

  static U8Table16 table_of_magnitudes() {
    int8_t values[16] = {};
    for (int i = 0; i < 8; ++i) values[i] = static_cast<int8_t>(kMagnitudes[i]);
    return {values, kCodebookOffset};
  }

  static const int8_t* input(const ActivationBlock& x) { return x.q_by_position; }
  static const int16_t* starts(const ActivationBlock& x) { return x.starts_by_position; }
  static int32_t sum(const ActivationBlock& x, int group) { return x.sum32[group]; }

  void find(const Tile& tile, int group, typename Table::Found (&found)[2]) const {
    const typename Tile::Group& codes = tile.groups[group];
    for (int half = 0; half < 2; ++half) {
      const uint64_t* high = nullptr;
      if constexpr (kHighBits > 0) high = &codes.high[half];
      patterns.find(codes.indices[half], high, found[half]);
    }
  }
  void expand(const Tile& tile, int group, const typename Table::Found (&found)[2],
              ExpandedGroup<FormatIQ3>& out) const {
    const U8x64 signs = u8_load(tile.groups[group].signs);
    expand_half<0>(found[0], signs, out.w);
    expand_half<1>(found[1], signs, out.w);
    out.scale[0] = odd_scale(tile.scales[group / 2], group % 2);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d) * f32_set1(kHighBits == 0 ? 0.25f : 1.0f)}; }

 private:
  template <int kHalf>
  void expand_half(const typename Table::Found& found, U8x64 signs, U8x64* w) const {
    U8x64 pairs[2];
    patterns.get(found, pairs[0], pairs[1]);
    const auto element = [&]<int kBit>(U8x64 code) { return u8_mirror_where<kBit>(magnitudes.look_up(code), signs); };
    w[4 * kHalf] = element.template operator()<4 * kHalf>(u8_and(pairs[0], 15));
    w[4 * kHalf + 1] = element.template operator()<4 * kHalf + 1>(u8_shift_and<4>(pairs[0], 15));
    w[4 * kHalf + 2] = element.template operator()<4 * kHalf + 2>(u8_and(pairs[1], 15));
    w[4 * kHalf + 3] = element.template operator()<4 * kHalf + 3>(u8_shift_and<4>(pairs[1], 15));
  }
};

}  // namespace
}  // namespace outpost

#ifdef OUTPOST_NARROW_SUMS
#include "backend/cpu/matmul_codebook_rows.h"
#endif

namespace outpost {
namespace {

/// The tables of a codebook are set up once.
template <typename Format>
void matmul_codebook(const MatmulArgs& args) {
  static const Format format;
  matmul(format, args);
}

template <typename Format, const auto& kGrid>
void matmul_iq2(const MatmulArgs& args) {
#ifdef OUTPOST_NARROW_SUMS
  if (args.n_tokens <= kMaxRowTokens) return matmul_rows<Format, Iq2Rows<Format, kGrid>>(args);
#endif
  matmul_codebook<Format>(args);
}

template <int kHighBits, const auto& kGrid, const auto& kMagnitudes>
void matmul_iq3(const MatmulArgs& args) {
  using Format = FormatIQ3<kHighBits, kGrid, kMagnitudes>;
#ifdef OUTPOST_NARROW_SUMS
  if (args.n_tokens <= kMaxRowTokens) return matmul_rows<Format, Iq3Rows<Format, kGrid, kMagnitudes>>(args);
#endif
  matmul_codebook<Format>(args);
}

inline void matmul_iq2_xxs(const MatmulArgs& args) { matmul_iq2<FormatIQ2_XXS, kIq2XxsGrid>(args); }
inline void matmul_iq2_xs(const MatmulArgs& args) { matmul_iq2<FormatIQ2<1, kIq2XsGrid>, kIq2XsGrid>(args); }
inline void matmul_iq2_s(const MatmulArgs& args) { matmul_iq2<FormatIQ2<2, kIq2SGrid>, kIq2SGrid>(args); }
inline void matmul_iq3_xxs(const MatmulArgs& args) { matmul_iq3<0, kIq3XxsGrid, kIq3XxsMagnitudes>(args); }
inline void matmul_iq3_s(const MatmulArgs& args) { matmul_iq3<1, kIq3SGrid, kIq3SMagnitudes>(args); }

}  // namespace
}  // namespace outpost
