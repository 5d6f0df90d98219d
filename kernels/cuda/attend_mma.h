// What attend_tile (attention.h) does, on f16 matrix units: eight rows of a tile are the columns of operand B, so a key
// or a value is multiplied with all of them at once, and is read once for all rows of the tile. Operand A are 16
// positions by 16 dimensions of keys, and 16 dimensions by 16 positions of values; which of them a lane holds is for us
// to say, as long as A and B agree, so a lane takes neighbours, and what a warp reads are whole sectors.
//
// A query, divided by a power of two, and a weight of the softmax are each the sum of two f16, which leaves 2^-22 of
// it: both halves are multiplied, and sums and the softmax are f32. As with attend_tile a row's bits depend on its
// split alone. A key or value that is not finite makes NaN of what sees it, and nothing of what does not.
#pragma once

#include "kernels/cuda/half_words.h"
#include "kernels/cuda/mma.h"
#include "kernels/portable/rope_attention.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kScorePitch = kPage + 4;  ///< rows begin in other banks of shared memory than their neighbours
static_assert(kKvSplit == kPage, "a split is a page");
static_assert(kPage == 16 * kAttentionWarps, "each warp has the scores of 16 positions");

/// Queries are this far apart. Two rows of eight numbers to a lane lie in different banks.
template <int kMaxDimK>
struct MmaPitch {
  static_assert(kMaxDimK % 32 == 0);
  enum { kQueries = kMaxDimK + 4 };
};

/// Of a block with tiles of up to kRows: queries [kRows, MmaPitch::kQueries] and the units that they are divided by
/// [kRows], scores and then weights [kRows, kScorePitch], split_factors [2 * kRows].
struct MmaMemory {
  SharedPtr<float> queries, units, scores, split_factors;
};

/// x as the sum of two f16, of which the first is in the low bits.
GPU_FN float in_halves(float x) {
  const uint16_t first = half_of_float(x);
  return float_of_bits(uint32_t(first) | uint32_t(half_of_float(x - float_of_half(first))) << 16);
}

/// Operand B of four numbers in halves: the first ones, or what those leave.
GPU_FN Words2 halves_of(Float4 x, bool is_first) {
  const uint32_t selector = is_first ? 0x5410u : 0x7632u;
  return Words2{pick_bytes(bits_of_float(x.x), bits_of_float(x.y), selector),
                pick_bytes(bits_of_float(x.z), bits_of_float(x.w), selector)};
}

/// The power of two that a row of queries is divided by: its largest magnitude's, so that f16 has room for all.
GPU_FN float query_unit(float largest) {
  const uint32_t kLeast = 27u << 23, kMost = 227u << 23;  // 2^-100 and 2^100
  const uint32_t exponent = bits_of_float(largest) & 0x7f800000u;
  return float_of_bits(exponent < kLeast ? kLeast : exponent > kMost ? kMost : exponent);
}

/// Queries, divided by their units, in halves: a row by a warp. Zeros where there is no dimension or no row; so are the
/// weights of rows that are not there.
template <int kRows, int kMaxDimK>
GPU_FN void split_queries(MmaMemory memory, int32_t n_rows, int32_t dim_k, Here here) {
  for (int32_t row = here.warp; row < kRows; row += kAttentionWarps) {
    const SharedPtr<float> query = memory.queries + row * MmaPitch<kMaxDimK>::kQueries;
    float largest = 0;
    if (row < n_rows) {  // the whole warp
      for (int32_t d = here.lane; d < dim_k; d += 32) largest = max32(largest, abs32(query[d]));
      largest = warp_max(largest);
    } else {
      for (int32_t i = here.lane; i < kPage; i += 32) memory.scores[row * kScorePitch + i] = in_halves(0);
    }
    const float unit = query_unit(largest), inverse = 1.0f / unit;
    if (here.lane == 0) memory.units[row] = unit;
    for (int32_t d = here.lane; d < (dim_k + 31) / 32 * 32; d += 32)
      query[d] = in_halves(row < n_rows && d < dim_k ? query[d] * inverse : 0.0f);
  }
}

/// Eight dimensions of a key that the pass adds, and four or two of a value. See NewPositions::has.
GPU_FN Words4 new_key(const NoNewPositions&, int32_t, int32_t) { return Words4{0, 0, 0, 0}; }
GPU_FN Words2 new_value4(const NoNewPositions&, int32_t, int32_t) { return Words2{0, 0}; }
GPU_FN uint32_t new_value2(const NoNewPositions&, int32_t, int32_t) { return 0; }
template <int kMaxDimK, int kMaxDimV>
GPU_FN Words4 new_key(const NewPositions<kMaxDimK, kMaxDimV>& added, int32_t position, int32_t d) {
  return load_halves8(added.keys + ((position - added.first) * kMaxDimK + d));
}
template <int kMaxDimK, int kMaxDimV>
GPU_FN Words2 new_value4(const NewPositions<kMaxDimK, kMaxDimV>& added, int32_t position, int32_t d) {
  return load_halves4(added.values + ((position - added.first) * kMaxDimV + d));
}
template <int kMaxDimK, int kMaxDimV>
GPU_FN uint32_t new_value2(const NewPositions<kMaxDimK, kMaxDimV>& added, int32_t position, int32_t d) {
  return load_halves2(added.values + ((position - added.first) * kMaxDimV + d));
}

/// What a block sees of a split: its slots `first` to `last`.
struct SplitPart {
  int32_t start;  ///< position of slot 0
  int32_t first, last;

  GPU_FN bool has(int32_t slot) const { return slot >= first && slot <= last; }
};

/// Scores of a split for every row, not masked: a warp has 16 positions. Of a group of 32 dimensions lane column c =
/// lane % 4 holds 8c to 8c + 7, of the keys of slots lane / 4 and lane / 4 + 8.
/// @param keys of the head's page
template <int kEights, int kMaxDimK, typename NewOnes>
GPU_FN void score_split_mma(MmaMemory memory, DevicePtr<const uint16_t> keys, const NewOnes& new_ones, int32_t dim_k,
                            SplitPart part, Here here) {
  constexpr int32_t kGroups = kMaxDimK <= 64 ? 2 : 4;  // that are asked for before the first is used
  const int32_t q = here.lane / 4, c = here.lane % 4, begin = 16 * here.warp;
  if (begin > part.last || begin + 15 < part.first) return;  // the whole warp
  constexpr int32_t kPitch = MmaPitch<kMaxDimK>::kQueries;
  float sums[kEights][2][4] = {};  // of the two halves of queries
  for (int32_t first_dim = 0; first_dim < dim_k; first_dim += 32 * kGroups) {
    Words4 loaded[kGroups][2];
    GPU_UNROLL for (int32_t h = 0; h < 2; ++h) {
      const int32_t slot = begin + q + 8 * h, position = part.start + slot;
      GPU_UNROLL for (int32_t g = 0; g < kGroups; ++g) {
        const int32_t d = first_dim + 32 * g + 8 * c;
        loaded[g][h] = Words4{0, 0, 0, 0};
        if (part.has(slot) && d < dim_k) {
          loaded[g][h] =
              new_ones.has(position) ? new_key(new_ones, position, d) : load_halves8(keys + (slot * dim_k + d));
        }
      }
    }
    GPU_UNROLL for (int32_t g = 0; g < kGroups; ++g) {
      const int32_t d = first_dim + 32 * g;
      if (d < dim_k) {  // the whole block
        const Words4 low = loaded[g][0], high = loaded[g][1];
        GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
          const SharedPtr<float> query = memory.queries + ((kMmaColumns * t + q) * kPitch + d + 8 * c);
          const Float4 first = load_float4(query), second = load_float4(query + 4);
          GPU_UNROLL for (int32_t half = 0; half < 2; ++half) {
            const Words2 b = halves_of(first, half == 0), b_of_second = halves_of(second, half == 0);
            mma_f16(sums[t][half], Words4{low.x, high.x, low.y, high.y}, b.x, b.y);
            mma_f16(sums[t][half], Words4{low.z, high.z, low.w, high.w}, b_of_second.x, b_of_second.y);
          }
        }
      }
    }
  }
  GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
      const int32_t row = sum_column(2 * t + i, here.lane);
      const float unit = memory.units[row];
      GPU_UNROLL for (int32_t h = 0; h < 2; ++h) memory.scores[row * kScorePitch + begin + q + 8 * h] =
          (sums[t][0][2 * h + i] + sums[t][1][2 * h + i]) * unit;
    }
  }
}

/// Values of a page as operand A: kLaneDims, 2 or 4, neighbouring dimensions to a lane, of each group of 16 positions
/// those of lane column c: 4c to 4c + 3. A warp has 8 kLaneDims dimensions.
template <int kLaneDims>
struct ValueWords {
  enum { kPairs = kLaneDims / 2 };
  uint32_t words[kPage / 4][kPairs];
};

/// @param values of the head's page, from the lane's first dimension `d` on; is_there: whether there is one
template <int kLaneDims, typename NewOnes>
GPU_FN void load_value_words(ValueWords<kLaneDims>& to, DevicePtr<const uint16_t> values, const NewOnes& new_ones,
                             int32_t d, bool is_there, int32_t dim_v, SplitPart part, int32_t lane) {
  GPU_UNROLL for (int32_t j = 0; j < kPage / 4; ++j) {
    const int32_t slot = j / 4 * 16 + lane % 4 * 4 + j % 4, position = part.start + slot;
    GPU_UNROLL for (int32_t pair = 0; pair < ValueWords<kLaneDims>::kPairs; ++pair) to.words[j][pair] = 0;
    if (is_there && part.has(slot)) {
      const DevicePtr<const uint16_t> value = values + slot * dim_v;
      const bool is_new = new_ones.has(position);
      if constexpr (kLaneDims == 4) {
        const Words2 two = is_new ? new_value4(new_ones, position, d) : load_halves4(value);
        to.words[j][0] = two.x;
        to.words[j][1] = two.y;
      } else {
        to.words[j][0] = is_new ? new_value2(new_ones, position, d) : load_halves2(value);
      }
    }
  }
}

/// 1 where a half is not finite, which becomes 0 there; else 0.
GPU_FN uint32_t take_spoiled(uint32_t& halves) {
  const bool low = (halves & 0x7c00u) == 0x7c00u, high = (halves & 0x7c000000u) == 0x7c000000u;
  halves &= (low ? 0u : 0xffffu) | (high ? 0u : 0xffff0000u);
  return (low ? 0x3c00u : 0u) | (high ? 0x3c000000u : 0u);
}

/// Sums of rows of D over a page: rows q are a lane's even dimensions, rows q + 8 the odd ones.
template <int kEights, int kLaneDims>
struct PageSums {
  float values[kEights][kLaneDims / 2][4];
};

/// sums += weights times values. @param weights [8 * kEights, kScorePitch] in halves
template <int kEights, int kLaneDims>
GPU_FN void multiply_values(PageSums<kEights, kLaneDims>& sums, const ValueWords<kLaneDims>& values,
                            SharedPtr<float> weights, int32_t lane) {
  GPU_UNROLL for (int32_t step = 0; step < kPage / 16; ++step) {
    Words2 b[kEights][2];
    GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
      const int32_t row = kMmaColumns * t + lane / 4;
      const Float4 of_row = load_float4(weights + (row * kScorePitch + 16 * step + 4 * (lane % 4)));
      GPU_UNROLL for (int32_t half = 0; half < 2; ++half) b[t][half] = halves_of(of_row, half == 0);
    }
    GPU_UNROLL for (int32_t pair = 0; pair < kLaneDims / 2; ++pair) {
      const uint32_t v0 = values.words[4 * step][pair], v1 = values.words[4 * step + 1][pair];
      const uint32_t v2 = values.words[4 * step + 2][pair], v3 = values.words[4 * step + 3][pair];
      const Words4 a = {pick_bytes(v0, v1, 0x5410u), pick_bytes(v0, v1, 0x7632u), pick_bytes(v2, v3, 0x5410u),
                        pick_bytes(v2, v3, 0x7632u)};
      GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
        GPU_UNROLL for (int32_t half = 0; half < 2; ++half)
            mma_f16(sums.values[t][pair], a, b[t][half].x, b[t][half].y);
      }
    }
  }
}

template <int kEights, int kLaneDims>
GPU_FN bool are_finite(const PageSums<kEights, kLaneDims>& sums) {
  bool are = true;
  GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
    GPU_UNROLL for (int32_t pair = 0; pair < kLaneDims / 2; ++pair) {
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) are = are && abs32(sums.values[t][pair][i]) < infinity32();
    }
  }
  return are;
}

/// Weights times values. A weight of 0 may be that of a position which the row does not see, and stands for nothing:
/// values that are not finite spoil sums of rows that do not see them as well, which are taken again without those.
template <int kEights, int kLaneDims>
GPU_FN PageSums<kEights, kLaneDims> sum_values(ValueWords<kLaneDims>& values, SharedPtr<float> weights, int32_t lane) {
  PageSums<kEights, kLaneDims> sums = {};
  multiply_values(sums, values, weights, lane);
  if (ballot(!are_finite(sums)) == 0) return sums;  // mostly
  ValueWords<kLaneDims> spoiled;
  GPU_UNROLL for (int32_t j = 0; j < kPage / 4; ++j) {
    GPU_UNROLL for (int32_t pair = 0; pair < kLaneDims / 2; ++pair) spoiled.words[j][pair] =
        take_spoiled(values.words[j][pair]);
  }
  PageSums<kEights, kLaneDims> clean = {}, seen = {};
  multiply_values(clean, values, weights, lane);
  multiply_values(seen, spoiled, weights, lane);
  GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
    GPU_UNROLL for (int32_t pair = 0; pair < kLaneDims / 2; ++pair) {
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
        if (!(seen.values[t][pair][i] == 0)) clean.values[t][pair][i] = float_of_bits(0x7fc00000u);
      }
    }
  }
  return clean;
}

/// As attend_tile, with tiles of up to kRows rows. Dimensions are multiples of 8.
template <int kRows, int kMaxDimK, int kMaxDimV, bool kIsSplit, typename NewOnes>
GPU_FN void attend_tile_mma(MmaMemory memory, TileResults to, DevicePtr<const uint16_t> pages,
                            DevicePtr<const int32_t> page_table, DevicePtr<const float> sinks, const NewOnes& new_ones,
                            GPU_BLOCK_REF(AttentionTile) tile, TileSplits splits,
                            GPU_PARAMS_REF(AttentionKernelParams) p, Here here) {
  constexpr int32_t kEights = kRows / kMmaColumns, kLaneDims = kMaxDimV <= 64 ? 2 : 4;
  constexpr int32_t kBlockDims = 8 * kLaneDims * kAttentionWarps;  // that the warps have at once
  constexpr int32_t kTurns = (kMaxDimV + kBlockDims - 1) / kBlockDims, kWarpRows = kRows / kAttentionWarps;
  const int32_t head_kv = here.block_y, n_rows = tile.n_tokens * tile.n_heads;
  const int32_t dim_k = p.kv.head_dim_k, dim_v = p.kv.head_dim_v;
  const int32_t own_dim = (8 * here.warp + here.lane / 4) * kLaneDims;
  const NoNewPositions none = NoNewPositions();

  PageSums<kEights, kLaneDims> totals[kTurns] = {};
  SoftmaxState total_states[kWarpRows];  // every lane has those of its warp's rows
  GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) total_states[i] = {-infinity32(), 0};

  for (int32_t split = splits.first; split <= splits.last; ++split) {
    const int32_t start = split * kKvSplit;
    SplitPart part = {start, 0, kKvSplit - 1};
    if (splits.first_position > start) part.first = splits.first_position - start;
    if (splits.last_position - start < part.last) part.last = splits.last_position - start;
    const bool has_new = new_ones.has(start + part.last);  // the whole block: most blocks take everything from pages
    const int32_t page = page_table[split];
    const DevicePtr<const uint16_t> keys = pages + key_at(p.kv, page, head_kv, 0);
    const DevicePtr<const uint16_t> values = pages + value_at(p.kv, page, head_kv, 0);
    if (has_new)
      score_split_mma<kEights, kMaxDimK>(memory, keys, new_ones, dim_k, part, here);
    else
      score_split_mma<kEights, kMaxDimK>(memory, keys, none, dim_k, part, here);
    // Values are asked for before it is known what they weigh.
    ValueWords<kLaneDims> loaded;
    const auto load = [&](int32_t d) {
      const DevicePtr<const uint16_t> own = values + (d < dim_v ? d : 0);
      if (has_new)
        load_value_words<kLaneDims>(loaded, own, new_ones, d, d < dim_v, dim_v, part, here.lane);
      else
        load_value_words<kLaneDims>(loaded, own, none, d, d < dim_v, dim_v, part, here.lane);
    };
    load(own_dim);
    block_barrier();

    GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
      const int32_t row = here.warp + i * kAttentionWarps;
      if (row < n_rows) {  // the whole warp
        float row_scores[kSplitSteps];
        load_scores(row_scores, memory.scores + row * kScorePitch, part.first, part.last, here.lane);
        const SoftmaxState state = weigh_scores(row_scores, split, part.first, part.last,
                                                tile.first_position + row / tile.n_heads, p, here.lane);
        GPU_UNROLL for (int32_t step = 0; step < kSplitSteps; ++step)
            memory.scores[row * kScorePitch + 32 * step + here.lane] = in_halves(row_scores[step]);
        keep_state<kIsSplit>(state, total_states[i], to, memory.split_factors, row, split, tile, p, here);
      }
    }
    block_barrier();

    GPU_UNROLL for (int32_t turn = 0; turn < kTurns; ++turn) {
      const int32_t d = turn * kBlockDims + own_dim;
      if (d - own_dim < dim_v) {  // the whole block
        if (turn > 0) load(d);
        const PageSums<kEights, kLaneDims> sums = sum_values<kEights, kLaneDims>(loaded, memory.scores, here.lane);
        GPU_UNROLL for (int32_t i = 0; i < 2 * kEights; ++i) {
          const int32_t row = sum_column(i, here.lane);
          if (row < n_rows && d < dim_v) {
            MergeFactors factors = {0.0f, 1.0f};
            if (!kIsSplit) factors = {memory.split_factors[2 * row], memory.split_factors[2 * row + 1]};
            const int64_t at = int64_t(split) * p.n_tokens * p.n_head + batch_row(tile, row, p, here);
            GPU_UNROLL for (int32_t j = 0; j < kLaneDims; ++j) {
              const float sum = sums.values[i / 2][j / 2][j % 2 * 2 + i % 2];
              float& total = totals[turn].values[i / 2][j / 2][j % 2 * 2 + i % 2];
              if (kIsSplit)
                to.partial[at * dim_v + d + j] = sum;
              else
                total = merged(total, sum, factors);
            }
          }
        }
      }
    }
    if (!kIsSplit) block_barrier();
  }
  if (kIsSplit) return;

  GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
    const int32_t row = here.warp + i * kAttentionWarps;
    if (row < n_rows && here.lane == 0) {
      const float sink = p.has_sinks ? float(sinks[batch_row(tile, row, p, here) % p.n_head]) : 0.0f;
      memory.split_factors[row] = final_factor(total_states[i], p.has_sinks != 0, sink);
    }
  }
  block_barrier();
  GPU_UNROLL for (int32_t i = 0; i < 2 * kEights; ++i) {
    const int32_t row = sum_column(i, here.lane);
    if (row < n_rows) {
      const DevicePtr<float> y = to.y + batch_row(tile, row, p, here) * dim_v;
      const float factor = memory.split_factors[row];
      GPU_UNROLL for (int32_t turn = 0; turn < kTurns; ++turn) {
        const int32_t d = turn * kBlockDims + own_dim;
        if (d < dim_v) {
          GPU_UNROLL for (int32_t j = 0; j < kLaneDims; ++j) y[d + j] =
              totals[turn].values[i / 2][j / 2][j % 2 * 2 + i % 2] * factor;
        }
      }
    }
  }
}

}  // namespace gpu
}  // namespace outpost
