// Attention over pages of keys and values in any of their forms; codes are read where they lie. Written once over the
// lanes of simd_*.h; internal to one kernels_*.cpp.
#pragma once

#include <algorithm>
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

template <int kQueries>
using Scores = F32x16[kQueries][kPageVectors];

/// Keys in f16, transposed: [head_dim_k, 16 * kVectors]
template <int kQueries, int kVectors>
inline void score_f16(const AttentionArgs& args, const uint16_t* keys, Scores<kQueries>& scores) {
  for (auto& row : scores) std::fill_n(row, kPageVectors, f32_set1(0.0f));
  for (int32_t d = 0; d < args.head_dim_k; ++d) {
    F32x16 k[kVectors];
    for (int v = 0; v < kVectors; ++v) k[v] = f16_load(keys + (d * kVectors + v) * 16);
    for (int q = 0; q < kQueries; ++q) {
      const F32x16 x = f32_set1(args.q[q][d]);
      for (int v = 0; v < kVectors; ++v) scores[q][v] = fma(x, k[v], scores[q][v]);
    }
  }
}

/// In integers: levels (made unsigned) times q8.
template <int kQueries, int kBits>
inline void score_codes(const AttentionArgs& args, const uint8_t* keys, Scores<kQueries>& scores) {
  constexpr int kOffset = kBits == 8 ? 128 : 64;
  const U8Table16 levels(kv_levels(kBits == 8 ? 4 : kBits), kOffset);
  I32x16 sums[kQueries][kPageVectors];
  for (auto& row : sums) std::fill_n(row, kPageVectors, i32_set1(0));
  const int n_blocks = (args.head_dim_k + 7) / 8;
  for (int block = 0; block < n_blocks; ++block) {
    U8x64 codes[kBlockGroups];
    expand_codes<kBits>(keys + block * kBits * 64, codes);
    if constexpr (kBits < 8) {
      for (U8x64& group : codes) group = levels.look_up(group);
    }
    for (int group = 0; group < kBlockGroups; ++group) {
      for (int q = 0; q < kQueries; ++q) {
        I32x16& sum = sums[q][group % kPageVectors];
        const int8_t* x = args.q8[q] + 8 * block + 4 * (group / kPageVectors);
        sum = kBits == 8 ? dot4_wide(sum, codes[group], x) : dot4(sum, codes[group], x);
      }
    }
  }
  const uint8_t* scales = keys + n_blocks * kBits * 64;
  for (int v = 0; v < kPageVectors; ++v) {
    const F32x16 scale = load_scales(scales + 16 * v);
    for (int q = 0; q < kQueries; ++q) {
      const I32x16 sum = sums[q][v] + i32_set1(-kOffset * args.q8_sum[q]);
      scores[q][v] = to_f32(sum) * scale * f32_set1(args.q8_scale[q]);
    }
  }
}

template <int kQueries>
inline void score_tile(const AttentionArgs& args, const KvTile& tile, Scores<kQueries>& scores) {
  const KvHeadLayout& layout = args.layouts[static_cast<size_t>(tile.form)];
  const std::byte* keys = tile.block + layout.k_offset;
  const auto* codes = reinterpret_cast<const uint8_t*>(keys);
  if (tile.form == KvForm::kSinks) return score_f16<kQueries, 1>(args, reinterpret_cast<const uint16_t*>(keys), scores);
  switch (layout.bits.k) {
    case 2: return score_codes<kQueries, 2>(args, codes, scores);
    case 3: return score_codes<kQueries, 3>(args, codes, scores);
    case 4: return score_codes<kQueries, 4>(args, codes, scores);
    case 8: return score_codes<kQueries, 8>(args, codes, scores);
    default: return score_f16<kQueries, kPageVectors>(args, reinterpret_cast<const uint16_t*>(keys), scores);
  }
}

/// y[d..] += p * values, for kColumns vectors of dimensions. rows(column, position) gives the 16 values.
template <int kQueries, int kColumns, typename Rows>
inline void add_rows(const float (&p)[kQueries][kPagePositions], int begin, int end, F32x16 (&sums)[kQueries][kColumns],
                     const Rows& rows) {
  for (int j = begin; j < end; ++j) {
    F32x16 row[kColumns];
    for (int c = 0; c < kColumns; ++c) row[c] = rows(c, j);
    for (int q = 0; q < kQueries; ++q) {
      const F32x16 weight = f32_set1(p[q][j]);
      for (int c = 0; c < kColumns; ++c) sums[q][c] = fma(weight, row[c], sums[q][c]);
    }
  }
}

/// Values as codes. Their scales are part of the weights already.
template <int kQueries, int kColumns, int kBits>
inline void add_codes(const uint8_t* values, int column, const float (&p)[kQueries][kPagePositions], int end,
                      F32x16 (&sums)[kQueries][kColumns]) {
  constexpr int kBlockPositions = 32;
  const U8Table16 levels(kv_levels(kBits == 8 ? 4 : kBits), 0);
  alignas(64) int8_t expanded[kColumns][64 * kBlockGroups];
  for (int half = 0; half * kBlockPositions < end; ++half) {
    const int8_t* rows[kColumns];
    for (int c = 0; c < kColumns; ++c) {
      const uint8_t* block = values + (2 * (column + c) + half) * kBits * 64;
      if constexpr (kBits == 8) {
        rows[c] = reinterpret_cast<const int8_t*>(block);
      } else {
        U8x64 codes[kBlockGroups];
        expand_codes<kBits>(block, codes);
        for (int i = 0; i < kBlockGroups; ++i)
          u8_store(reinterpret_cast<uint8_t*>(expanded[c]) + 64 * i, levels.look_up(codes[i]));
        rows[c] = expanded[c];
      }
    }
    const int first = half * kBlockPositions;
    add_rows<kQueries, kColumns>(p, first, std::min(end, first + kBlockPositions), sums,
                                 [&](int c, int j) { return to_f32(i32_load_i8(rows[c] + 16 * (j - first))); });
  }
}

template <int kQueries>
inline void add_tile(const AttentionArgs& args, const KvTile& tile, float (&p)[kQueries][kPagePositions],
                     const F32x16 (&correction)[kQueries], int32_t end_visible, float (&y)[kQueries][kMaxHeadDim]) {
  const KvHeadLayout& layout = args.layouts[static_cast<size_t>(tile.form)];
  const std::byte* values = tile.block + layout.v_offset;
  const auto* codes = reinterpret_cast<const uint8_t*>(values);
  const int end = std::min(tile.end, end_visible) - tile.first;
  if (layout.bits.v <= 8) {
    const uint8_t* scales = codes + args.head_dim_v_padded / 16 * 2 * layout.bits.v * 64;
    for (int v = 0; v < kPageVectors; ++v) {
      const F32x16 scale = load_scales(scales + 16 * v);
      for (int q = 0; q < kQueries; ++q) f32_store(p[q] + 16 * v, f32_load(p[q] + 16 * v) * scale);
    }
  }
  const auto add_columns = [&]<int kColumns>(int32_t d) {
    F32x16 sums[kQueries][kColumns];
    for (int q = 0; q < kQueries; ++q) {
      for (int c = 0; c < kColumns; ++c) sums[q][c] = f32_load(y[q] + d + 16 * c) * correction[q];
    }
    switch (layout.bits.v) {
      case 2: add_codes<kQueries, kColumns, 2>(codes, d / 16, p, end, sums); break;
      case 3: add_codes<kQueries, kColumns, 3>(codes, d / 16, p, end, sums); break;
      case 4: add_codes<kQueries, kColumns, 4>(codes, d / 16, p, end, sums); break;
      case 8: add_codes<kQueries, kColumns, 8>(codes, d / 16, p, end, sums); break;
      default: {
        const auto* rows = reinterpret_cast<const uint16_t*>(values) + d;
        add_rows<kQueries, kColumns>(
            p, 0, end, sums, [&](int c, int j) { return f16_load(rows + j * args.head_dim_v_padded + 16 * c); });
      }
    }
    for (int q = 0; q < kQueries; ++q) {
      for (int c = 0; c < kColumns; ++c) f32_store(y[q] + d + 16 * c, sums[q][c]);
    }
  };
  int32_t d = 0;
  for (; d + 64 <= args.head_dim_v_padded; d += 64) add_columns.template operator()<4>(d);
  for (; d < args.head_dim_v_padded; d += 16) add_columns.template operator()<1>(d);
}

/// Flash attention (arXiv:2205.14135) of kQueries queries that share one KV head. Pages are the tiles: their
/// boundaries are absolute positions, so a query's arithmetic does not depend on how the prompt was cut.
template <int kQueries>
void attend(const AttentionArgs& args) {
  float m[kQueries], l[kQueries];  // running maximum and sum of exp(score - m)
  alignas(64) float y[kQueries][kMaxHeadDim];
  int32_t end_visible = 0;
  for (int q = 0; q < kQueries; ++q) {
    m[q] = kMinusInfinity;
    l[q] = 0.0f;
    std::fill_n(y[q], args.head_dim_v_padded, 0.0f);
    end_visible = std::max(end_visible, args.end_visible[q]);
  }

  for (int32_t i = 0; i < args.n_tiles; ++i) {
    const KvTile& tile = args.tiles[i];
    Scores<kQueries> scores;
    score_tile<kQueries>(args, tile, scores);

    alignas(64) float p[kQueries][kPagePositions];
    F32x16 correction[kQueries];
    bool is_negligible = true;
    for (int q = 0; q < kQueries; ++q) {
      const int skip = std::clamp(std::max(args.first_visible[q], tile.begin) - tile.first, 0, kPagePositions);
      const int n = std::clamp(std::min(args.end_visible[q], tile.end) - tile.first, 0, kPagePositions);
      const bool sees_any = n > skip;
      F32x16 largest = f32_set1(kMinusInfinity);
      for (int v = 0; v < kPageVectors; ++v) {
        if (args.softcap > 0.0f) scores[q][v] = soft_capped(scores[q][v], args.softcap);
        scores[q][v] = f32_keep_first(scores[q][v], std::clamp(n - 16 * v, 0, 16), kMinusInfinity);
        if (skip > 16 * v) scores[q][v] = f32_drop_first(scores[q][v], std::min(skip - 16 * v, 16), kMinusInfinity);
        largest = f32_max(scores[q][v], largest);
      }
      const float m_new = sees_any ? std::max(m[q], reduce_max(largest)) : m[q];
      // Before the first visible position both are -inf, and their difference would be NaN.
      const F32x16 shift = f32_set1(sees_any ? m_new : 0.0f);
      correction[q] = sees_any ? exp16(f32_set1(m[q]) - shift) : f32_set1(1.0f);
      F32x16 sum = f32_set1(0.0f);
      for (int v = 0; v < kPageVectors; ++v) {
        const F32x16 weight = exp16(scores[q][v] - shift);
        f32_store(p[q] + 16 * v, weight);
        sum = sum + weight;
      }
      const float total = reduce_add(sum);
      // Each query decides for itself, so that its neighbours do not change its result. Where a tile counts for so
      // little it has not raised the maximum: correction is 1.
      if (total < kNegligible * l[q] || !sees_any) {
        std::fill_n(p[q], kPagePositions, 0.0f);
      } else {
        is_negligible = false;
      }
      float factor[16];
      f32_store(factor, correction[q]);
      l[q] = l[q] * factor[0] + total;
      m[q] = m_new;
    }
    if (!is_negligible) add_tile<kQueries>(args, tile, p, correction, end_visible, y);
  }

  for (int q = 0; q < kQueries; ++q) {
    float factor = 1.0f;  // a sink may be larger than every score
    if (args.sink[q] != kNoSink) {
      const float m_all = std::max(m[q], args.sink[q]);
      factor = exp1(m[q] - m_all);
      l[q] = l[q] * factor + exp1(args.sink[q] - m_all);
    }
    const F32x16 inverse = f32_set1(factor / l[q]);
    for (int32_t d = 0; d < args.head_dim_v; d += 16)
      store_first(args.y[q] + d, args.head_dim_v - d, f32_load(y[q] + d) * inverse);
  }
}

void attention(const AttentionArgs& args) {
  switch (args.n_queries) {
    case 1: return attend<1>(args);
    case 2: return attend<2>(args);
    case 3: return attend<3>(args);
    default: return attend<kMaxTileQueries>(args);
  }
}

}  // namespace
}  // namespace outpost
