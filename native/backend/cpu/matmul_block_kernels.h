// Matrix product kernels for formats with a scale of their own for every 32 columns, against activations with the same.
// Included after matmul_kernels.h; internal to one kernels_*.cpp.
//
// For each group of 32 columns the integer sum is exact, then acc = fma(d * x.scale, sum, acc) and, where the format
// has a minimum, acc = fma(m, x.scale * sum(q), acc): group after group, whatever the number of tokens.
#pragma once

#include "backend/cpu/matmul_kernels.h"

namespace outpost {
namespace {

inline const ActivationBlock32& activation32(const MatmulArgs& args, int token, int64_t superblock) {
  return static_cast<const ActivationBlock32*>(args.x)[token + superblock * args.x_stride];
}

/// The codes of 32 columns as bytes, with what they are scaled by per row.
template <typename Format>
struct ExpandedBlock {
  U8x64 w[8];
  F32x16 d;
  F32x16 m;  ///< of formats with a minimum
};

template <typename Format>
inline ExpandedBlock<Format> expand_block(const Format& format, const typename Format::Tile& tile, int group) {
  ExpandedBlock<Format> out;
  format.expand(tile, group, out.w);
  out.d = Format::scale(tile, group);
  if constexpr (requires { tile.m; }) out.m = f16_load(tile.m[group]);
  return out;
}

/// As add_group in matmul_kernels.h, with the sums scaled at once.
template <typename Format, int kTokens>
inline void add_block(const ExpandedBlock<Format>& block, const ActivationBlock32* x, int group,
                      F32x16 (&acc)[kTokens]) {
  I32x16 parts[kTokens];
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) parts[t] = i32_set1(-Format::kOffset * x[t].sum[group]);
  add_products<Format::kIsWide, 8>(
      block.w, [&](int t) { return x[t].q + 32 * group; }, parts);
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    acc[t] = fma(block.d * f32_set1(x[t].scale[group]), to_f32(parts[t]), acc[t]);
    if constexpr (requires(typename Format::Tile tile) { tile.m; })
      acc[t] = fma(block.m, f32_set1(x[t].scaled_sum[group]), acc[t]);
  }
}

template <typename Format, int kTokens>
void matmul_block_tokens(const Format& format, const MatmulArgs& args) {
  const auto* tiles = reinterpret_cast<const typename Format::Tile*>(args.tile);
  F32x16 acc[kTokens];
  for (auto& a : acc) a = f32_set1(0.0f);
  for (int64_t superblock = 0; superblock * 256 < args.n_cols; ++superblock) {
    prefetch_ahead(tiles + superblock);
    for (int group = 0; group < 8; ++group) {
      add_block(expand_block(format, tiles[superblock], group), &activation32(args, 0, superblock), group, acc);
    }
  }
  for (int t = 0; t < args.n_tokens; ++t) f32_store(args.y + t * args.y_stride, acc[t]);
}

/// kTokens of the tokens from `first` on, one superblock whose codes are expanded already.
template <typename Format, int kTokens>
inline void add_blocks(const ExpandedBlock<Format> (&blocks)[8], const MatmulArgs& args, int first, int64_t superblock,
                       F32x16* acc_tokens) {
  F32x16 acc[kTokens];
  for (int t = 0; t < kTokens; ++t) acc[t] = acc_tokens[t];
  for (int group = 0; group < 8; ++group) add_block(blocks[group], &activation32(args, first, superblock), group, acc);
  for (int t = 0; t < kTokens; ++t) acc_tokens[t] = acc[t];
}

/// Many tokens: as matmul_many in matmul_kernels.h.
template <typename Format>
void matmul_block_many(const Format& format, const MatmulArgs& args) {
  constexpr int kAtOnce = kTokensInRegisters;
  const auto* tiles = reinterpret_cast<const typename Format::Tile*>(args.tile);
  F32x16 acc[kMaxTileTokens];
  for (int t = 0; t < args.n_tokens; ++t) acc[t] = f32_set1(0.0f);
  const int n_full = args.n_tokens / kAtOnce * kAtOnce;
  for (int64_t superblock = 0; superblock * 256 < args.n_cols; ++superblock) {
    prefetch_ahead(tiles + superblock);
    ExpandedBlock<Format> blocks[8];
    for (int group = 0; group < 8; ++group) blocks[group] = expand_block(format, tiles[superblock], group);
    for (int t = 0; t < n_full; t += kAtOnce) add_blocks<Format, kAtOnce>(blocks, args, t, superblock, acc + t);
    for (int t = n_full; t < args.n_tokens; ++t) add_blocks<Format, 1>(blocks, args, t, superblock, acc + t);
  }
  for (int t = 0; t < args.n_tokens; ++t) f32_store(args.y + t * args.y_stride, acc[t]);
}

template <typename Format>
void matmul_block(const Format& format, const MatmulArgs& args) {
  static_assert(kTokensInRegisters == 8);
  if (args.n_tokens == 1) return matmul_block_tokens<Format, 1>(format, args);
  if (args.n_tokens == 2) return matmul_block_tokens<Format, 2>(format, args);
  if (args.n_tokens <= 4) return matmul_block_tokens<Format, 4>(format, args);
  if (args.n_tokens <= 8) return matmul_block_tokens<Format, 8>(format, args);
  matmul_block_many(format, args);
}

// A format of 32 columns has a Tile with `codes`, and
//   kOffset                  what its expanded codes are above the values that are scaled
//   kIsWide                  whether codes may be above 128: see dot4_wide
//   expand(tile, group, w)   the group's codes
//   scale(tile, group)       what one of them counts, per row

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
  static constexpr int kOffset = 128;
  static constexpr bool kIsWide = true;

  void expand(const Tile& tile, int group, U8x64 (&w)[8]) const {
    for (int c = 0; c < 8; ++c) w[c] = u8_load(tile.codes[group][c]);
  }
  static F32x16 scale(const Tile& tile, int group) { return f16_load(tile.d[group]); }
};

/// Q4_0, Q4_1, Q5_0 and Q5_1.
template <typename TileType, int kZero>
struct FormatNibbles {
  using Tile = TileType;
  static constexpr int kOffset = kZero;
  static constexpr bool kIsWide = false;

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
  static constexpr int kOffset = 128;
  static constexpr bool kIsWide = true;
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
  static constexpr int kOffset = 12;
  static constexpr bool kIsWide = false;
  U8Table16 values{kFp4Values, kOffset};

  void expand(const Tile& tile, int group, U8x64 (&w)[8]) const {
    expand_nibbles(tile.codes[group], w);
    for (U8x64& v : w) v = values.look_up(v);
  }
  static F32x16 scale(const Tile& tile, int group) {
    return bits_to_f32(i32_shift_left<23>(i32_load_u8(tile.exponents[group]))) * f32_set1(0.5f);
  }
};

void matmul_q4_0(const MatmulArgs& args) { matmul_block(FormatNibbles<TileQ4_0, 8>{}, args); }
void matmul_q4_1(const MatmulArgs& args) { matmul_block(FormatNibbles<TileQ4_1, 0>{}, args); }
void matmul_q5_0(const MatmulArgs& args) { matmul_block(FormatNibbles<TileQ5_0, 16>{}, args); }
void matmul_q5_1(const MatmulArgs& args) { matmul_block(FormatNibbles<TileQ5_1, 0>{}, args); }
void matmul_q8_0(const MatmulArgs& args) { matmul_block(FormatQ8_0{}, args); }
void matmul_iq4_nl(const MatmulArgs& args) { matmul_block(FormatIQ4_NL{}, args); }
void matmul_mxfp4(const MatmulArgs& args) { matmul_block(FormatMXFP4{}, args); }

}  // namespace
}  // namespace outpost
