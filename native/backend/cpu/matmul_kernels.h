// Matrix product kernels over packed tiles, written once over the lanes of simd_*.h. Include one of those
// first; like them this is internal to one kernels_*.cpp.
//
// A tile's row r and a token t give y[t][r]. Quantized: for each superblock the integer part is exact in 32 bits,
//   S = sum over groups of scale * sum(code * q),   M = sum over groups of min * sum(q)
// then acc = fma(d * x.scale, S, acc) and acc = fma(-(dmin * x.scale), M, acc), superblock after superblock.
// The order does not depend on the number of tokens: products are batch invariant to the bit.
#pragma once

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/packed_tiles.h"
#include "kernels/common/block_layouts.h"

namespace outpost {
namespace {

inline const ActivationBlock& activation(const MatmulArgs& args, int token, int64_t superblock) {
  return static_cast<const ActivationBlock*>(args.x)[token + superblock * args.x_stride];
}

// In front of a loop over vectors: they stay in registers only if it is unrolled completely.
#if defined(OUTPOST_UNROLL)
#elif defined(__clang__)
#define OUTPOST_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define OUTPOST_UNROLL _Pragma("GCC unroll 16")
#else
#define OUTPOST_UNROLL
#endif

/// Asks for what a kernel reads kPrefetchBytes later. A tile's streams are too short and too many for the
/// hardware's own prefetcher; without this, decoding waits for memory most of the time. 4 KiB is about 150 ns
/// at the pace of one core, a little more than the latency of memory. Past the last tile it does nothing.
template <typename Tile>
inline void prefetch_ahead(const Tile* tile) {
  constexpr size_t kPrefetchBytes = 4096;
  const auto* bytes = reinterpret_cast<const char*>(tile) + kPrefetchBytes;
  for (size_t i = 0; i < sizeof(Tile); i += 64) prefetch(bytes + i);
}

/// Scales of a group: one, unless it is cheaper to expand the columns of several at once.
template <typename Format>
constexpr int scales_per_group() {
  if constexpr (requires { Format::kScales; }) {
    return Format::kScales;
  } else {
    return 1;
  }
}

/// The codes of a group of columns as bytes, and their integer scales per row.
template <typename Format>
struct ExpandedGroup {
  U8x64 w[64 / Format::kGroups];
  I32x16 scale[scales_per_group<Format>()];
};

#ifndef OUTPOST_OWN_PRODUCTS
/// sums[t] += sum(code * input) over 4 * kVectors columns, where input(t) are those of a token and codes above 127 are
/// allowed if kIsWide.
///
/// A dot product waits four cycles for the one before it in the same sum, so independent sums alternate: those of the
/// tokens, and for one or two tokens several for each. Integers: the order does not change the result.
template <bool kIsWide, int kVectors, int kTokens, typename Input>
inline void add_products(const U8x64* w, const Input& input, I32x16 (&sums)[kTokens]) {
  constexpr int kChains = kTokens == 1 ? 4 : kTokens == 2 ? 2 : 1;
  I32x16 parts[kTokens][kChains];
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    parts[t][0] = sums[t];
    for (int i = 1; i < kChains; ++i) parts[t][i] = i32_set1(0);
  }
  OUTPOST_UNROLL
  for (int c = 0; c < kVectors; ++c) {
    OUTPOST_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      I32x16& part = parts[t][c % kChains];
      if constexpr (kIsWide) {
        part = dot4_wide(part, w[c], input(t) + 4 * c);
      } else {
        part = dot4(part, w[c], input(t) + 4 * c);
      }
    }
  }
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    for (int i = 1; i < kChains; ++i) parts[t][0] = parts[t][0] + parts[t][i];
    sums[t] = parts[t][0];
  }
}
#endif

/// sums += scale * sum(code * q) over the columns of one scale. `x` are kTokens blocks side by side.
template <typename Format, int kTokens, int kColumns>
inline void add_columns(const U8x64* w, I32x16 scale, const ActivationBlock* x, int i_scale, I32x16 (&sums)[kTokens]) {
  I32x16 parts[kTokens];
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) parts[t] = i32_set1(Format::start(x[t], i_scale));
  constexpr bool kIsWide = requires { Format::kIsWide; };
  add_products<kIsWide, kColumns / 4>(
      w, [&](int t) { return Format::input(x[t]) + kColumns * i_scale; }, parts);
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) sums[t] = sums[t] + scale * parts[t];
}

template <typename Format, int kTokens>
inline void add_group(const ExpandedGroup<Format>& expanded, const ActivationBlock* x, int group,
                      I32x16 (&sums)[kTokens]) {
  constexpr int kScales = scales_per_group<Format>(), kColumns = 256 / (Format::kGroups * kScales);
  OUTPOST_UNROLL
  for (int s = 0; s < kScales; ++s) {
    add_columns<Format, kTokens, kColumns>(expanded.w + kColumns / 4 * s, expanded.scale[s], x, kScales * group + s,
                                           sums);
  }
}

/// A few tokens: a group's codes go from the registers that expanded them straight into the dot products. Results of
/// the tokens past args.n_tokens are dropped.
template <typename Format, int kTokens>
void matmul_tokens(const Format& format, const MatmulArgs& args) {
  const auto* tiles = reinterpret_cast<const typename Format::Tile*>(args.tile);
  F32x16 acc[kTokens];
  for (auto& a : acc) a = f32_set1(0.0f);
  for (int64_t superblock = 0; superblock < args.n_cols / 256; ++superblock) {
    prefetch_ahead(tiles + superblock);
    I32x16 sums[kTokens];
    for (auto& sum : sums) sum = i32_set1(0);
    for (int group = 0; group < Format::kGroups; ++group) {
      ExpandedGroup<Format> expanded;
      format.expand(tiles[superblock], group, expanded);
      add_group(expanded, &activation(args, 0, superblock), group, sums);
    }
    Format::template finish<kTokens>(tiles[superblock], args, superblock, sums, acc);
  }
  for (int t = 0; t < args.n_tokens; ++t) f32_store(args.y + t * args.y_stride, acc[t]);
}

/// The arguments for the tokens from `first` on.
inline MatmulArgs from_token(const MatmulArgs& args, int first) {
  MatmulArgs rest = args;
  rest.x = static_cast<const ActivationBlock*>(args.x) + first;
  rest.y = args.y + first * args.y_stride;
  rest.n_tokens = args.n_tokens - first;
  return rest;
}

/// One superblock for a few tokens, its codes expanded already.
template <typename Format, int kTokens>
inline void add_superblock(const typename Format::Tile& tile, const ExpandedGroup<Format> (&groups)[Format::kGroups],
                           const MatmulArgs& args, int64_t superblock, F32x16* acc_tokens) {
  I32x16 sums[kTokens];
  F32x16 acc[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    sums[t] = i32_set1(0);
    acc[t] = acc_tokens[t];
  }
  const ActivationBlock* x = &activation(args, 0, superblock);
  for (int group = 0; group < Format::kGroups; ++group) add_group(groups[group], x, group, sums);
  Format::template finish<kTokens>(tile, args, superblock, sums, acc);
  for (int t = 0; t < kTokens; ++t) acc_tokens[t] = acc[t];
}

/// Many tokens: a superblock's codes are expanded once, into the first-level cache, and serve all of them.
/// Expanding 256 columns costs as much as the dot products of four tokens.
template <typename Format>
void matmul_many(const Format& format, const MatmulArgs& args) {
  constexpr int kAtOnce = kTokensInRegisters;
  const auto* tiles = reinterpret_cast<const typename Format::Tile*>(args.tile);
  F32x16 acc[kMaxTileTokens];
  for (int t = 0; t < args.n_tokens; ++t) acc[t] = f32_set1(0.0f);
  const int n_full = args.n_tokens / kAtOnce * kAtOnce;
  for (int64_t superblock = 0; superblock < args.n_cols / 256; ++superblock) {
    prefetch_ahead(tiles + superblock);
    ExpandedGroup<Format> groups[Format::kGroups];
    for (int group = 0; group < Format::kGroups; ++group) format.expand(tiles[superblock], group, groups[group]);
    for (int t = 0; t < n_full; t += kAtOnce) {
      add_superblock<Format, kAtOnce>(tiles[superblock], groups, from_token(args, t), superblock, acc + t);
    }
    for (int t = n_full; t < args.n_tokens; ++t) {
      add_superblock<Format, 1>(tiles[superblock], groups, from_token(args, t), superblock, acc + t);
    }
  }
  for (int t = 0; t < args.n_tokens; ++t) f32_store(args.y + t * args.y_stride, acc[t]);
}

template <typename Format>
void matmul(const Format& format, const MatmulArgs& args) {
  static_assert(kTokensInRegisters == 8);
  if (args.n_tokens == 1) return matmul_tokens<Format, 1>(format, args);
  if (args.n_tokens == 2) return matmul_tokens<Format, 2>(format, args);
  if (args.n_tokens <= 4) return matmul_tokens<Format, 4>(format, args);
  if (args.n_tokens <= 8) return matmul_tokens<Format, 8>(format, args);
  matmul_many(format, args);
}

/// acc += d * x.scale * sums
template <int kTokens>
inline void add_scaled(const uint16_t* d, const MatmulArgs& args, int64_t superblock, float factor,
                       const I32x16 (&sums)[kTokens], F32x16 (&acc)[kTokens]) {
  const F32x16 scale = f16_load(d) * f32_set1(factor);
  for (int t = 0; t < kTokens; ++t) {
    acc[t] = fma(scale * f32_set1(activation(args, t, superblock).scale), to_f32(sums[t]), acc[t]);
  }
}

/// acc -= dmin * x.scale * sum over sub-blocks of min * sum(q)
template <int n_sub, int kTokens, typename LoadMin>
inline void subtract_mins(const uint16_t* dmin, const MatmulArgs& args, int64_t superblock, const LoadMin& load_min,
                          F32x16 (&acc)[kTokens]) {
  const F32x16 scale = f16_load(dmin);
  for (int t = 0; t < kTokens; ++t) {
    const ActivationBlock& x = activation(args, t, superblock);
    const int32_t* q_sums = n_sub == 16 ? x.sum16 : x.sum32;
    I32x16 sum = i32_set1(0);
    for (int i = 0; i < n_sub; ++i) sum = sum + load_min(i) * i32_set1(q_sums[i]);
    acc[t] = fnma(scale * f32_set1(x.scale), to_f32(sum), acc[t]);
  }
}

// A format of a superblock of 256 columns has a Tile, its number of groups of columns that are expanded at once, and
//   expand(tile, group, out)   the group's codes and scales
//   input(x), start(x, i)      what the codes are multiplied by, and where the sum of the i-th scale begins
//   finish<kTokens>(tile, args, superblock, sums, acc)   scales the integers of a superblock into acc

/// Four 2-bit codes a byte, of which each vector takes one.
inline void expand_quarters(U8x64 codes, U8x64 (&w)[4]) {
  w[0] = u8_and(codes, 3);
  w[1] = u8_shift_and<2>(codes, 3);
  w[2] = u8_shift_and<4>(codes, 3);
  w[3] = u8_shift_and<6>(codes, 3);
}

/// |S| <= 16 * 15 * 16 * 3 * 127 < 2^24
struct FormatQ2_K {
  using Tile = TileQ2_K;
  static constexpr int kGroups = 16;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t start(const ActivationBlock&, int) { return 0; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatQ2_K>& out) const {
    expand_quarters(u8_load(tile.codes[group]), out.w);
    out.scale[0] = i32_and(i32_load_u8(tile.scales[group]), 15);
  }

  template <int kTokens>
  static void finish(const Tile& tile, const MatmulArgs& args, int64_t superblock, const I32x16 (&sums)[kTokens],
                     F32x16 (&acc)[kTokens]) {
    add_scaled(tile.d, args, superblock, 1.0f, sums, acc);
    subtract_mins<16>(
        tile.dmin, args, superblock, [&](int i) { return i32_shift_right<4>(i32_load_u8(tile.scales[i])); }, acc);
  }
};

/// Codes are 0, 1 and 2 and mean 1 less. |S| <= 256 * 2 * 127 < 2^16
struct FormatTernary {
  using Tile = TileTernary;
  static constexpr int kGroups = 16;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t start(const ActivationBlock& x, int group) { return -x.sum16[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatTernary>& out) const {
    expand_quarters(u8_load(tile.codes[group]), out.w);
    out.scale[0] = i32_set1(1);
  }

  template <int kTokens>
  static void finish(const Tile& tile, const MatmulArgs& args, int64_t superblock, const I32x16 (&sums)[kTokens],
                     F32x16 (&acc)[kTokens]) {
    add_scaled(tile.d, args, superblock, 1.0f, sums, acc);
  }
};

/// Codes are 0 to 7 and mean 4 less. |S| <= 16 * 32 * 16 * 4 * 127 < 2^23
struct FormatQ3_K {
  using Tile = TileQ3_K;
  static constexpr int kGroups = 16;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t start(const ActivationBlock& x, int group) { return -4 * x.sum16[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatQ3_K>& out) const {
    expand_quarters(u8_load(tile.codes[group]), out.w);
    for (int c = 0; c < 4; ++c) out.w[c] = u8_or_masked(out.w[c], tile.high[group][c], 4);
    out.scale[0] = i32_load_i8(tile.scales[group]);
  }

  template <int kTokens>
  static void finish(const Tile& tile, const MatmulArgs& args, int64_t superblock, const I32x16 (&sums)[kTokens],
                     F32x16 (&acc)[kTokens]) {
    add_scaled(tile.d, args, superblock, 1.0f, sums, acc);
  }
};

/// Codes are 0 to 63 and mean 32 less. |S| <= 16 * 128 * 16 * 32 * 127 < 2^28
struct FormatQ6_K {
  using Tile = TileQ6_K;
  static constexpr int kGroups = 16;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t start(const ActivationBlock& x, int group) { return -32 * x.sum16[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatQ6_K>& out) const {
    const U8x64 high = u8_load(tile.high[group]);
    const U8x64 low[2] = {u8_load(tile.low[group][0]), u8_load(tile.low[group][1])};
    out.w[0] = u8_or(u8_and(low[0], 15), u8_shift_left_and<4>(high, 0x30));
    out.w[1] = u8_or(u8_and(low[1], 15), u8_shift_left_and<2>(high, 0x30));
    out.w[2] = u8_or(u8_shift_and<4>(low[0], 15), u8_and(high, 0x30));
    out.w[3] = u8_or(u8_shift_and<4>(low[1], 15), u8_shift_and<2>(high, 0x30));
    out.scale[0] = i32_load_i8(tile.scales[group]);
  }

  template <int kTokens>
  static void finish(const Tile& tile, const MatmulArgs& args, int64_t superblock, const I32x16 (&sums)[kTokens],
                     F32x16 (&acc)[kTokens]) {
    add_scaled(tile.d, args, superblock, 1.0f, sums, acc);
  }
};

/// Codes name values that are stored 128 higher. |S| <= 8 * 32 * 32 * 127 * 127 < 2^28
struct FormatIQ4_XS {
  using Tile = TileIQ4_XS;
  static constexpr int kGroups = 8;
  static constexpr bool kIsWide = true;
  U8Table16 values{kIq4Values, 128};

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t start(const ActivationBlock& x, int group) { return -128 * x.sum32[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatIQ4_XS>& out) const {
    for (int v = 0; v < 4; ++v) {
      const U8x64 codes = u8_load(tile.codes[group][v]);
      out.w[v] = values.look_up(u8_and(codes, 15));
      out.w[4 + v] = values.look_up(u8_shift_and<4>(codes, 15));
    }
    out.scale[0] = i32_load_i8(tile.scales[group]);
  }

  template <int kTokens>
  static void finish(const Tile& tile, const MatmulArgs& args, int64_t superblock, const I32x16 (&sums)[kTokens],
                     F32x16 (&acc)[kTokens]) {
    add_scaled(tile.d, args, superblock, 1.0f, sums, acc);
  }
};

/// Q4_K and Q5_K: |S| <= 8 * 63 * 32 * 31 * 127 < 2^26
template <typename TileType>
struct FormatK4 {
  using Tile = TileType;
  static constexpr int kGroups = 8;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t start(const ActivationBlock&, int) { return 0; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatK4>& out) const {
    for (int v = 0; v < 4; ++v) {
      const U8x64 codes = u8_load(tile.codes[group][v]);
      out.w[v] = u8_and(codes, 15);
      out.w[4 + v] = u8_shift_and<4>(codes, 15);
    }
    if constexpr (requires { tile.high; }) {
      for (int c = 0; c < 8; ++c) out.w[c] = u8_or_masked(out.w[c], tile.high[group][c], 16);
    }
    out.scale[0] = i32_load_u8(tile.scales[group]);
  }

  template <int kTokens>
  static void finish(const Tile& tile, const MatmulArgs& args, int64_t superblock, const I32x16 (&sums)[kTokens],
                     F32x16 (&acc)[kTokens]) {
    add_scaled(tile.d, args, superblock, 1.0f, sums, acc);
    subtract_mins<8>(
        tile.dmin, args, superblock, [&](int i) { return i32_load_u8(tile.mins[i]); }, acc);
  }
};

// Elements of dense tiles: sixteen of them as f32.
struct ElementF32 {
  using Stored = float;
  static F32x16 load(const float* p) { return f32_load(p); }
};
struct ElementF16 {
  using Stored = uint16_t;
  static F32x16 load(const uint16_t* p) { return f16_load(p); }
};
struct ElementBF16 {
  using Stored = uint16_t;
  static F32x16 load(const uint16_t* p) { return bf16_load(p); }
};

/// f32, f16 and bf16 weights against f32 activations: one fused multiply-add per column.
template <typename Element>
void matmul_dense_block(const MatmulArgs& args, const float* x, int n_tokens, float* y) {
  const auto* w = reinterpret_cast<const typename Element::Stored*>(args.tile);
  F32x16 acc[kTokensInRegisters];
  for (auto& a : acc) a = f32_set1(0.0f);
  for (int64_t col = 0; col < args.n_cols; ++col) {
    const F32x16 column = Element::load(w + col * kTileRows);
    for (int t = 0; t < n_tokens; ++t) acc[t] = fma(column, f32_set1(x[t * args.x_stride + col]), acc[t]);
  }
  for (int t = 0; t < n_tokens; ++t) f32_store(y + t * args.y_stride, acc[t]);
}

template <typename Element>
void matmul_dense(const MatmulArgs& args) {
  for (int t = 0; t < args.n_tokens; t += kTokensInRegisters) {
    const float* x = static_cast<const float*>(args.x) + t * args.x_stride;
    const int n_tokens = args.n_tokens - t < kTokensInRegisters ? args.n_tokens - t : kTokensInRegisters;
    matmul_dense_block<Element>(args, x, n_tokens, args.y + t * args.y_stride);
  }
}

void matmul_f32(const MatmulArgs& args) { matmul_dense<ElementF32>(args); }
void matmul_f16(const MatmulArgs& args) { matmul_dense<ElementF16>(args); }
void matmul_bf16(const MatmulArgs& args) { matmul_dense<ElementBF16>(args); }
void matmul_q2_K(const MatmulArgs& args) { matmul(FormatQ2_K{}, args); }
void matmul_q3_K(const MatmulArgs& args) { matmul(FormatQ3_K{}, args); }
void matmul_ternary(const MatmulArgs& args) { matmul(FormatTernary{}, args); }
void matmul_q6_K(const MatmulArgs& args) { matmul(FormatQ6_K{}, args); }
void matmul_iq4_xs(const MatmulArgs& args) { matmul(FormatIQ4_XS{}, args); }
void matmul_q4_K(const MatmulArgs& args) { matmul(FormatK4<TileQ4_K>{}, args); }
void matmul_q5_K(const MatmulArgs& args) { matmul(FormatK4<TileQ5_K>{}, args); }

}  // namespace
}  // namespace outpost
