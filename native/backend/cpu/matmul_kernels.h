// Matrix product kernels over packed tiles, written once over the lanes of simd_*.h. Include one of those
// first; like them this is internal to one kernels_*.cpp.
//
// A tile's row r and a token t give y[t][r]. Quantized: for each superblock the integer part is exact in 32 bits,
//   S = sum over groups of scale * sum(code * q),   M = sum over groups of min * sum(q)
// then acc = fma(d * x.scale, S, acc) and acc = fma(-(dmin * x.scale), M, acc), superblock after superblock.
// The order depends neither on the number of tokens nor on that of tiles: products are batch invariant to the bit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/packed_tiles.h"
#include "kernels/common/block_layouts.h"

namespace outpost {
namespace {

// In front of a loop over vectors: they stay in registers only if it is unrolled completely.
#if defined(OUTPOST_UNROLL)
#elif defined(__clang__)
#define OUTPOST_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define OUTPOST_UNROLL _Pragma("GCC unroll 16")
#else
#define OUTPOST_UNROLL
#endif

/// Asks for what a kernel reads kPrefetchBytes after a group of a superblock. A tile's streams are too short and too
/// many for the hardware's own prefetcher; without this, decoding waits for memory most of the time. 8 KiB is about
/// 300 ns at the pace of one core, twice the latency of memory. A superblock's lines are asked for group by group: all
/// at once they are more than a core can wait for, and it would stand still until they come. With several tokens a
/// superblock takes so long that they wait in the second-level cache; the first is full of activations. Past the last
/// tile it does nothing.
template <int kGroups, int kTokens, typename Tile>
inline void prefetch_ahead(const Tile& tile, int group) {
  constexpr size_t kPrefetchBytes = 8192, kLines = (sizeof(Tile) / 64 + kGroups - 1) / kGroups;
  const auto* bytes = reinterpret_cast<const char*>(&tile) + kPrefetchBytes + static_cast<size_t>(group) * kLines * 64;
  OUTPOST_UNROLL
  for (size_t i = 0; i < kLines; ++i) {
    if constexpr (kTokens == 1) {
      prefetch_near(bytes + 64 * i);
    } else {
      prefetch_far(bytes + 64 * i);
    }
  }
}

/// The tiles of `args` as superblocks, and their activations.
template <typename Tile>
inline const Tile& tile_of(const MatmulArgs& args, int i_tile, int64_t superblock) {
  return reinterpret_cast<const Tile*>(args.tiles + static_cast<size_t>(i_tile) * args.tile_bytes)[superblock];
}
template <typename Block>
inline const Block* activations(const MatmulArgs& args, int64_t superblock) {
  return static_cast<const Block*>(args.x) + superblock * args.x_stride;
}

/// body(t) for all tokens: kTokens of them, unrolled so that what they sum up stays in registers, or n if kTokens is 0.
template <int kTokens, typename Body>
inline void for_tokens(int n, const Body& body) {
  if constexpr (kTokens > 0) {
    OUTPOST_UNROLL
    for (int t = 0; t < kTokens; ++t) body(t);
  } else {
    for (int t = 0; t < n; ++t) body(t);
  }
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

/// What a format looks up in tables in memory for all groups of a superblock, before it expands the first: nothing, but
/// for codebooks.
template <typename Format>
struct LookUps {
  void find(const Format&, const typename Format::Tile&) {}
  void expand(const Format& format, const typename Format::Tile& tile, int group, ExpandedGroup<Format>& out) const {
    format.expand(tile, group, out);
  }
};
template <typename Format>
requires requires { Format::kLookUps; }
struct LookUps<Format> {
  typename Format::Table::Found found[Format::kGroups][Format::kLookUps];

  void find(const Format& format, const typename Format::Tile& tile) {
    for (int group = 0; group < Format::kGroups; ++group) format.find(tile, group, found[group]);
  }
  void expand(const Format& format, const typename Format::Tile& tile, int group, ExpandedGroup<Format>& out) const {
    format.expand(tile, group, found[group], out);
  }
};

/// Where the sum of the i-th scale begins: codes are Format::kOffset above what they mean.
template <typename Format>
inline int32_t start_of(const ActivationBlock& x, int i_scale) {
  if constexpr (Format::kOffset == 0) {
    return 0;
  } else {
    return -Format::kOffset * Format::sum(x, i_scale);
  }
}

#ifdef OUTPOST_NARROW_SUMS
/// body(i) for i < n, each i a constant: GCC keeps an array in registers only if it sees constant indices early, and
/// loops of loops are unrolled late.
template <int n, typename Body>
OUTPOST_INLINE inline void unrolled(const Body& body) {
  [&]<int... i>(std::integer_sequence<int, i...>) OUTPOST_INLINE { (body(std::integral_constant<int, i>{}), ...); }
  (std::make_integer_sequence<int, n>{});
}

/// sums[t] += factors * sum over c < kDots of w[c] * the four activations at input(t, c), where `factors` holds for
/// each lane one number twice. kFitting dot products fit a sum of 16 bits, which begins with start(t, c).
/// @tparam Codes U8x64, or SignedCodes to count codes as the numbers 128 below them
template <typename Codes, int kFitting, int kDots, int kTokens, typename Input, typename Start>
OUTPOST_INLINE inline void add_narrow(const U8x64* w, I16x32 factors, I32x16 (&sums)[kTokens], const Input& input,
                                      const Start& start) {
  I16x32 narrow[kTokens];
  unrolled<kDots>([&](auto c) OUTPOST_INLINE {
    constexpr bool kIsFirst = c % kFitting == 0, kIsLast = c % kFitting == kFitting - 1 || c == kDots - 1;
    const std::conditional_t<std::is_same_v<Codes, U8x64>, const U8x64&, Codes> codes = w[c];
    unrolled<kTokens>([&](auto t) OUTPOST_INLINE {
      if constexpr (!kIsFirst) {
        narrow[t] = narrow[t] + pair_products(codes, input(t, c));
      } else if constexpr (std::is_same_v<decltype(start(t, c)), I16x32>) {
        narrow[t] = start(t, c) + pair_products(codes, input(t, c));
      } else {
        narrow[t] = pair_products(codes, input(t, c));
      }
      if constexpr (kIsLast) sums[t] = dot_pairs(sums[t], narrow[t], factors);
    });
  });
}
/// A start of 0.
struct NoStart {
  std::nullptr_t operator()(int, int) const { return nullptr; }
};

/// How many of n_dots products of pairs fit 16 bits: a product is at most max_code * 127, and two are added at once.
constexpr int fitting(int max_code, int n_dots) { return std::min(n_dots, 32767 / (2 * max_code * 127)); }

template <typename Format>
inline constexpr bool kIsWide = Format::kMaxCode > 127;

/// What add_group does, for kTokens tokens with sums in 16 bits: a dot product is one instruction and not three. They
/// are added up as long as they fit, and then widened and scaled by one more. A vector of codes is read once for all
/// tokens, which is why several go together.
template <typename Format, int kTokens>
inline void add_group_narrow(const ExpandedGroup<Format>& expanded, const ActivationBlock* x, int group,
                             I32x16 (*sums)[1]) {
  constexpr int kScales = scales_per_group<Format>(), kDots = 64 / (Format::kGroups * kScales);
  OUTPOST_UNROLL
  for (int s = 0; s < kScales; ++s) {
    const int i_scale = kScales * group + s;
    const U8x64* w = expanded.w + kDots * s;
    const I16x32 factors = i16_pairs(expanded.scale[s]);
    const auto input = [&](int t, int c) { return Format::input(x[t]) + 4 * (kDots * i_scale + c); };
    I32x16 parts[kTokens];
    OUTPOST_UNROLL
    for (int t = 0; t < kTokens; ++t) parts[t] = sums[t][0];
    if constexpr (requires { Format::kMaxMagnitude; }) {
      // What codes are above the values is taken off where a sum of 16 bits begins. It may leave their range on the
      // way, but what it ends with is a sum of values, and fits again.
      static_assert(fitting(Format::kMaxMagnitude, kDots) >= kDotsPerStart && fitting(Format::kMaxCode, 1) == 1);
      add_narrow<U8x64, kDotsPerStart, kDots>(w, factors, parts, input, [&](int t, int c) OUTPOST_INLINE {
        return pair_of_i16(Format::starts(x[t]) + 2 * ((kDots * i_scale + c) / kDotsPerStart));
      });
    } else if constexpr (kIsWide<Format>) {
      add_narrow<SignedCodes, 1, kDots>(w, factors, parts, input, NoStart());
    } else {
      OUTPOST_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        if constexpr (Format::kOffset != 0)
          parts[t] = parts[t] + expanded.scale[s] * i32_set1(start_of<Format>(x[t], i_scale));
      }
      add_narrow<U8x64, fitting(Format::kMaxCode, kDots), kDots>(w, factors, parts, input, NoStart());
    }
    OUTPOST_UNROLL
    for (int t = 0; t < kTokens; ++t) sums[t][0] = parts[t];
  }
}

#else
template <int kMaxCode>
inline I32x16 dot4_of(I32x16 acc, U8x64 w, const int8_t* x) {
  if constexpr (kMaxCode > 127) {
    return dot4_wide(acc, w, x);
  } else {
    return dot4(acc, w, x);
  }
}

/// sums[i] += scale * sum(code * q) over a group of columns of kTiles tiles, for one token. Four activations are read
/// once for all tiles.
///
/// A dot product waits four cycles for the one before it in the same sum. With many tokens the processor works on
/// several at once; a single one has kChains independent sums. Integers: the order does not change the result.
template <typename Format, int kTiles, int kChains>
inline void add_group(const ExpandedGroup<Format> (&expanded)[kTiles], const ActivationBlock& x, int group,
                      I32x16 (&sums)[kTiles]) {
  constexpr int kScales = scales_per_group<Format>(), kColumns = 256 / (Format::kGroups * kScales);
  OUTPOST_UNROLL
  for (int s = 0; s < kScales; ++s) {
    const int i_scale = kScales * group + s;
    I32x16 parts[kTiles][kChains];
    OUTPOST_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      parts[i][0] = i32_set1(start_of<Format>(x, i_scale));
      for (int chain = 1; chain < kChains; ++chain) parts[i][chain] = i32_set1(0);
    }
    OUTPOST_UNROLL
    for (int c = 0; c < kColumns / 4; ++c) {
      const int8_t* four = Format::input(x) + kColumns * i_scale + 4 * c;
      OUTPOST_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        I32x16& part = parts[i][c % kChains];
        part = dot4_of<Format::kMaxCode>(part, expanded[i].w[kColumns / 4 * s + c], four);
      }
    }
    OUTPOST_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      for (int chain = 1; chain < kChains; ++chain) parts[i][0] = parts[i][0] + parts[i][chain];
      sums[i] = sums[i] + expanded[i].scale[s] * parts[i][0];
    }
  }
}
#endif

#ifdef OUTPOST_NARROW_SUMS
/// body<k>(t) for k tokens from the t-th on: for kTokens together, or for all n if that is 0. The last of these take no
/// more than they are: five ways of a search are not to cost what eight do.
template <int kTokens, typename Body>
inline void for_tokens_at_once([[maybe_unused]] int n, const Body& body) {
  if constexpr (kTokens > 0) {
    body.template operator()<kTokens>(0);
  } else {
    int t = 0;
    for (; t + kTokensAtOnce <= n; t += kTokensAtOnce) body.template operator()<kTokensAtOnce>(t);
    if (n - t >= 2) {
      body.template operator()<2>(t);
      t += 2;
    }
    if (t < n) body.template operator()<1>(t);
  }
}
#endif

/// A group for n tokens, or for kTokens of them if that is not 0.
template <typename Format, int kTiles, int kTokens>
inline void add_groups(const ExpandedGroup<Format> (&expanded)[kTiles], const ActivationBlock* x, int n, int group,
                       I32x16 (*sums)[kTiles]) {
#ifdef OUTPOST_NARROW_SUMS
  for_tokens_at_once<kTokens>(
      n, [&]<int kAtOnce>(int t) { add_group_narrow<Format, kAtOnce>(expanded[0], x + t, group, sums + t); });
#else
  constexpr int kChains = kTokens == 1 ? 4 / kTiles : 1;
  for_tokens<kTokens>(n, [&](int t) { add_group<Format, kTiles, kChains>(expanded, x[t], group, sums[t]); });
#endif
}

/// kTiles tiles for kTokens tokens, or for args.n_tokens if kTokens is 0: a group's codes are expanded once and serve
/// all of them. Results of tokens past args.n_tokens are dropped.
template <typename Format, int kTiles, int kTokens>
void matmul_tiles(const Format& format, const MatmulArgs& args) {
  using Tile = typename Format::Tile;
  constexpr int kCapacity = kTokens > 0 ? kTokens : kMaxTileTokens;
  const int n = args.n_tokens;
  F32x16 acc[kCapacity][kTiles];
  for_tokens<kTokens>(n, [&](int t) { std::fill_n(acc[t], kTiles, f32_set1(0.0f)); });
  for (int64_t superblock = 0; superblock < args.n_cols / 256; ++superblock) {
    const ActivationBlock* x = activations<ActivationBlock>(args, superblock);
    const auto tile = [&](int i) -> const Tile& { return tile_of<Tile>(args, i, superblock); };
    I32x16 sums[kCapacity][kTiles];
    for_tokens<kTokens>(n, [&](int t) { std::fill_n(sums[t], kTiles, i32_set1(0)); });
    LookUps<Format> look_ups[kTiles];
    for (int i = 0; i < kTiles; ++i) look_ups[i].find(format, tile(i));
    for (int group = 0; group < Format::kGroups; ++group) {
      ExpandedGroup<Format> expanded[kTiles];
      for (int i = 0; i < kTiles; ++i) {
        prefetch_ahead<Format::kGroups, kTokens>(tile(i), group);
        look_ups[i].expand(format, tile(i), group, expanded[i]);
      }
      add_groups<Format, kTiles, kTokens>(expanded, x, n, group, sums);
    }
    for (int i = 0; i < kTiles; ++i) {
      const auto finish = Format::finish(tile(i));
      for_tokens<kTokens>(n, [&](int t) { acc[t][i] = finish.add(x[t], sums[t][i], acc[t][i]); });
    }
  }
  for_tokens<kTokens>(n, [&](int t) {
    if (t >= args.n_tokens) return;
    for (int i = 0; i < kTiles; ++i) f32_store(args.y + t * args.y_stride + kTileRows * i, acc[t][i]);
  });
}

/// The i-th of the tiles alone.
inline MatmulArgs tile_alone(const MatmulArgs& args, int i) {
  MatmulArgs one = args;
  one.tiles += static_cast<size_t>(i) * args.tile_bytes;
  one.n_tiles = 1;
  one.y += kTileRows * i;
  return one;
}

/// Calls run<kTiles, kTokens>(args) as often as it takes. A single token reads tile after tile, because the processor
/// reads ahead of one stream better than of two.
template <typename Run>
inline void for_tile_sizes(const MatmulArgs& args, const Run& run) {
  const auto with_tokens = [&]<int kTiles>(const MatmulArgs& some) {
    if (some.n_tokens == 1) return run.template operator()<kTiles, 1>(some);
    if (some.n_tokens == 2) return run.template operator()<kTiles, 2>(some);
    static_assert(kSpareBlocks >= 1);
    if (some.n_tokens <= 4) return run.template operator()<kTiles, 4>(some);  // a fourth of three is dropped
    run.template operator()<kTiles, 0>(some);
  };
  if (args.n_tiles == kTilesAtOnce && args.n_tokens > 1) return with_tokens.template operator()<kTilesAtOnce>(args);
  for (int i = 0; i < args.n_tiles; ++i) with_tokens.template operator()<1>(tile_alone(args, i));
}

template <typename Format>
void matmul(const Format& format, const MatmulArgs& args) {
  for_tile_sizes(args, [&]<int kTiles, int kTokens>(const MatmulArgs& some) {
    matmul_tiles<Format, kTiles, kTokens>(format, some);
  });
}

/// acc + d * x.scale * sum
struct ScaledFinish {
  F32x16 d;

  F32x16 add(const ActivationBlock& x, I32x16 sum, F32x16 acc) const {
    return fma(d * f32_set1(x.scale), to_f32(sum), acc);
  }
};

/// The same, less dmin * x.scale * sum of min * sum(q), over pairs of sub-blocks of 512 / kPairs columns.
template <int kPairs>
struct MinsFinish {
  F32x16 d, dmin;
  I32x16 mins[kPairs];  ///< two 16-bit numbers a lane

  F32x16 add(const ActivationBlock& x, I32x16 sum, F32x16 acc) const {
    const int16_t* q_sums = kPairs == 8 ? x.sum16 : x.sum32;
    I32x16 of_mins = i32_set1(0);
    for (int i = 0; i < kPairs; ++i) of_mins = dot2(of_mins, mins[i], q_sums + 2 * i);
    const F32x16 scale = f32_set1(x.scale);
    return fnma(dmin * scale, to_f32(of_mins), fma(d * scale, to_f32(sum), acc));
  }
};

// A format of a superblock of 256 columns has a Tile, its number of groups of columns that are expanded at once, and
//   expand(tile, group, out)   the group's codes and scales
//   kLookUps, Table, find(tile, group, found)   of codebooks: what expand(tile, group, found, out) gets
//   input(x)                   what the codes are multiplied by
//   kMaxCode, kOffset          the largest code, and what codes are above the values that are scaled; 128 if kMaxCode >
//   127
//   sum(x, i)                  of the input under the i-th scale, unless kOffset is 0
//   kMaxMagnitude, starts(x)   of codebooks: the largest value, and where sums of 16 bits of the input begin
//   kLeastScaled, kMostScaled  what values times their integer scales are within
//   finish(tile)               what adds the integers of a superblock to a float: ScaledFinish or MinsFinish

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
  static constexpr int kGroups = 16, kMaxCode = 3, kOffset = 0;
  static constexpr int kLeastScaled = 0, kMostScaled = 15 * 3;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatQ2_K>& out) const {
    expand_quarters(u8_load(tile.codes[group]), out.w);
    const I32x16 both = i32_load_u8(tile.scales[group / 2]);
    out.scale[0] = group % 2 == 0 ? i32_and(both, 15) : i32_shift_right<4>(both);
  }

  static MinsFinish<8> finish(const Tile& tile) {
    MinsFinish<8> finish{f16_load(tile.d), f16_load(tile.dmin), {}};
    for (int i = 0; i < 8; ++i) {
      const I32x16 both = i32_load_u8(tile.mins[i]);
      finish.mins[i] = i32_and(both + i32_shift_left<12>(both), 0x000F000F);
    }
    return finish;
  }
};

/// Codes are 0, 1 and 2 and mean 1 less. |S| <= 256 * 2 * 127 < 2^16
struct FormatTernary {
  using Tile = TileTernary;
  static constexpr int kGroups = 16, kMaxCode = 2, kOffset = 1;
  static constexpr int kLeastScaled = -1, kMostScaled = 1;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t sum(const ActivationBlock& x, int group) { return x.sum16[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatTernary>& out) const {
    expand_quarters(u8_load(tile.codes[group]), out.w);
    out.scale[0] = i32_set1(1);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d)}; }
};

/// Codes are 0 to 7 and mean 4 less. |S| <= 16 * 32 * 16 * 4 * 127 < 2^23
struct FormatQ3_K {
  using Tile = TileQ3_K;
  static constexpr int kGroups = 16, kMaxCode = 7, kOffset = 4;
  static constexpr int kLeastScaled = 31 * -4, kMostScaled = -32 * -4;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t sum(const ActivationBlock& x, int group) { return x.sum16[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatQ3_K>& out) const {
    expand_quarters(u8_load(tile.codes[group]), out.w);
    for (int c = 0; c < 4; ++c) out.w[c] = u8_or_masked(out.w[c], tile.high[group][c], 4);
    out.scale[0] = i32_load_i8(tile.scales[group]);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d)}; }
};

/// Codes are 0 to 63 and mean 32 less. |S| <= 16 * 128 * 16 * 32 * 127 < 2^28
struct FormatQ6_K {
  using Tile = TileQ6_K;
  static constexpr int kGroups = 16, kMaxCode = 63, kOffset = 32;
  static constexpr int kLeastScaled = 127 * -32, kMostScaled = -128 * -32;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t sum(const ActivationBlock& x, int group) { return x.sum16[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatQ6_K>& out) const {
    const U8x64 high = u8_load(tile.high[group]);
    const U8x64 low[2] = {u8_load(tile.low[group][0]), u8_load(tile.low[group][1])};
    out.w[0] = u8_or(u8_and(low[0], 15), u8_shift_left_and<4>(high, 0x30));
    out.w[1] = u8_or(u8_and(low[1], 15), u8_shift_left_and<2>(high, 0x30));
    out.w[2] = u8_or(u8_shift_and<4>(low[0], 15), u8_and(high, 0x30));
    out.w[3] = u8_or(u8_shift_and<4>(low[1], 15), u8_shift_and<2>(high, 0x30));
    out.scale[0] = i32_load_i8(tile.scales[group]);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d)}; }
};

/// Codes name values that are stored 128 higher. |S| <= 8 * 32 * 32 * 127 * 127 < 2^28
struct FormatIQ4_XS {
  using Tile = TileIQ4_XS;
  static constexpr int kGroups = 8, kMaxCode = 255, kOffset = 128;
  static constexpr int kLeastScaled = 31 * -127, kMostScaled = -32 * -127;
  U8Table16 values{kIq4Values, kOffset};

  static const int8_t* input(const ActivationBlock& x) { return x.q; }
  static int32_t sum(const ActivationBlock& x, int group) { return x.sum32[group]; }

  void expand(const Tile& tile, int group, ExpandedGroup<FormatIQ4_XS>& out) const {
    for (int v = 0; v < 4; ++v) {
      const U8x64 codes = u8_load(tile.codes[group][v]);
      out.w[v] = values.look_up(u8_and(codes, 15));
      out.w[4 + v] = values.look_up(u8_shift_and<4>(codes, 15));
    }
    out.scale[0] = i32_load_i8(tile.scales[group]);
  }

  static ScaledFinish finish(const Tile& tile) { return {f16_load(tile.d)}; }
};

/// Q4_K and Q5_K: |S| <= 8 * 63 * 32 * 31 * 127 < 2^26
template <typename TileType, int kHighestCode>
struct FormatK4 {
  using Tile = TileType;
  static constexpr int kGroups = 8, kMaxCode = kHighestCode, kOffset = 0;
  static constexpr int kLeastScaled = 0, kMostScaled = 63 * kHighestCode;

  static const int8_t* input(const ActivationBlock& x) { return x.q; }

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

  static MinsFinish<4> finish(const Tile& tile) {
    MinsFinish<4> finish{f16_load(tile.d), f16_load(tile.dmin), {}};
    for (int i = 0; i < 4; ++i) finish.mins[i] = i16_load_u8(tile.mins[i]);
    return finish;
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
template <typename Element, int kTiles, int kTokens>
void matmul_dense_tokens(const MatmulArgs& args, const float* x, int n_tokens, float* y) {
  const auto* w = reinterpret_cast<const typename Element::Stored*>(args.tiles);
  const auto tile_elements = static_cast<int64_t>(args.tile_bytes / sizeof(*w));
  const float* rows[kTokens];
  for (int t = 0; t < kTokens; ++t) rows[t] = x + std::min(t, n_tokens - 1) * args.x_stride;
  F32x16 acc[kTokens][kTiles];
  for_tokens<kTokens>(n_tokens, [&](int t) { std::fill_n(acc[t], kTiles, f32_set1(0.0f)); });
  for (int64_t col = 0; col < args.n_cols; ++col, w += kTileRows) {
    F32x16 column[kTiles];
    OUTPOST_UNROLL
    for (int i = 0; i < kTiles; ++i) column[i] = Element::load(w + i * tile_elements);
    OUTPOST_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const F32x16 value = f32_set1(rows[t][col]);
      OUTPOST_UNROLL
      for (int i = 0; i < kTiles; ++i) acc[t][i] = fma(column[i], value, acc[t][i]);
    }
  }
  for_tokens<kTokens>(n_tokens, [&](int t) {
    if (t >= n_tokens) return;
    for (int i = 0; i < kTiles; ++i) f32_store(y + t * args.y_stride + kTileRows * i, acc[t][i]);
  });
}

template <typename Element>
void matmul_dense(const MatmulArgs& args) {
  for_tile_sizes(args, []<int kTiles, int kTokens>(const MatmulArgs& some) {
    constexpr int kAtOnce = kTokens > 0 ? kTokens : kDenseTokensAtOnce;
    for (int t = 0; t < some.n_tokens; t += kAtOnce) {
      matmul_dense_tokens<Element, kTiles, kAtOnce>(some, static_cast<const float*>(some.x) + t * some.x_stride,
                                                    some.n_tokens - t, some.y + t * some.y_stride);
    }
  });
}

inline void matmul_f32(const MatmulArgs& args) { matmul_dense<ElementF32>(args); }
inline void matmul_f16(const MatmulArgs& args) { matmul_dense<ElementF16>(args); }
inline void matmul_bf16(const MatmulArgs& args) { matmul_dense<ElementBF16>(args); }
inline void matmul_q2_K(const MatmulArgs& args) { matmul(FormatQ2_K{}, args); }
inline void matmul_q3_K(const MatmulArgs& args) { matmul(FormatQ3_K{}, args); }
inline void matmul_ternary(const MatmulArgs& args) { matmul(FormatTernary{}, args); }
inline void matmul_q6_K(const MatmulArgs& args) { matmul(FormatQ6_K{}, args); }
inline void matmul_iq4_xs(const MatmulArgs& args) { matmul(FormatIQ4_XS{}, args); }
inline void matmul_q4_K(const MatmulArgs& args) { matmul(FormatK4<TileQ4_K, 15>{}, args); }
inline void matmul_q5_K(const MatmulArgs& args) { matmul(FormatK4<TileQ5_K, 31>{}, args); }

}  // namespace
}  // namespace outpost
