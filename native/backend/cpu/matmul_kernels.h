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

namespace outpost {
namespace {

inline const ActivationBlock& activation(const MatmulArgs& args, int token, int64_t superblock) {
  return static_cast<const ActivationBlock*>(args.x)[token * args.x_stride + superblock];
}

/// sum of w[c] * x[4c..4c+3] over n vectors. Integers: any order gives the same sum, so a lone token uses
/// several accumulators to hide the latency of the dot product.
template <int n, int kTokens>
inline I32x16 dot_chain(const U8x64 (&w)[n], const int8_t* x) {
  constexpr int kChains = kTokens == 1 ? 4 : kTokens == 2 ? 2 : 1;
  I32x16 sums[kChains];
  for (auto& sum : sums) sum = i32_set1(0);
  for (int c = 0; c < n; ++c) sums[c % kChains] = dot4(sums[c % kChains], w[c], x + 4 * c);
  for (int i = 1; i < kChains; ++i) sums[0] = sums[0] + sums[i];
  return sums[0];
}

/// Asks for what a kernel reads kPrefetchBytes later. A tile's streams are too short and too many for the
/// hardware's own prefetcher; without this, decoding waits for memory most of the time. 4 KiB is about 150 ns
/// at the pace of one core, a little more than the latency of memory. Past the last tile it does nothing.
template <typename Tile>
inline void prefetch_ahead(const Tile* tile) {
  constexpr size_t kPrefetchBytes = 4096;
  const auto* bytes = reinterpret_cast<const char*>(tile) + kPrefetchBytes;
  for (size_t i = 0; i < sizeof(Tile); i += 64) prefetch(bytes + i);
}

/// The superblock loop that every K- and I-quant shares. `Format` has a Tile and
///   accumulate<kTokens>(tile, args, superblock, sums): adds the integers of a superblock
///   finish<kTokens>(tile, args, superblock, sums, acc): scales them into acc
template <typename Format, int kTokens>
void matmul_tokens(const Format& format, const MatmulArgs& args) {
  const auto* tiles = reinterpret_cast<const typename Format::Tile*>(args.tile);
  F32x16 acc[kTokens];
  for (auto& a : acc) a = f32_set1(0.0f);
  for (int64_t superblock = 0; superblock < args.n_cols / 256; ++superblock) {
    prefetch_ahead(tiles + superblock);
    I32x16 sums[kTokens];
    for (auto& sum : sums) sum = i32_set1(0);
    format.template accumulate<kTokens>(tiles[superblock], args, superblock, sums);
    format.template finish<kTokens>(tiles[superblock], args, superblock, sums, acc);
  }
  for (int t = 0; t < kTokens; ++t) f32_store(args.y + t * args.y_stride, acc[t]);
}

template <typename Format>
void matmul(const Format& format, const MatmulArgs& args) {
  switch (args.n_tokens) {
    case 1: return matmul_tokens<Format, 1>(format, args);
    case 2: return matmul_tokens<Format, 2>(format, args);
    case 3: return matmul_tokens<Format, 3>(format, args);
    case 4: return matmul_tokens<Format, 4>(format, args);
    case 5: return matmul_tokens<Format, 5>(format, args);
    case 6: return matmul_tokens<Format, 6>(format, args);
    case 7: return matmul_tokens<Format, 7>(format, args);
    default: return matmul_tokens<Format, kMaxTileTokens>(format, args);
  }
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

/// |S| <= 16 * 15 * 16 * 3 * 127 < 2^24
struct FormatQ2_K {
  using Tile = TileQ2_K;

  template <int kTokens>
  void accumulate(const Tile& tile, const MatmulArgs& args, int64_t superblock, I32x16 (&sums)[kTokens]) const {
    for (int sub = 0; sub < 16; ++sub) {
      const U8x64 codes = u8_load(tile.codes[sub]);
      const U8x64 w[4] = {u8_and(codes, 3), u8_shift_and<2>(codes, 3), u8_shift_and<4>(codes, 3),
                          u8_shift_and<6>(codes, 3)};
      const I32x16 scale = i32_and(i32_load_u8(tile.scales[sub]), 15);
      for (int t = 0; t < kTokens; ++t) {
        sums[t] = sums[t] + scale * dot_chain<4, kTokens>(w, activation(args, t, superblock).q + 16 * sub);
      }
    }
  }

  template <int kTokens>
  void finish(const Tile& tile, const MatmulArgs& args, int64_t superblock, const I32x16 (&sums)[kTokens],
              F32x16 (&acc)[kTokens]) const {
    add_scaled(tile.d, args, superblock, 1.0f, sums, acc);
    subtract_mins<16>(
        tile.dmin, args, superblock, [&](int i) { return i32_shift_right<4>(i32_load_u8(tile.scales[i])); }, acc);
  }
};

/// Q4_K and Q5_K: |S| <= 8 * 63 * 32 * 31 * 127 < 2^26
template <typename TileType>
struct FormatK4 {
  using Tile = TileType;

  template <int kTokens>
  void accumulate(const Tile& tile, const MatmulArgs& args, int64_t superblock, I32x16 (&sums)[kTokens]) const {
    for (int group = 0; group < 8; ++group) {
      U8x64 w[8];
      for (int v = 0; v < 4; ++v) {
        const U8x64 codes = u8_load(tile.codes[group][v]);
        w[v] = u8_and(codes, 15);
        w[4 + v] = u8_shift_and<4>(codes, 15);
      }
      if constexpr (requires { tile.high; }) {
        for (int c = 0; c < 8; ++c) w[c] = u8_or_masked(w[c], tile.high[group][c], 16);
      }
      const I32x16 scale = i32_load_u8(tile.scales[group]);
      for (int t = 0; t < kTokens; ++t) {
        sums[t] = sums[t] + scale * dot_chain<8, kTokens>(w, activation(args, t, superblock).q + 32 * group);
      }
    }
  }

  template <int kTokens>
  void finish(const Tile& tile, const MatmulArgs& args, int64_t superblock, const I32x16 (&sums)[kTokens],
              F32x16 (&acc)[kTokens]) const {
    add_scaled(tile.d, args, superblock, 1.0f, sums, acc);
    subtract_mins<8>(
        tile.dmin, args, superblock, [&](int i) { return i32_load_u8(tile.mins[i]); }, acc);
  }
};

/// x = d * (2s + 1) / 8 * magnitude * sign. The codes are 64 + signed magnitude, to be unsigned; 64 * sum(q)
/// is taken off again. |S| <= 8 * 31 * 32 * 43 * 127 < 2^26
struct FormatIQ2_XXS {
  using Tile = TileIQ2_XXS;
  Iq2Grid grid;

  template <int kTokens>
  void accumulate(const Tile& tile, const MatmulArgs& args, int64_t superblock, I32x16 (&sums)[kTokens]) const {
    for (int group = 0; group < 8; ++group) {
      U8x64 w[8];
      grid.expand(tile.groups[group].indices, tile.groups[group].signs, w);
      const I32x16 nibbles = i32_load_u8(tile.scales[group / 2]);
      const I32x16 s = group % 2 == 0 ? i32_and(nibbles, 15) : i32_shift_right<4>(nibbles);
      const I32x16 scale = i32_shift_left<1>(s) + i32_set1(1);
      for (int t = 0; t < kTokens; ++t) {
        const ActivationBlock& x = activation(args, t, superblock);
        const I32x16 sum = dot_chain<8, kTokens>(w, x.q_by_position + 32 * group) + i32_set1(-64 * x.sum32[group]);
        sums[t] = sums[t] + scale * sum;
      }
    }
  }

  template <int kTokens>
  void finish(const Tile& tile, const MatmulArgs& args, int64_t superblock, const I32x16 (&sums)[kTokens],
              F32x16 (&acc)[kTokens]) const {
    add_scaled(tile.d, args, superblock, 0.125f, sums, acc);
  }
};

/// f32 and f16 weights against f32 activations: one fused multiply-add per column.
template <typename Element>
void matmul_dense(const MatmulArgs& args) {
  const auto* w = reinterpret_cast<const Element*>(args.tile);
  const auto* x = static_cast<const float*>(args.x);
  F32x16 acc[kMaxTileTokens];
  for (auto& a : acc) a = f32_set1(0.0f);
  for (int64_t col = 0; col < args.n_cols; ++col) {
    F32x16 column;
    if constexpr (sizeof(Element) == 2) {
      column = f16_load(w + col * kTileRows);
    } else {
      column = f32_load(w + col * kTileRows);
    }
    for (int t = 0; t < args.n_tokens; ++t) acc[t] = fma(column, f32_set1(x[t * args.x_stride + col]), acc[t]);
  }
  for (int t = 0; t < args.n_tokens; ++t) f32_store(args.y + t * args.y_stride, acc[t]);
}

void matmul_f32(const MatmulArgs& args) { matmul_dense<float>(args); }
void matmul_f16(const MatmulArgs& args) { matmul_dense<uint16_t>(args); }
void matmul_q2_K(const MatmulArgs& args) { matmul(FormatQ2_K{}, args); }
void matmul_q4_K(const MatmulArgs& args) { matmul(FormatK4<TileQ4_K>{}, args); }
void matmul_q5_K(const MatmulArgs& args) { matmul(FormatK4<TileQ5_K>{}, args); }
void matmul_iq2_xxs(const MatmulArgs& args) {
  static const FormatIQ2_XXS format;
  matmul(format, args);
}

}  // namespace
}  // namespace outpost
