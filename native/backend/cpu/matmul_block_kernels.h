// Matrix product kernels for formats with a scale of their own for every 32 columns, against activations with the same.
// Included after matmul_kernels.h; internal to one kernels_*.cpp.
//
// For each group of 32 columns the integer sum is exact, then acc = fma(d * x.scale, sum, acc) and, where the format
// has a minimum, acc = fma(m, x.scale * sum(q), acc): group after group, whatever the number of tokens.
#pragma once

#include "backend/cpu/matmul_kernels.h"

namespace outpost {
namespace {

template <typename Format>
inline constexpr bool kHasMinimum = requires(typename Format::Tile tile) {
  tile.m;
};

/// The codes of 32 columns as bytes, with what they are scaled by per row.
template <typename Format>
struct ExpandedBlock {
  U8x64 w[8];
  F32x16 d;
  F32x16 m;  ///< of formats with a minimum
};

template <typename Format>
inline void expand_block(const Format& format, const typename Format::Tile& tile, int group,
                         ExpandedBlock<Format>& out) {
  format.expand(tile, group, out.w);
  out.d = Format::scale(tile, group);
  if constexpr (kHasMinimum<Format>) out.m = f16_load(tile.m[group]);
}

#ifdef OUTPOST_NARROW_SUMS
/// As add_group_narrow in matmul_kernels.h.
template <typename Format, int kTokens>
inline void add_block_narrow(const ExpandedBlock<Format>& block, const ActivationBlock32* x, int group,
                             F32x16 (*acc)[1]) {
  I32x16 parts[kTokens];
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) parts[t] = i32_set1(kIsWide<Format> ? 0 : -Format::kOffset * x[t].sum[group]);
  using Codes = std::conditional_t<kIsWide<Format>, SignedCodes, U8x64>;
  add_narrow<Codes, kIsWide<Format> ? 1 : fitting(Format::kMaxCode, 8), 8>(
      block.w, i16_pairs(i32_set1(1)), parts, [&](int t, int c) { return x[t].q + 32 * group + 4 * c; }, NoStart());
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    acc[t][0] = fma(block.d * f32_set1(x[t].scale[group]), to_f32(parts[t]), acc[t][0]);
    if constexpr (kHasMinimum<Format>) acc[t][0] = fma(block.m, f32_set1(x[t].scaled_sum[group]), acc[t][0]);
  }
}

#else
/// As add_group in matmul_kernels.h, with the sums scaled at once.
template <typename Format, int kTiles, int kChains>
inline void add_block(const ExpandedBlock<Format> (&blocks)[kTiles], const ActivationBlock32& x, int group,
                      F32x16 (&acc)[kTiles]) {
  I32x16 parts[kTiles][kChains];
  OUTPOST_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    parts[i][0] = i32_set1(-Format::kOffset * x.sum[group]);
    for (int chain = 1; chain < kChains; ++chain) parts[i][chain] = i32_set1(0);
  }
  OUTPOST_UNROLL
  for (int c = 0; c < 8; ++c) {
    const int8_t* four = x.q + 32 * group + 4 * c;
    OUTPOST_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      parts[i][c % kChains] = dot4_of<Format::kMaxCode>(parts[i][c % kChains], blocks[i].w[c], four);
    }
  }
  const F32x16 scale = f32_set1(x.scale[group]);
  OUTPOST_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    for (int chain = 1; chain < kChains; ++chain) parts[i][0] = parts[i][0] + parts[i][chain];
    acc[i] = fma(blocks[i].d * scale, to_f32(parts[i][0]), acc[i]);
    if constexpr (kHasMinimum<Format>) acc[i] = fma(blocks[i].m, f32_set1(x.scaled_sum[group]), acc[i]);
  }
}
#endif

template <typename Format, int kTiles, int kTokens>
inline void add_blocks(const ExpandedBlock<Format> (&blocks)[kTiles], const ActivationBlock32* x, int n, int group,
                       F32x16 (*acc)[kTiles]) {
#ifdef OUTPOST_NARROW_SUMS
  for_tokens_at_once<kTokens>(
      n, [&]<int kAtOnce>(int t) { add_block_narrow<Format, kAtOnce>(blocks[0], x + t, group, acc + t); });
#else
  constexpr int kChains = kTokens == 1 ? 4 / kTiles : 1;
  for_tokens<kTokens>(n, [&](int t) { add_block<Format, kTiles, kChains>(blocks, x[t], group, acc[t]); });
#endif
}

/// As matmul_tiles in matmul_kernels.h.
template <typename Format, int kTiles, int kTokens>
void matmul_block_tiles(const Format& format, const MatmulArgs& args) {
  using Tile = typename Format::Tile;
  constexpr int kCapacity = kTokens > 0 ? kTokens : kMaxTileTokens;
  const int n = args.n_tokens;
  F32x16 acc[kCapacity][kTiles];
  for_tokens<kTokens>(n, [&](int t) { std::fill_n(acc[t], kTiles, f32_set1(0.0f)); });
  for (int64_t superblock = 0; superblock * 256 < args.n_cols; ++superblock) {
    const ActivationBlock32* x = activations<ActivationBlock32>(args, superblock);
    const auto tile = [&](int i) -> const Tile& { return tile_of<Tile>(args, i, superblock); };
    for (int group = 0; group < 8; ++group) {
      ExpandedBlock<Format> blocks[kTiles];
      for (int i = 0; i < kTiles; ++i) {
        prefetch_ahead<8, kTokens>(tile(i), group);
        expand_block(format, tile(i), group, blocks[i]);
      }
      add_blocks<Format, kTiles, kTokens>(blocks, x, n, group, acc);
    }
  }
  for_tokens<kTokens>(n, [&](int t) {
    if (t >= args.n_tokens) return;
    for (int i = 0; i < kTiles; ++i) f32_store(args.y + t * args.y_stride + kTileRows * i, acc[t][i]);
  });
}

template <typename Format>
void matmul_block(const Format& format, const MatmulArgs& args) {
  for_tile_sizes(args, [&]<int kTiles, int kTokens>(const MatmulArgs& some) {
    matmul_block_tiles<Format, kTiles, kTokens>(format, some);
  });
}

// A format of 32 columns has a Tile with `codes`, and
//   kMaxCode, kOffset        the largest code, and what codes are above the values that are scaled; 128 if kMaxCode >
//   127 expand(tile, group, w)   the group's codes scale(tile, group)       what one of them counts, per row

/// Low nibbles, then high ones.
inline void expand_nibbles(const uint8_t (&codes)[4][64], U8x64 (&w)[8]) {
  for (int v = 0; v < 4; ++v) {
    const U8x64 bytes = u8_load(codes[v]);
    w[v] = u8_and(bytes, 15);
    w[4 + v] = u8_shift_and<4>(bytes, 15);
  }
}

struct FormatQ8_0 {
  using Tile = TileQ8_0;
  static constexpr int kMaxCode = 255, kOffset = 128;

  void expand(const Tile& tile, int group, U8x64 (&w)[8]) const {
    for (int c = 0; c < 8; ++c) w[c] = u8_load(tile.codes[group][c]);
  }
  static F32x16 scale(const Tile& tile, int group) { return f16_load(tile.d[group]); }
};

/// Q4_0, Q4_1, Q5_0 and Q5_1.
template <typename TileType, int kHighestCode, int kZero>
struct FormatNibbles {
  using Tile = TileType;
  static constexpr int kMaxCode = kHighestCode, kOffset = kZero;

  void expand(const Tile& tile, int group, U8x64 (&w)[8]) const {
    expand_nibbles(tile.codes[group], w);
    if constexpr (requires { tile.high; }) {
      for (int c = 0; c < 8; ++c) w[c] = u8_or_masked(w[c], tile.high[group][c], 16);
    }
  }
  static F32x16 scale(const Tile& tile, int group) { return f16_load(tile.d[group]); }
};

struct FormatIQ4_NL {
  using Tile = TileQ4_0;
  static constexpr int kMaxCode = 255, kOffset = 128;
  U8Table16 values{kIq4Values, kOffset};

  void expand(const Tile& tile, int group, U8x64 (&w)[8]) const {
    expand_nibbles(tile.codes[group], w);
    for (U8x64& v : w) v = values.look_up(v);
  }
  static F32x16 scale(const Tile& tile, int group) { return f16_load(tile.d[group]); }
};

/// The smallest exponent stands for 2^-127, a number that f32 has only as a subnormal: it counts as 0.
struct FormatMXFP4 {
  using Tile = TileMXFP4;
  static constexpr int kMaxCode = 24, kOffset = 12;
  U8Table16 values{kFp4Values, kOffset};

  void expand(const Tile& tile, int group, U8x64 (&w)[8]) const {
    expand_nibbles(tile.codes[group], w);
    for (U8x64& v : w) v = values.look_up(v);
  }
  static F32x16 scale(const Tile& tile, int group) {
    return bits_to_f32(i32_shift_left<23>(i32_load_u8(tile.exponents[group]))) * f32_set1(0.5f);
  }
};

inline void matmul_q4_0(const MatmulArgs& args) { matmul_block(FormatNibbles<TileQ4_0, 15, 8>{}, args); }
inline void matmul_q4_1(const MatmulArgs& args) { matmul_block(FormatNibbles<TileQ4_1, 15, 0>{}, args); }
inline void matmul_q5_0(const MatmulArgs& args) { matmul_block(FormatNibbles<TileQ5_0, 31, 16>{}, args); }
inline void matmul_q5_1(const MatmulArgs& args) { matmul_block(FormatNibbles<TileQ5_1, 31, 0>{}, args); }
inline void matmul_q8_0(const MatmulArgs& args) { matmul_block(FormatQ8_0{}, args); }
inline void matmul_iq4_nl(const MatmulArgs& args) { matmul_block(FormatIQ4_NL{}, args); }
inline void matmul_mxfp4(const MatmulArgs& args) { matmul_block(FormatMXFP4{}, args); }

}  // namespace
}  // namespace outpost
