// Attention over pages of keys and values in any of their forms; codes are read where they lie. Written once over the
// lanes of simd_*.h; internal to one kernels_*.cpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/vector_kernels.h"
#include "kernels/common/kv_levels.h"

namespace outpost {
namespace {

inline constexpr int kPageVectors = kPagePositions / 16;
inline constexpr int kBlockGroups = 8;
inline constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// A tile whose weights sum up to less than this part of all weights before it adds nothing. Even 2^11 such tiles, as
/// many as 128K positions have, carry together less than 2^-11 of a result: the precision of f16.
inline constexpr float kNegligible = 0x1p-22f;

// Codes lie as kv_codec.h says: 8 groups of 64 in kBits times 64 bytes.

template <int kBits>
inline void expand_codes(const uint8_t* p, U8x64 (&codes)[kBlockGroups]) {
  if constexpr (kBits == 8) {
    for (int i = 0; i < kBlockGroups; ++i) codes[i] = u8_load(p + 64 * i);
  } else if constexpr (kBits == 4) {
    for (int i = 0; i < 4; ++i) {
      const U8x64 v = u8_load(p + 64 * i);
      codes[2 * i] = u8_and(v, 15);
      codes[2 * i + 1] = u8_shift_and<4>(v, 15);
    }
  } else {
    for (int i = 0; i < 2; ++i) {
      const U8x64 v = u8_load(p + 64 * i);
      codes[4 * i] = u8_and(v, 3);
      codes[4 * i + 1] = u8_shift_and<2>(v, 3);
      codes[4 * i + 2] = u8_shift_and<4>(v, 3);
      codes[4 * i + 3] = u8_shift_and<6>(v, 3);
    }
    if constexpr (kBits == 3) {
      const U8x64 v = u8_load(p + 128);
      codes[0] = u8_or(codes[0], u8_shift_left_and<2>(v, 4));
      codes[1] = u8_or(codes[1], u8_shift_left_and<1>(v, 4));
      codes[2] = u8_or(codes[2], u8_and(v, 4));
      codes[3] = u8_or(codes[3], u8_shift_and<1>(v, 4));
      codes[4] = u8_or(codes[4], u8_shift_and<2>(v, 4));
      codes[5] = u8_or(codes[5], u8_shift_and<3>(v, 4));
      codes[6] = u8_or(codes[6], u8_shift_and<4>(v, 4));
      codes[7] = u8_or(codes[7], u8_shift_and<5>(v, 4));
    }
  }
}

/// The scales of 16 positions: 5 bits of exponent and 3 of fraction each.
inline F32x16 load_scales(const uint8_t* p) {
  return bits_to_f32(i32_shift_left<20>(i32_load_u8(p)) + i32_set1((127 - kKvScaleBias) << 23));
}

/// What the queries of one call bring along, and what becomes of them from tile to tile.
struct Queries {
  static constexpr int kDims = (kMaxHeadDim + 15) / 16 * 16;

  float x[kMaxTileQueries][kDims];                ///< scaled
  alignas(64) int8_t q8[kMaxTileQueries][kDims];  ///< x = q8_scale * q8, 0 behind the last dimension
  float q8_scale[kMaxTileQueries];
  int32_t q8_sum[kMaxTileQueries];
  float m[kMaxTileQueries], l[kMaxTileQueries];  ///< running maximum, and sum of exp(score - m)
  alignas(64) float y[kMaxTileQueries][kDims];   ///< sum of exp(score - m) * value
};

/// Scores of a tile, then their weights.
struct Weights {
  alignas(64) float p[kMaxTileQueries][kPagePositions];
  /// p = unit * p16, for values that are codes.
  alignas(64) int16_t p16[kMaxTileQueries][kPagePositions];
  float unit[kMaxTileQueries];
  float correction[kMaxTileQueries];  ///< what the sums so far are multiplied by
};

/// Queries that are computed together, if there are so many.
inline constexpr int kQueriesAtOnce = 4;

/// body<kQueries>(first) for all of them.
template <typename Body>
inline void for_queries(int n, const Body& body) {
  int q = 0;
  for (; q + 4 <= n; q += 4) body.template operator()<4>(q);
  switch (n - q) {
    case 3: return body.template operator()<3>(q);
    case 2: return body.template operator()<2>(q);
    case 1: return body.template operator()<1>(q);
    default: return;
  }
}

inline void quantize_query(const float* x, int32_t n, int8_t* q8, float& scale, int32_t& sum) {
  F32x16 largest = f32_set1(0.0f);
  for (int32_t d = 0; d < n; d += 16) largest = f32_max(f32_abs(f32_load(x + d)), largest);
  const float absmax = reduce_max(largest);
  const float inverse = absmax > 0.0f ? 127.0f / absmax : 0.0f;
  const bool is_usable = inverse > 0.0f && std::isfinite(inverse);
  scale = is_usable ? 1.0f / inverse : 0.0f;
  sum = 0;
  for (int32_t d = 0; d < n; d += 16) {
    i32_store_i8(q8 + d, to_i32(f32_load(x + d) * f32_set1(is_usable ? inverse : 0.0f)));
    sum += i8_sum16(q8 + d);
  }
}

/// How many vectors to have sums of at once: with few queries more, so that a product does not wait for the one before.
template <int kQueries>
constexpr int vectors_at_once() {
  return std::min(kPageVectors, kVectorsAtOnce * (kQueriesAtOnce / kQueries));
}

inline F32x16 load_f32(const float* p) { return f32_load(p); }
inline F32x16 load_f32(const uint16_t* p) { return f16_load(p); }

/// use(pointer to n numbers that are in f16 at p): as f32 if so many queries read them that this pays.
template <typename Use>
inline void with_halfs(const AttentionArgs& args, const uint16_t* p, int n, const Use& use) {
  if (args.n_queries <= kQueriesAtOnce) return use(p);
  alignas(64) float expanded[kMaxHeadDim * kPagePositions];
  for (int i = 0; i < n; i += 16) f32_store(expanded + i, f16_load(p + i));
  use(expanded);
}

/// Keys in f16 or f32, transposed: [head_dim_k, 16 * kVectors]
template <int kVectors, typename T>
inline void score_dense(const AttentionArgs& args, const Queries& queries, const T* keys, Weights& weights) {
  for_queries(args.n_queries, [&]<int kQueries>(int first) {
    constexpr int kAtOnce = std::min(kVectors, vectors_at_once<kQueries>());
    for (int v = 0; v < kVectors; v += kAtOnce) {
      F32x16 sums[kQueries][kAtOnce];
      for (auto& row : sums) std::fill_n(row, kAtOnce, f32_set1(0.0f));
      for (int32_t d = 0; d < args.head_dim_k; ++d) {
        F32x16 k[kAtOnce];
        for (int i = 0; i < kAtOnce; ++i) k[i] = load_f32(keys + (d * kVectors + v + i) * 16);
        for (int q = 0; q < kQueries; ++q) {
          const F32x16 x = f32_set1(queries.x[first + q][d]);
          for (int i = 0; i < kAtOnce; ++i) sums[q][i] = fma(x, k[i], sums[q][i]);
        }
      }
      for (int q = 0; q < kQueries; ++q) {
        for (int i = 0; i < kAtOnce; ++i) f32_store(weights.p[first + q] + 16 * (v + i), sums[q][i]);
      }
    }
  });
  for (int q = 0; q < args.n_queries; ++q) std::fill(weights.p[q] + 16 * kVectors, weights.p[q] + kPagePositions, 0.0f);
}

template <int kVectors>
inline void score_f16(const AttentionArgs& args, const Queries& queries, const uint16_t* keys, Weights& weights) {
  with_halfs(args, keys, args.head_dim_k * 16 * kVectors,
             [&](const auto* p) { score_dense<kVectors>(args, queries, p, weights); });
}

/// In integers: levels [n_blocks, 8 groups of 64], made unsigned by adding kOffset, times q8.
template <bool kIsWide>
inline void score_levels(const AttentionArgs& args, const Queries& queries, const uint8_t* levels,
                         const uint8_t* scales, Weights& weights) {
  constexpr int kOffset = kIsWide ? 128 : 64;
  const int n_blocks = (args.head_dim_k + 7) / 8;
  for_queries(args.n_queries, [&]<int kQueries>(int first) {
    constexpr int kAtOnce = vectors_at_once<kQueries>();
    for (int v = 0; v < kPageVectors; v += kAtOnce) {
      I32x16 sums[kQueries][kAtOnce];
      for (int q = 0; q < kQueries; ++q) std::fill_n(sums[q], kAtOnce, i32_set1(-kOffset * queries.q8_sum[first + q]));
      for (int four = 0; four < 2 * n_blocks; ++four) {
        for (int i = 0; i < kAtOnce; ++i) {
          const U8x64 level = u8_load(levels + (four * kPageVectors + v + i) * 64);
          for (int q = 0; q < kQueries; ++q) {
            const int8_t* x = queries.q8[first + q] + 4 * four;
            sums[q][i] = kIsWide ? dot4_wide(sums[q][i], level, x) : dot4(sums[q][i], level, x);
          }
        }
      }
      for (int i = 0; i < kAtOnce; ++i) {
        const F32x16 scale = load_scales(scales + 16 * (v + i));
        for (int q = 0; q < kQueries; ++q) {
          const F32x16 score = to_f32(sums[q][i]) * scale * f32_set1(queries.q8_scale[first + q]);
          f32_store(weights.p[first + q] + 16 * (v + i), score);
        }
      }
    }
  });
}

template <int kBits>
inline void score_codes(const AttentionArgs& args, const Queries& queries, const uint8_t* keys, Weights& weights) {
  const int n_blocks = (args.head_dim_k + 7) / 8;
  const uint8_t* scales = keys + n_blocks * kBits * 64;
  if constexpr (kBits == 8) {
    score_levels<true>(args, queries, keys, scales, weights);
  } else {
    alignas(64) uint8_t levels[kMaxHeadDim / 8 * 64 * kBlockGroups];
    const U8Table16 table(kv_levels(kBits), 64);
    for (int block = 0; block < n_blocks; ++block) {
      U8x64 codes[kBlockGroups];
      expand_codes<kBits>(keys + block * kBits * 64, codes);
      for (int i = 0; i < kBlockGroups; ++i)
        u8_store(levels + 64 * (kBlockGroups * block + i), table.look_up(codes[i]));
    }
    score_levels<false>(args, queries, levels, scales, weights);
  }
}

inline void score_tile(const AttentionArgs& args, const Queries& queries, const KvTile& tile, Weights& weights) {
  const KvHeadLayout& layout = args.layouts[static_cast<size_t>(tile.form)];
  const std::byte* keys = tile.block + layout.k_offset;
  const auto* codes = reinterpret_cast<const uint8_t*>(keys);
  if (tile.form == KvForm::kSinks) return score_f16<1>(args, queries, reinterpret_cast<const uint16_t*>(keys), weights);
  switch (layout.bits.k) {
    case 2: return score_codes<2>(args, queries, codes, weights);
    case 3: return score_codes<3>(args, queries, codes, weights);
    case 4: return score_codes<4>(args, queries, codes, weights);
    case 8: return score_codes<8>(args, queries, codes, weights);
    default: return score_f16<kPageVectors>(args, queries, reinterpret_cast<const uint16_t*>(keys), weights);
  }
}

/// From scores to weights, of one query. @return false if the tile adds nothing for it: its weights are 0 then
inline bool weigh(const AttentionArgs& args, const KvTile& tile, int q, Queries& queries, Weights& weights) {
  float* p = weights.p[q];
  const int skip = std::clamp(std::max(args.first_visible[q], tile.begin) - tile.first, 0, kPagePositions);
  const int n = std::clamp(std::min(args.end_visible[q], tile.end) - tile.first, 0, kPagePositions);
  weights.correction[q] = 1.0f;
  if (n <= skip) {
    std::fill_n(p, kPagePositions, 0.0f);
    return false;
  }
  F32x16 scores[kPageVectors];
  F32x16 largest = f32_set1(kMinusInfinity);
  for (int v = 0; v < kPageVectors; ++v) {
    scores[v] = f32_load(p + 16 * v);
    if (args.softcap > 0.0f) scores[v] = soft_capped(scores[v], args.softcap);
    if (n < 16 * (v + 1)) scores[v] = f32_keep_first(scores[v], std::clamp(n - 16 * v, 0, 16), kMinusInfinity);
    if (skip > 16 * v) scores[v] = f32_drop_first(scores[v], std::min(skip - 16 * v, 16), kMinusInfinity);
    largest = f32_max(scores[v], largest);
  }
  const float m = std::max(queries.m[q], reduce_max(largest));
  F32x16 sum = f32_set1(0.0f);
  for (int v = 0; v < kPageVectors; ++v) {
    const F32x16 weight = exp16(scores[v] - f32_set1(m));
    f32_store(p + 16 * v, weight);
    sum = sum + weight;
  }
  const float total = reduce_add(sum);
  // Each query decides for itself, so that its neighbours do not change its result.
  const bool is_negligible = total < kNegligible * queries.l[q];
  if (is_negligible) std::fill_n(p, kPagePositions, 0.0f);
  if (m != queries.m[q]) weights.correction[q] = exp1(queries.m[q] - m);
  queries.l[q] = queries.l[q] * weights.correction[q] + total;
  queries.m[q] = m;
  return !is_negligible;
}

/// y = correction * y + p * values in f16 or f32 [positions, head_dim_v_padded], up to position `end`.
template <int kQueries, int kColumns, typename T>
inline void add_columns(const AttentionArgs& args, const T* values, int32_t d, int end, int first,
                        const Weights& weights, Queries& queries) {
  F32x16 sums[kQueries][kColumns];
  for (int q = 0; q < kQueries; ++q) {
    for (int c = 0; c < kColumns; ++c)
      sums[q][c] = f32_load(queries.y[first + q] + d + 16 * c) * f32_set1(weights.correction[first + q]);
  }
  for (int j = 0; j < end; ++j) {
    F32x16 row[kColumns];
    for (int c = 0; c < kColumns; ++c) row[c] = load_f32(values + j * args.head_dim_v_padded + d + 16 * c);
    for (int q = 0; q < kQueries; ++q) {
      const F32x16 weight = f32_set1(weights.p[first + q][j]);
      for (int c = 0; c < kColumns; ++c) sums[q][c] = fma(weight, row[c], sums[q][c]);
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    for (int c = 0; c < kColumns; ++c) f32_store(queries.y[first + q] + d + 16 * c, sums[q][c]);
  }
}

inline void add_f16(const AttentionArgs& args, const uint16_t* values, int end, const Weights& weights,
                    Queries& queries) {
  with_halfs(args, values, end * args.head_dim_v_padded, [&](const auto* p) {
    for_queries(args.n_queries, [&]<int kQueries>(int first) {
      constexpr int kAtOnce = vectors_at_once<kQueries>();
      int32_t d = 0;
      for (; d + 16 * kAtOnce <= args.head_dim_v_padded; d += 16 * kAtOnce)
        add_columns<kQueries, kAtOnce>(args, p, d, end, first, weights, queries);
      for (; d < args.head_dim_v_padded; d += 16) add_columns<kQueries, 1>(args, p, d, end, first, weights, queries);
    });
  });
}

/// Weights as 15-bit integers of one unit for the tile: finer than f16 has the largest of them.
inline void quantize_weights(const AttentionArgs& args, const uint8_t* scales, Weights& weights) {
  for (int q = 0; q < args.n_queries; ++q) {
    F32x16 p[kPageVectors];
    F32x16 largest = f32_set1(0.0f);
    for (int v = 0; v < kPageVectors; ++v) {
      p[v] = f32_load(weights.p[q] + 16 * v) * load_scales(scales + 16 * v);
      largest = f32_max(p[v], largest);
    }
    constexpr float kMost = 32767.0f;
    const float most = reduce_max(largest);
    const float inverse = most > 0.0f ? kMost / most : 0.0f;
    const bool is_usable = std::isfinite(inverse);
    weights.unit[q] = is_usable ? most / kMost : 0.0f;
    for (int v = 0; v < kPageVectors; ++v)
      i32_store_i16(weights.p16[q] + 16 * v, to_i32(p[v] * f32_set1(is_usable ? inverse : 0.0f)));
  }
}

/// y = correction * y + p * values that are codes, in integers.
template <int kBits>
inline void add_codes(const AttentionArgs& args, const uint8_t* values, int end, Weights& weights, Queries& queries) {
  constexpr int kBlockPositions = 32;
  quantize_weights(args, values + args.head_dim_v_padded / 16 * 2 * kBits * 64, weights);
  const U8Table16 table(kv_levels(kBits == 8 ? 4 : kBits), 0);
  const int n_pairs = (end + 1) / 2;
  for (int32_t d = 0; d < args.head_dim_v_padded; d += 16) {
    alignas(64) int16_t pairs[kPagePositions / 2][32];  // values of two positions side by side
    for (int half = 0; half * kBlockPositions < end; ++half) {
      const uint8_t* rows = values + (d / 16 * 2 + half) * kBits * 64;
      alignas(64) uint8_t levels[64 * kBlockGroups];
      if constexpr (kBits < 8) {
        U8x64 codes[kBlockGroups];
        expand_codes<kBits>(rows, codes);
        for (int i = 0; i < kBlockGroups; ++i) u8_store(levels + 64 * i, table.look_up(codes[i]));
        rows = levels;
      }
      for (int i = 0; i < kBlockPositions / 2; ++i)
        i16_store_rows2(pairs[half * kBlockPositions / 2 + i], reinterpret_cast<const int8_t*>(rows) + 32 * i);
    }
    for_queries(args.n_queries, [&]<int kQueries>(int first) {
      I32x16 sums[kQueries];
      std::fill_n(sums, kQueries, i32_set1(0));
      for (int i = 0; i < n_pairs; ++i) {
        for (int q = 0; q < kQueries; ++q) sums[q] = dot_rows2(sums[q], pairs[i], weights.p16[first + q] + 2 * i);
      }
      for (int q = 0; q < kQueries; ++q) {
        float* y = queries.y[first + q] + d;
        const F32x16 before = f32_load(y) * f32_set1(weights.correction[first + q]);
        f32_store(y, fma(to_f32(sums[q]), f32_set1(weights.unit[first + q]), before));
      }
    });
  }
}

inline void add_tile(const AttentionArgs& args, const KvTile& tile, int end, Weights& weights, Queries& queries) {
  const KvHeadLayout& layout = args.layouts[static_cast<size_t>(tile.form)];
  const std::byte* values = tile.block + layout.v_offset;
  const auto* codes = reinterpret_cast<const uint8_t*>(values);
  switch (layout.bits.v) {
    case 2: return add_codes<2>(args, codes, end, weights, queries);
    case 3: return add_codes<3>(args, codes, end, weights, queries);
    case 4: return add_codes<4>(args, codes, end, weights, queries);
    case 8: return add_codes<8>(args, codes, end, weights, queries);
    default: return add_f16(args, reinterpret_cast<const uint16_t*>(values), end, weights, queries);
  }
}

/// Flash attention (arXiv:2205.14135) of queries that share one KV head. Pages are the tiles: their boundaries are
/// absolute positions, so a query's arithmetic does not depend on how the prompt was cut.
void attention(const AttentionArgs& args) {
  Queries queries;
  Weights weights;
  const int32_t n_padded = (args.head_dim_k + 15) / 16 * 16;
  const bool has_codes = args.layouts[static_cast<size_t>(KvForm::kFresh)].bits.k <= 8 ||
                         args.layouts[static_cast<size_t>(KvForm::kPacked)].bits.k <= 8;
  int32_t end_visible = 0;
  for (int q = 0; q < args.n_queries; ++q) {
    float* x = queries.x[q];
    for (int32_t d = 0; d < args.head_dim_k; ++d) x[d] = args.q[q][d] * args.scale;
    std::fill(x + args.head_dim_k, x + n_padded, 0.0f);
    if (has_codes) quantize_query(x, n_padded, queries.q8[q], queries.q8_scale[q], queries.q8_sum[q]);
    queries.m[q] = kMinusInfinity;
    queries.l[q] = 0.0f;
    std::fill_n(queries.y[q], args.head_dim_v_padded, 0.0f);
    end_visible = std::max(end_visible, args.end_visible[q]);
  }

  for (int32_t i = 0; i < args.n_tiles; ++i) {
    const KvTile& tile = args.tiles[i];
    score_tile(args, queries, tile, weights);
    bool adds = false;
    for (int q = 0; q < args.n_queries; ++q) adds |= weigh(args, tile, q, queries, weights);
    // A tile that adds nothing has not raised a maximum either: every correction is 1.
    if (adds) add_tile(args, tile, std::min(tile.end, end_visible) - tile.first, weights, queries);
  }

  for (int q = 0; q < args.n_queries; ++q) {
    float factor = 1.0f;  // a sink may be larger than every score
    if (args.sink[q] != kNoSink) {
      const float m_all = std::max(queries.m[q], args.sink[q]);
      factor = exp1(queries.m[q] - m_all);
      queries.l[q] = queries.l[q] * factor + exp1(args.sink[q] - m_all);
    }
    const F32x16 inverse = f32_set1(factor / queries.l[q]);
    for (int32_t d = 0; d < args.head_dim_v; d += 16)
      store_first(args.y[q] + d, args.head_dim_v - d, f32_load(queries.y[q] + d) * inverse);
  }
}

}  // namespace
}  // namespace outpost
