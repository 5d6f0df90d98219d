// Products of many tokens on a core's matrix unit. Included after the unit (matrix_unit_*.h) and its lanes, whose
// kernels' bits these have: sums of integers are exact in any order, and what becomes of them is the formats' own
// `finish`. Internal to one kernels_*.cpp.
//
// The unit knows no scales, so a superblock's codes are multiplied by those of their groups first. That takes up to 13
// bits: two digits of 8 bits, each with a sum of its own, or one where all products fit it. Codes are expanded once for
// all tokens of a call. Groups that have a scale in f32 are multiplied one by one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "backend/cpu/matmul_block_kernels.h"
#include "backend/cpu/matmul_codebook_kernels.h"
#include "backend/cpu/matmul_kernels.h"
#include "backend/cpu/peak_kernels.h"

namespace outpost {
namespace {

/// Tokens that the unit takes at once.
inline constexpr int kUnitTokens = 16;

/// body(i) for i < n, each i a constant.
template <int n, typename Body>
inline void for_constants(const Body& body) {
  [&]<int... i>(std::integer_sequence<int, i...>) { (body(std::integral_constant<int, i>{}), ...); }
  (std::make_integer_sequence<int, n>{});
}

/// A call's tokens in blocks of one size: the last begins early enough to be full. What is in two blocks is computed
/// twice.
struct TokenBlocks {
  int n_tokens, n_blocks, size;

  explicit TokenBlocks(int n)
      : n_tokens(n), n_blocks((n + kUnitTokens - 1) / kUnitTokens), size(std::min(n, kUnitTokens)) {}
  int first(int block) const { return std::min(block * kUnitTokens, n_tokens - size); }
};

/// What the rows of kTiles tiles come to for a token.
template <int kTiles>
struct alignas(64) UnitAcc {
  float of_tile[kTiles][kTileRows];
};

/// For each token of each block.
template <int kTiles>
struct UnitResults {
  UnitAcc<kTiles> acc[kMaxTileTokens / kUnitTokens][kUnitTokens];

  explicit UnitResults(const TokenBlocks& blocks) {
    std::fill_n(&acc[0][0], blocks.n_blocks * kUnitTokens, UnitAcc<kTiles>{});
  }
  void store(const TokenBlocks& blocks, const MatmulArgs& args) const {
    for (int block = 0; block < blocks.n_blocks; ++block) {
      for (int t = 0; t < blocks.size; ++t) {
        float* y = args.y + (blocks.first(block) + t) * args.y_stride;
        for (int i = 0; i < kTiles; ++i) f32_store(y + kTileRows * i, f32_load(acc[block][t].of_tile[i]));
      }
    }
  }
};

/// Brings a token's input to the first-level cache: the unit reads it from there only as fast as it comes.
inline void ask_for_input(const int8_t* q, int n) {
  for (int i = 0; i < n; i += 64) prefetch_near(reinterpret_cast<const char*>(q) + i);
}

/// Sums of a block of tokens as they leave the unit.
using UnitSums = int32_t[kUnitTokens][kTileRows];

/// Products that need no second digit but for 128 are stored negated.
template <typename Format>
inline constexpr bool kIsNegated = Format::kMostScaled == 128;
template <typename Format>
inline constexpr int kDigits = kIsNegated<Format> || (Format::kLeastScaled >= -128 && Format::kMostScaled <= 127) ? 1
                                                                                                                  : 2;

/// The scaled codes of a superblock of 256 columns.
template <typename Format>
struct UnitCodes {
  alignas(64) uint8_t digits[kDigits<Format>][64][64];

  void expand(const Format& format, const typename Format::Tile& tile) {
    constexpr int kScales = scales_per_group<Format>(), kVectors = 64 / (Format::kGroups * kScales);
    LookUps<Format> look_ups;
    look_ups.find(format, tile);
    for (int group = 0; group < Format::kGroups; ++group) {
      prefetch_ahead<Format::kGroups, 0>(tile, group);
      ExpandedGroup<Format> expanded;
      look_ups.expand(format, tile, group, expanded);
      OUTPOST_UNROLL
      for (int s = 0; s < kScales; ++s) {
        const I32x16 scale = kIsNegated<Format> ? expanded.scale[s] * i32_set1(-1) : expanded.scale[s];
        const ScaledCodes<Format::kOffset> scaled(scale);
        const int first = kVectors * (kScales * group + s);
        OUTPOST_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          const U8x64 w = expanded.w[kVectors * s + v];
          if constexpr (kDigits<Format> == 1) {
            scaled.store_low(w, digits[0][first + v]);
          } else {
            scaled.store_both(w, digits[0][first + v], digits[1][first + v]);
          }
        }
      }
    }
  }
};

/// The integers of a superblock from its digits' sums.
template <typename Format>
inline I32x16 joined(const UnitSums* digits, int t) {
  const I32x16 low = i32_load(digits[0][t]);
  if constexpr (kIsNegated<Format>) {
    return low * i32_set1(-1);
  } else if constexpr (kDigits<Format> == 1) {
    return low;
  } else {
    return low + i32_shift_left<8>(i32_load(digits[1][t]));
  }
}

/// Adds 64 columns of a superblock of kTiles tiles to the unit's sums: kDigits of each tile side by side.
template <typename Format, int kTiles>
inline void add_columns(MatrixUnit<64>& unit, const UnitCodes<Format> (&codes)[kTiles], const ActivationBlock& x,
                        int chunk) {
  unit.template load_input<0, sizeof(ActivationBlock)>(Format::input(x) + 64 * chunk);
  for_constants<kTiles * kDigits<Format>>([&](auto i) {
    constexpr int kDigit = i % kDigits<Format>, kCodes = i % 2;
    unit.load_codes<kCodes>(codes[i / kDigits<Format>].digits[kDigit][16 * chunk]);
    if constexpr (kDigits<Format> == 2 && kDigit == 0) {
      unit.add_unsigned<i, 0, kCodes>();
    } else {
      unit.add_signed<i, 0, kCodes>();
    }
  });
}

/// Adds a superblock's sums to the results of n tokens.
template <typename Format, int kTiles, typename Finish>
inline void finish_tokens(const Finish (&finish)[kTiles], const ActivationBlock* x, int n, const UnitSums* sums,
                          UnitAcc<kTiles>* acc, int first) {
  for (int t = first; t < first + n; ++t) {
    F32x16 results[kTiles];
    OUTPOST_UNROLL
    for (int i = 0; i < kTiles; ++i)
      results[i] = finish[i].add(x[t], joined<Format>(sums + kDigits<Format> * i, t), f32_load(acc[t].of_tile[i]));
    OUTPOST_UNROLL
    for (int i = 0; i < kTiles; ++i) f32_store(acc[t].of_tile[i], results[i]);
  }
}

/// While the matrix unit multiplies 64 columns for a block of tokens, the vector units finish a quarter of the block
/// before.
template <typename Format, int kTiles>
void matmul_unit_superblocks(const Format& format, const MatmulArgs& args) {
  constexpr int kSums = kTiles * kDigits<Format>, kChunks = 4;
  static_assert(kSums <= MatrixUnit<64>::kSums);
  const TokenBlocks blocks(args.n_tokens);
  UnitResults<kTiles> results(blocks);
  UnitCodes<Format> codes[kTiles];
  alignas(64) UnitSums sums[2][kSums];
  MatrixUnit<256 / kChunks> unit(blocks.size);
  for (int64_t superblock = 0; superblock < args.n_cols / 256; ++superblock) {
    const auto tile = [&](int i) -> const auto& { return tile_of<typename Format::Tile>(args, i, superblock); };
    const ActivationBlock* x = activations<ActivationBlock>(args, superblock);
    for (int i = 0; i < kTiles; ++i) codes[i].expand(format, tile(i));
    decltype(Format::finish(tile(0))) finish[kTiles];
    for (int i = 0; i < kTiles; ++i) finish[i] = Format::finish(tile(i));
    for (int block = 0; block <= blocks.n_blocks; ++block) {
      const bool has_block = block < blocks.n_blocks;
      const ActivationBlock* of_block = x + blocks.first(block);
      const ActivationBlock* next = block + 1 < blocks.n_blocks ? x + blocks.first(block + 1) : x + args.x_stride;
      if (has_block) for_constants<kSums>([&](auto i) { unit.clear<i>(); });
      for_constants<kChunks>([&](auto chunk) {
        const int first = blocks.size * chunk / kChunks, n = blocks.size * (chunk + 1) / kChunks - first;
        if (has_block) {
          add_columns(unit, codes, *of_block, chunk);
          for (int t = first; t < first + n; ++t) ask_for_input(Format::input(next[t]), 256);
        }
        if (block > 0) {
          const int before = block - 1;
          finish_tokens<Format>(finish, x + blocks.first(before), n, sums[before % 2], results.acc[before], first);
        }
      });
      if (has_block) for_constants<kSums>([&](auto i) { unit.store<i>(sums[block % 2][i][0]); });
    }
  }
  results.store(blocks, args);
}

/// The values of a superblock, and what each of its groups of 32 columns is scaled by.
template <typename Format>
struct UnitGroups {
  alignas(64) uint8_t values[8][8][64];
  alignas(64) float d[8][kTileRows], m[8][kTileRows];

  void expand(const Format& format, const typename Format::Tile& tile) {
    for (int group = 0; group < 8; ++group) {
      prefetch_ahead<8, 0>(tile, group);
      ExpandedBlock<Format> block;
      expand_block(format, tile, group, block);
      OUTPOST_UNROLL
      for (int v = 0; v < 8; ++v) store_values(block.w[v], Format::kOffset, values[group][v]);
      f32_store(d[group], block.d);
      if constexpr (kHasMinimum<Format>) f32_store(m[group], block.m);
    }
  }
};

/// Groups whose sums leave the unit before they are added up: results are read and written once for them.
inline constexpr int kGroupsAtOnce = 4;

/// sums[tile][i] = the group first + i of kTiles tiles times the input of a block of tokens.
template <typename Format, int kTiles>
inline void multiply_groups(MatrixUnit<32>& unit, const UnitGroups<Format> (&codes)[kTiles], const ActivationBlock32& x,
                            int first, UnitSums (*sums)[kGroupsAtOnce]) {
  constexpr int kInputs = MatrixUnit<32>::kInputs;
  static_assert(kTiles * kInputs <= MatrixUnit<32>::kSums);
  for (int some = 0; some < kGroupsAtOnce; some += kInputs) {
    for_constants<kInputs>([&](auto g) {
      const int group = first + some + g;
      unit.template load_input<g, sizeof(ActivationBlock32)>(x.q + 32 * group);
      for_constants<kTiles>([&](auto i) {
        constexpr int kSum = kInputs * i + g;
        unit.clear<kSum>();
        unit.load_codes<i>(codes[i].values[group][0]);
        unit.add_signed<kSum, g, i>();
      });
    });
    for_constants<kTiles * kInputs>([&](auto i) { unit.store<i>(sums[i / kInputs][some + i % kInputs][0]); });
  }
}

/// Adds what kGroupsAtOnce groups come to, group after group, to the results of n tokens.
template <typename Format, int kTiles>
inline void finish_groups(const UnitGroups<Format> (&codes)[kTiles], const ActivationBlock32* x, int n, int first,
                          const UnitSums (*sums)[kGroupsAtOnce], UnitAcc<kTiles>* acc) {
  for (int t = 0; t < n; ++t) {
    F32x16 results[kTiles];
    OUTPOST_UNROLL
    for (int i = 0; i < kTiles; ++i) results[i] = f32_load(acc[t].of_tile[i]);
    OUTPOST_UNROLL
    for (int g = 0; g < kGroupsAtOnce; ++g) {
      const F32x16 scale = f32_set1(x[t].scale[first + g]), scaled_sum = f32_set1(x[t].scaled_sum[first + g]);
      OUTPOST_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        results[i] = fma(f32_load(codes[i].d[first + g]) * scale, to_f32(i32_load(sums[i][g][t])), results[i]);
        if constexpr (kHasMinimum<Format>) results[i] = fma(f32_load(codes[i].m[first + g]), scaled_sum, results[i]);
      }
    }
    OUTPOST_UNROLL
    for (int i = 0; i < kTiles; ++i) f32_store(acc[t].of_tile[i], results[i]);
  }
}

template <typename Format, int kTiles>
void matmul_unit_groups(const Format& format, const MatmulArgs& args) {
  const TokenBlocks blocks(args.n_tokens);
  UnitResults<kTiles> results(blocks);
  UnitGroups<Format> codes[kTiles];
  alignas(64) UnitSums sums[kTiles][kGroupsAtOnce];
  MatrixUnit<32> unit(blocks.size);
  for (int64_t superblock = 0; superblock * 256 < args.n_cols; ++superblock) {
    const ActivationBlock32* x = activations<ActivationBlock32>(args, superblock);
    for (int i = 0; i < kTiles; ++i) codes[i].expand(format, tile_of<typename Format::Tile>(args, i, superblock));
    for (int block = 0; block < blocks.n_blocks; ++block) {
      const ActivationBlock32* of_block = x + blocks.first(block);
      const ActivationBlock32* next = block + 1 < blocks.n_blocks ? x + blocks.first(block + 1) : x + args.x_stride;
      for (int t = 0; t < blocks.size; ++t) ask_for_input(next[t].q, sizeof(ActivationBlock32));
      for (int first = 0; first < 8; first += kGroupsAtOnce) {
        multiply_groups(unit, codes, *of_block, first, sums);
        finish_groups(codes, of_block, blocks.size, first, sums, results.acc[block]);
      }
    }
  }
  results.store(blocks, args);
}

/// From so many tokens on the unit is faster than the lanes: codes are expanded and stored first, and the unit takes as
/// long for one token as for sixteen.
inline constexpr int kFewestOfSuperblocks = 8, kFewestOfGroups = 16;

/// The kernels beside the unit, of another kernels_*.cpp: fewer tokens are multiplied by them.
using BaseKernels = const CpuKernelTable& (*)();

template <BaseKernels kBase, TensorType kType, typename Format>
void matmul_unit(const MatmulArgs& args) {
  static const Format format;
  static const MatmulKernel of_few_tokens = kBase().matmul(kType);
  constexpr bool kHasSuperblocks = requires { Format::kGroups; };
  const auto run = [&]<int kTiles>() {
    if constexpr (kHasSuperblocks) {
      matmul_unit_superblocks<Format, kTiles>(format, args);
    } else {
      matmul_unit_groups<Format, kTiles>(format, args);
    }
  };
  if (args.n_tokens < (kHasSuperblocks ? kFewestOfSuperblocks : kFewestOfGroups)) return of_few_tokens(args);
  static_assert(kMaxTiles == 2);
  if (args.n_tiles == 2) return run.template operator()<2>();
  run.template operator()<1>();
}

template <BaseKernels kBase>
MatmulKernel matmul_unit_kernel(TensorType type) {
  using enum TensorType;
  switch (type) {
    case kQ4_0: return matmul_unit<kBase, kQ4_0, FormatNibbles<TileQ4_0, 15, 8>>;
    case kQ4_1: return matmul_unit<kBase, kQ4_1, FormatNibbles<TileQ4_1, 15, 0>>;
    case kQ5_0: return matmul_unit<kBase, kQ5_0, FormatNibbles<TileQ5_0, 31, 16>>;
    case kQ5_1: return matmul_unit<kBase, kQ5_1, FormatNibbles<TileQ5_1, 31, 0>>;
    case kQ8_0: return matmul_unit<kBase, kQ8_0, FormatQ8_0>;
    case kIQ4_NL: return matmul_unit<kBase, kIQ4_NL, FormatIQ4_NL>;
    case kMXFP4: return matmul_unit<kBase, kMXFP4, FormatMXFP4>;
    case kQ2_K: return matmul_unit<kBase, kQ2_K, FormatQ2_K>;
    case kQ3_K: return matmul_unit<kBase, kQ3_K, FormatQ3_K>;
    case kQ4_K: return matmul_unit<kBase, kQ4_K, FormatK4<TileQ4_K, 15>>;
    case kQ5_K: return matmul_unit<kBase, kQ5_K, FormatK4<TileQ5_K, 31>>;
    case kQ6_K: return matmul_unit<kBase, kQ6_K, FormatQ6_K>;
    case kIQ4_XS: return matmul_unit<kBase, kIQ4_XS, FormatIQ4_XS>;
    case kTQ1_0: return matmul_unit<kBase, kTQ1_0, FormatTernary>;
    case kTQ2_0: return matmul_unit<kBase, kTQ2_0, FormatTernary>;
    case kIQ2_XXS: return matmul_unit<kBase, kIQ2_XXS, FormatIQ2_XXS>;
    case kIQ2_XS: return matmul_unit<kBase, kIQ2_XS, FormatIQ2<1, kIq2XsGrid>>;
    case kIQ2_S: return matmul_unit<kBase, kIQ2_S, FormatIQ2<2, kIq2SGrid>>;
    case kIQ3_XXS: return matmul_unit<kBase, kIQ3_XXS, FormatIQ3<0, kIq3XxsGrid, kIq3XxsMagnitudes>>;
    case kIQ3_S: return matmul_unit<kBase, kIQ3_S, FormatIQ3<1, kIq3SGrid, kIq3SMagnitudes>>;
    default: return kBase().matmul(type);
  }
}

/// kPeakRounds products of 16 tokens, 16 rows and 64 columns for each of the unit's sums.
int32_t peak_unit() {
  alignas(64) static constexpr uint8_t kCodes[1024] = {1, 2, 3};
  alignas(64) UnitSums sums[MatrixUnit<64>::kSums];
  MatrixUnit<64> unit(kUnitTokens);
  unit.load_input<0, 64>(reinterpret_cast<const int8_t*>(kCodes));
  unit.load_codes<0>(kCodes);
  for_constants<MatrixUnit<64>::kSums>([&](auto i) { unit.clear<i>(); });
  for (int round = 0; round < kPeakRounds; ++round)
    for_constants<MatrixUnit<64>::kSums>([&](auto i) { unit.add_signed<i, 0, 0>(); });
  for_constants<MatrixUnit<64>::kSums>([&](auto i) { unit.store<i>(sums[i][0]); });
  return sums[0][0][0] + sums[1][0][0] + sums[2][0][0] + sums[3][0][0];
}

/// The kernels beside the unit with those of the unit in their place.
template <BaseKernels kBase>
CpuKernelTable with_matrix_unit(const char* name) {
  CpuKernelTable table = kBase();
  table.name = name;
  table.matmul = matmul_unit_kernel<kBase>;
  table.n_lone_prefill = kMaxTileTokens;  // codes are expanded once for them
  table.peak_int8 = peak_unit;
  table.n_peak_int8 = int64_t{kPeakRounds} * MatrixUnit<64>::kSums * kUnitTokens * kTileRows * 64;
  return table;
}

}  // namespace
}  // namespace outpost
