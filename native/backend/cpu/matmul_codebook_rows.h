// Products of codebook formats with one to four tokens on processors that look up patterns one by one (AVX2 without
// AVX-512). Included by matmul_codebook_kernels.h where OUTPOST_NARROW_SUMS is set; internal to one kernels_*.cpp.
//
// The other kernels keep a row per lane, and would have to take every pattern apart again after finding it. With few
// tokens that is most of the work, so here a vector holds 32 columns of one row: four patterns as they come from a
// table of bytes. Sums within a superblock are of integers, so their order changes no bit of the result.
#pragma once

#include <immintrin.h>

#include <array>
#include <cstring>
#include <iterator>

#include "backend/cpu/matmul_kernels.h"

namespace outpost {
namespace {

inline constexpr int kMaxRowTokens = 4;

inline __m256i broadcast_32(const void* p) {
  int32_t word;
  std::memcpy(&word, p, 4);
  return _mm256_set1_epi32(word);
}

/// 0xFF for each of 32 columns that is negative.
/// @param signs four bytes @param byte_of, bit_of where each column's sign is in them
inline __m256i row_signs(const uint8_t* signs, __m256i byte_of, __m256i bit_of) {
  const __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(broadcast_32(signs), byte_of), bit_of);
  return _mm256_cmpeq_epi8(bits, bit_of);
}

/// The sums of the lanes of 16 vectors, in order.
inline I32x16 sums_of_lanes(const __m256i (&v)[16]) {
  const auto four = [&](int i) {
    const __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(v[i], v[i + 1]), _mm256_hadd_epi32(v[i + 2], v[i + 3]));
    return _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  };
  return {_mm256_set_m128i(four(4), four(0)), _mm256_set_m128i(four(12), four(8))};
}

/// The bytes of patterns of kElements magnitudes.
template <int kElements, size_t kPatterns, typename Magnitude>
std::array<std::array<uint8_t, kElements>, kPatterns> patterns_of(const Magnitude& magnitude) {
  std::array<std::array<uint8_t, kElements>, kPatterns> table;
  for (size_t i = 0; i < kPatterns; ++i) {
    for (int p = 0; p < kElements; ++p) table[i][static_cast<size_t>(p)] = magnitude(i, p);
  }
  return table;
}

/// Tiles one by one, for up to kTokens tokens. A format here gives for a tile, a group and a row
///   magnitudes(tile, Indices(tile), group, row), signs(tile, group, row)   of 32 columns
///   scale(tile, i)   the i-th scale of the superblock, per row
template <typename Format, typename Rows, int kTokens>
void matmul_rows(const Rows& rows, const MatmulArgs& args) {
  using Tile = typename Format::Tile;
  constexpr int kScales = scales_per_group<Format>();
  for (int i_tile = 0; i_tile < args.n_tiles; ++i_tile) {
    F32x16 acc[kTokens];
    for_tokens<kTokens>(kTokens, [&](int t) { acc[t] = f32_set1(0.0f); });
    for (int64_t superblock = 0; superblock < args.n_cols / 256; ++superblock) {
      const ActivationBlock* x = activations<ActivationBlock>(args, superblock);
      const Tile& tile = tile_of<Tile>(args, i_tile, superblock);
      const typename Rows::Indices indices(tile);
      alignas(32) int32_t scales[8 * kScales][kTileRows];  // each a pair of equal 16-bit numbers
      for (int i = 0; i < 8 * kScales; ++i) {
        const I16x32 pairs = i16_pairs(Rows::scale(tile, i));
        _mm256_store_si256(reinterpret_cast<__m256i*>(scales[i]), pairs.lo);
        _mm256_store_si256(reinterpret_cast<__m256i*>(scales[i] + 8), pairs.hi);
      }
      __m256i sums[kTokens][kTileRows];
      for (int row = 0; row < kTileRows; ++row) {
        if (row % 2 == 0) prefetch_ahead<8, kTokens>(tile, row / 2);
        __m256i sum[kTokens];
        for_tokens<kTokens>(kTokens, [&](int t) { sum[t] = _mm256_setzero_si256(); });
        unrolled<8>([&](auto group) OUTPOST_INLINE {
          const __m256i magnitudes = rows.magnitudes(tile, indices, group, row),
                        negative = Rows::signs(tile, group, row);
          __m256i scale = broadcast_32(&scales[kScales * group][row]);
          if constexpr (kScales == 2)
            scale = _mm256_blend_epi32(scale, broadcast_32(&scales[kScales * group + 1][row]), 0xF0);
          for_tokens<kTokens>(kTokens, [&](int t) OUTPOST_INLINE {
            // The sign goes to the activation, because one factor has to be unsigned.
            const __m256i q = _mm256_sub_epi8(_mm256_xor_si256(load256(x[t].q + 32 * group), negative), negative);
            sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(_mm256_maddubs_epi16(magnitudes, q), scale));
          });
        });
        for_tokens<kTokens>(kTokens, [&](int t) { sums[t][row] = sum[t]; });
      }
      const auto finish = Format::finish(tile);
      for_tokens<kTokens>(kTokens, [&](int t) { acc[t] = finish.add(x[t], sums_of_lanes(sums[t]), acc[t]); });
    }
    for (int t = 0; t < args.n_tokens; ++t) f32_store(args.y + t * args.y_stride + kTileRows * i_tile, acc[t]);
  }
}

/// Pattern numbers of a group, four of each row. Up to eight bits they are read where they lie in the tile.
template <size_t kPatterns>
struct JoinedIndices {
  /// Four numbers of kBits bits.
  template <typename Word, int kBits>
  struct OfRow {
    Word word;
    OUTPOST_INLINE size_t at(int run) const { return word >> (kBits * run) & ((1 << kBits) - 1); }
  };
  using Table = U8PairTable<static_cast<int>(kPatterns / 256)>;
  struct Nothing {};
  std::conditional_t<(kPatterns > 256), typename Table::Joined, Nothing> joined;

  void join(const uint8_t* low, const uint64_t* high) {
    if constexpr (kPatterns > 256) joined = Table::join(low, high);
  }
  OUTPOST_INLINE auto of_row(const uint8_t* low, int row) const {
    if constexpr (kPatterns > 256) {
      OfRow<uint64_t, 16> numbers;
      std::memcpy(&numbers.word, joined.codes + 4 * row, 8);
      return numbers;
    } else {
      OfRow<uint32_t, 8> numbers;
      std::memcpy(&numbers.word, low + 4 * row, 4);
      return numbers;
    }
  }
};

/// IQ2: four patterns of eight.
template <typename Format, const auto& kGrid>
struct Iq2Rows {
  using Tile = typename Format::Tile;
  static constexpr size_t kPatterns = std::size(kGrid);
  std::array<std::array<uint8_t, 8>, kPatterns> patterns = patterns_of<8, kPatterns>(
      [](size_t i, int p) { return static_cast<uint8_t>(kIq2Magnitudes[kGrid[i] >> (2 * p) & 3]); });

  /// The numbers of a superblock's patterns.
  struct Indices {
    JoinedIndices<kPatterns> of[8];

    explicit Indices(const Tile& tile) {
      for (int group = 0; group < 8; ++group) {
        if constexpr (kPatterns > 256) of[group].join(tile.groups[group].indices, tile.groups[group].high);
      }
    }
  };
  OUTPOST_INLINE __m256i magnitudes(const Tile& tile, const Indices& indices, int group, int row) const {
    const auto index = indices.of[group].of_row(tile.groups[group].indices, row);
    const auto pattern = [&](int run) OUTPOST_INLINE {
      int64_t bytes;
      std::memcpy(&bytes, &patterns[index.at(run)], 8);
      return bytes;
    };
    // Blending whole vectors is cheaper than inserting into one.
    const __m256i low = _mm256_blend_epi32(_mm256_set1_epi64x(pattern(0)), _mm256_set1_epi64x(pattern(1)), 0x0C);
    const __m256i high = _mm256_blend_epi32(_mm256_set1_epi64x(pattern(2)), _mm256_set1_epi64x(pattern(3)), 0xC0);
    return _mm256_blend_epi32(low, high, 0xF0);
  }
  static __m256i signs(const Tile& tile, int group, int row) {
    const auto bits = [](int64_t a, int64_t b) { return _mm256_setr_epi64x(a, a, b, b); };
    if constexpr (scales_per_group<Format>() == 1) {
      const auto each_bit = static_cast<int64_t>(0x8040201008040201u);
      return row_signs(tile.groups[group].signs + 4 * row,
                       _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303),
                       bits(each_bit, each_bit));
    } else {  // in the order of pairs: see TileIQ2
      const int64_t even = 0x0202020200000000, odd = 0x0303030301010101;
      return row_signs(tile.groups[group].signs + 4 * row, _mm256_setr_epi64x(even, odd, even, odd),
                       bits(0x0804020108040201, static_cast<int64_t>(0x8040201080402010u)));
    }
  }
  static I32x16 scale(const Tile& tile, int i) { return odd_scale(tile.scales[i / 2], i % 2); }
};

/// IQ3: eight patterns of four.
template <typename Format, const auto& kGrid, const auto& kMagnitudes>
struct Iq3Rows {
  using Tile = typename Format::Tile;
  static constexpr size_t kPatterns = std::size(kGrid);
  std::array<std::array<uint8_t, 4>, kPatterns> patterns = patterns_of<4, kPatterns>(
      [](size_t i, int p) { return static_cast<uint8_t>(kMagnitudes[kGrid[i] >> (3 * p) & 7]); });

  struct Indices {
    JoinedIndices<kPatterns> of[8][2];

    explicit Indices(const Tile& tile) {
      for (int group = 0; group < 8; ++group) {
        for (int half = 0; half < 2; ++half) {
          if constexpr (kPatterns > 256)
            of[group][half].join(tile.groups[group].indices[half], &tile.groups[group].high[half]);
        }
      }
    }
  };
  OUTPOST_INLINE __m256i magnitudes(const Tile& tile, const Indices& indices, int group, int row) const {
    const auto& codes = tile.groups[group];
    const auto first = indices.of[group][0].of_row(codes.indices[0], row);
    const auto second = indices.of[group][1].of_row(codes.indices[1], row);
    const auto pattern = [&](int run, int half) OUTPOST_INLINE {
      int32_t bytes;
      std::memcpy(&bytes, &patterns[half == 0 ? first.at(run) : second.at(run)], 4);
      return bytes;
    };
    return _mm256_setr_epi32(pattern(0, 0), pattern(0, 1), pattern(1, 0), pattern(1, 1), pattern(2, 0), pattern(2, 1),
                             pattern(3, 0), pattern(3, 1));
  }
  static __m256i signs(const Tile& tile, int group, int row) {
    return row_signs(tile.groups[group].signs + 4 * row,
                     _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303),
                     _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u)));
  }
  static I32x16 scale(const Tile& tile, int i) { return odd_scale(tile.scales[i / 2], i % 2); }
};

/// All tiles, for up to kMaxRowTokens tokens.
template <typename Format, typename Rows>
void matmul_rows(const MatmulArgs& args) {
  static const Rows rows;
  if (args.n_tokens == 1) return matmul_rows<Format, Rows, 1>(rows, args);
  if (args.n_tokens == 2) return matmul_rows<Format, Rows, 2>(rows, args);
  static_assert(kMaxRowTokens - 3 <= kSpareBlocks);
  matmul_rows<Format, Rows, kMaxRowTokens>(rows, args);
}

}  // namespace
}  // namespace outpost
