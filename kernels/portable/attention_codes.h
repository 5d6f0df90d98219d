// Flash attention over keys and values in codes, for few tokens: splits are pages, of which a block takes four in turn,
// so that what it writes for attention_merge is little beside what it reads.
//
// Products are taken in integers, as on the CPU: queries are rounded to 8 bit per head, levels of codes are signed
// bytes, and weights of a page, times the scales of the values, become 15-bit numbers of one unit. Integers add up to
// the same in any order. Positions below 16 are read as f16, in f32.
//
// Which form of a page a query reads is a function of both positions (native/backend/kv_format.h), so the tokens of a
// tile are in one page. As in attention.h, bits do not depend on the batch.
#pragma once

#include "kernels/portable/attention.h"
#include "kernels/portable/kv_codes.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kCodesSpan = 4 * kPage;  ///< positions that a block takes; begins at multiples of it
OUTPOST_CONSTANT int kWeightSteps = 32767;    ///< of the largest weight of a page

static_assert(kKvSplit == kPage, "a split is a page");

/// Which form page `page` is read in by a query in `query_page`.
GPU_FN int32_t form_of(int32_t page, int32_t query_page) { return query_page - page <= 1 ? kFreshForm : kPackedForm; }

/// One row of queries as bytes, by a warp: x = scale * byte. What is not finite becomes zeros, as on the CPU.
/// @param codes [n_padded] words, zeros behind the last dimension @return scale
GPU_FN float quantize_query(SharedPtr<uint32_t> codes, SharedPtr<float> query, int32_t dim, int32_t n_padded,
                            int32_t lane) {
  float largest = 0;
  for (int32_t d = lane; d < dim; d += 32) largest = max32(largest, abs32(query[d]));
  largest = warp_max(largest);
  const float inverse = 127.0f / largest;
  const bool is_usable = largest > 0 && inverse > 0 && inverse < infinity32();
  for (int32_t j = lane; j < n_padded; j += 32) {
    uint32_t word = 0;
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
      const float x = is_usable && 4 * j + i < dim ? query[4 * j + i] * inverse : 0.0f;
      word |= (uint32_t(x == x ? int32_t(round32(x)) : 0) & 255u) << (8 * i);
    }
    codes[j] = word;
  }
  return is_usable ? 1.0f / inverse : 0.0f;
}

/// Adds the products of the key at `slot` with rows of query bytes, of every second group of 32 dimensions.
template <int kRows, int kMaxDimK>
GPU_FN void add_key_products(GPU_LOCAL int32_t (&sums)[kRows], SharedPtr<uint32_t> query_codes,
                             GPU_LOCAL const CodesPage& page, int32_t dim_k, int32_t slot, int32_t first_group,
                             int32_t n_rows) {
  enum { kGroups = (kMaxDimK + kCodes - 1) / kCodes };
  for (int32_t group = first_group; group < key_groups(dim_k); group += 2) {
    uint32_t levels[8];
    load_keys(levels, page, group, slot);
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
      if (r < n_rows) {
        GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
          const Words4 query = load_words4(query_codes + (r * kGroups * 8 + group * 8 + 4 * part));
          sums[r] = dot4(int32_t(levels[4 * part]), int32_t(query.x), sums[r]);
          sums[r] = dot4(int32_t(levels[4 * part + 1]), int32_t(query.y), sums[r]);
          sums[r] = dot4(int32_t(levels[4 * part + 2]), int32_t(query.z), sums[r]);
          sums[r] = dot4(int32_t(levels[4 * part + 3]), int32_t(query.w), sums[r]);
        }
      }
    }
  }
}

/// Scores of a page for every row, to scores [kRows, kPage]; not masked. Two threads share a position, each with half
/// of the dimensions.
/// @param halves [kRows, kPage], for nothing else until the next barrier
template <int kRows, int kMaxDimK>
GPU_FN void score_page(SharedPtr<float> scores, SharedPtr<int32_t> halves, SharedPtr<float> queries,
                       SharedPtr<uint32_t> query_codes, SharedPtr<float> query_scales, GPU_LOCAL const CodesPage& page,
                       int32_t dim_k, int32_t n_rows, Here here) {
  const int32_t slot = here.thread_id % kPage, part = here.thread_id / kPage;
  const bool is_there = has_codes(page, slot);
  int32_t sums[kRows];
  GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) sums[r] = 0;
  if (is_there) add_key_products<kRows, kMaxDimK>(sums, query_codes, page, dim_k, slot, part, n_rows);
  if (part == 1) {
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) halves[r * kPage + slot] = sums[r];
  }
  block_barrier();
  if (part == 0 && is_there) {
    const float scale = slot_scale(page.key_scales, slot, page.k_bits == 0);
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
      if (r < n_rows)
        scores[r * kPage + slot] = float(sums[r] + int32_t(halves[r * kPage + slot])) * (scale * query_scales[r]);
    }
  }
  if (page.begin == 0) return;  // the whole block
  // Eight lanes share one of the first positions.
  const int32_t sink = here.thread_id / 8, lane = here.thread_id % 8;
  const bool is_seen = sink >= page.first && sink <= page.last;
  for (int32_t r = 0; r < n_rows; ++r) {
    float sum = 0;
    for (int32_t j = lane; is_seen && j < dim_k / 2; j += 8) {
      const uint32_t pair = page.sink_keys[sink * (dim_k / 2) + j];
      sum = fma32(queries[r * kMaxDimK + 2 * j], float_of_half(uint16_t(pair)), sum);
      sum = fma32(queries[r * kMaxDimK + 2 * j + 1], float_of_half(uint16_t(pair >> 16)), sum);
    }
    GPU_UNROLL for (int32_t distance = 4; distance > 0; distance /= 2) sum += shuffle_xor(sum, distance);
    if (lane == 0 && is_seen) scores[r * kPage + sink] = sum;
  }
}

/// Weights of a row times the scales of its values as 15-bit numbers, two to a word, by a warp.
/// @param weights [kPage], value_scales [kPage]: 0 where there are no codes; steps [kPage / 2]
/// @return the unit of the numbers; NaN if the weights are
GPU_FN float step_weights(SharedPtr<uint32_t> steps, SharedPtr<float> weights, SharedPtr<float> value_scales, float sum,
                          int32_t lane) {
  float scaled[kPage / 32], largest = 0;
  GPU_UNROLL for (int32_t i = 0; i < kPage / 32; ++i) {
    scaled[i] = weights[32 * i + lane] * value_scales[32 * i + lane];
    largest = max32(largest, scaled[i]);
  }
  largest = warp_max(largest);
  // What is smaller is nothing beside the weight 1 that a page has. With it, no division overflows.
  const bool is_usable = largest > 1e-30f;
  const float inverse = is_usable ? float(kWeightSteps) / largest : 0.0f;
  GPU_UNROLL for (int32_t i = 0; i < kPage / 32; ++i) {
    const float x = scaled[i] * inverse;
    const int32_t own = x == x ? int32_t(round32(x)) : 0;
    const int32_t next = shuffle_xor(own, 1);
    if (lane % 2 == 0) steps[16 * i + lane / 2] = uint32_t(own) | uint32_t(next) << 16;
  }
  return sum == sum ? is_usable ? largest / float(kWeightSteps) : 0.0f : float_of_bits(0x7fc00000u);
}

/// sums[r] += steps[r, position] * level of dimension d, of one half of a page.
template <int kRows>
GPU_FN void add_half(GPU_LOCAL int32_t (&sums)[kRows], SharedPtr<uint32_t> steps, GPU_LOCAL const CodesPage& page,
                     int32_t dim_v, int32_t side, int32_t d, int32_t n_rows) {
  uint32_t levels[8];
  load_values(levels, page, dim_v, side, d);
  GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
    if (r < n_rows) {
      GPU_UNROLL for (int32_t part = 0; part < 4; ++part) {
        const Words4 four = load_words4(steps + (r * (kPage / 2) + 16 * side + 4 * part));
        sums[r] = dot2_low(four.x, levels[2 * part], sums[r]);
        sums[r] = dot2_high(four.y, levels[2 * part], sums[r]);
        sums[r] = dot2_low(four.z, levels[2 * part + 1], sums[r]);
        sums[r] = dot2_high(four.w, levels[2 * part + 1], sums[r]);
      }
    }
  }
}

/// Attention of one tile of rows over the pages of one span. Grid: (tiles, n_head_kv, spans up to the last position).
/// kMaxDimK and kMaxDimV are at least the dimensions, which are multiples of 4. All tokens of a tile are in one page.
/// @param q [n_tokens, n_head, head_dim_k], turned as keys are; arena and forms as codes_place
/// @param partial [n_spans, n_tokens, n_head, head_dim_v], states [n_spans, n_tokens, n_head, 2], for attention_merge
/// of
///   kCodesSpan: what a row does not see is left as it is
/// @param codes of the layer; p.kv has the same heads and dimensions
template <int kRows, int kMaxDimK, int kMaxDimV>
GPU_KERNEL(kAttentionThreads)
attention_codes(GPU_IN(0, float, q), GPU_IN(1, uint32_t, arena), GPU_IN(2, int64_t, forms),
                GPU_IN(3, int32_t, page_tables), GPU_IN(4, AttentionTile, tiles), GPU_IO(5, float, partial),
                GPU_IO(6, float, states), GPU_PARAMS(7, CodesLayout, codes),
                GPU_PARAMS(8, AttentionKernelParams, p) GPU_GRID) {
  // Up to 64 dimensions of values: two threads share one, each with half of a page.
  enum {
    kHalves = kMaxDimV <= kAttentionThreads / 2 ? 2 : 1,
    kDims = (kMaxDimV + kAttentionThreads - 1) / kAttentionThreads,
    kQueryWords = (kMaxDimK + kCodes - 1) / kCodes * 8,
  };
  const int32_t kWarpRows = (kRows + kAttentionWarps - 1) / kAttentionWarps;
  GPU_SHARED(float, queries, kRows* kMaxDimK);
  GPU_SHARED(uint32_t, query_codes, kRows * kQueryWords);
  GPU_SHARED(float, query_scales, kRows);
  GPU_SHARED(float, scores, kRows* kPage);
  GPU_SHARED(int32_t, halves, kRows * kPage);
  GPU_SHARED(float, value_scales, kPage);
  GPU_SHARED(uint32_t, steps, kRows * kPage / 2);
  GPU_SHARED(float, row_factors, 3 * kRows);  // of old values, of new ones, the unit of steps
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(AttentionTile) tile = tiles[here.block_x];
  const int32_t head_kv = here.block_y, n_group = p.n_head / codes.n_head_kv;
  const int32_t n_rows = tile.n_tokens * tile.n_heads;
  const int32_t dim_k = codes.head_dim_k, dim_v = codes.head_dim_v;
  const int32_t last_position = tile.first_position + tile.n_tokens - 1;
  const int32_t first_position = first_visible(tile.first_position, p.n_window);
  const int32_t span_start = here.block_z * kCodesSpan, span_end = span_start + kCodesSpan - 1;
  if (last_position < span_start || first_position > span_end) return;  // the whole block
  int32_t split = (first_position > span_start ? first_position : span_start) / kPage;
  const int32_t last_split = (last_position < span_end ? last_position : span_end) / kPage;
  const DevicePtr<const int32_t> page_table = page_tables + tile.page_table;

  for (int32_t i = here.thread_id; i < n_rows * dim_k; i += kAttentionThreads) {
    const int32_t row = i / dim_k, d = i % dim_k;
    const int64_t token = tile.first_token + row / tile.n_heads;
    const int32_t head = head_kv * n_group + tile.first_head + row % tile.n_heads;
    queries[row * kMaxDimK + d] = q[(token * p.n_head + head) * dim_k + d];
  }
  block_barrier();
  for (int32_t row = here.warp; row < n_rows; row += kAttentionWarps) {
    const float scale =
        quantize_query(query_codes + row * kQueryWords, queries + row * kMaxDimK, dim_k, kQueryWords, here.lane);
    if (here.lane == 0) query_scales[row] = scale;
  }
  block_barrier();

  float totals[kRows][kDims];
  SoftmaxState total_states[kWarpRows];  // every lane has those of its warp's rows
  GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) total_states[i] = {-infinity32(), 0};
  GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) { GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) totals[r][i] = 0; }

  for (; split <= last_split; ++split) {
    const int32_t start = split * kPage;
    const int32_t form = form_of(split, tile.first_position / kPage);
    const CodesPage page = codes_page(arena, forms, page_table[split], form, codes, head_kv, split,
                                      first_position > start ? first_position - start : 0,
                                      last_position - start < kPage ? last_position - start : kPage - 1);
    if (here.thread_id < kPage) {
      const int32_t slot = here.thread_id;
      value_scales[slot] = has_codes(page, slot) ? slot_scale(page.value_scales, slot, page.v_bits == 0) : 0.0f;
    }
    score_page<kRows, kMaxDimK>(scores, halves, queries, query_codes, query_scales, page, dim_k, n_rows, here);
    block_barrier();

    GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
      const int32_t row = here.warp + i * kAttentionWarps;
      if (row < n_rows) {  // the whole warp
        const SoftmaxState state = weigh_row(scores + row * kPage, split, page.first, page.last,
                                             tile.first_position + row / tile.n_heads, p, here.lane);
        const float unit =
            step_weights(steps + row * (kPage / 2), scores + row * kPage, value_scales, state.sum, here.lane);
        const MergeFactors factors = merge(total_states[i], state);
        if (here.lane == 0) {
          row_factors[3 * row] = factors.old_factor;
          row_factors[3 * row + 1] = factors.next_factor;
          row_factors[3 * row + 2] = unit;
        }
      }
    }
    block_barrier();

    GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
      const int32_t d =
          kHalves == 2 ? here.thread_id % (kAttentionThreads / 2) : here.thread_id + i * kAttentionThreads;
      const int32_t side = kHalves == 2 ? here.thread_id / (kAttentionThreads / 2) : 0;
      int32_t sums[kRows];
      GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) sums[r] = 0;
      if (d < dim_v) {
        add_half<kRows>(sums, steps, page, dim_v, side, d, n_rows);
        if (kHalves == 1) add_half<kRows>(sums, steps, page, dim_v, 1, d, n_rows);
      }
      if (kHalves == 2) {
        if (side == 1 && d < dim_v) {
          GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) halves[r * kPage + d] = sums[r];
        }
        block_barrier();
      }
      if (side == 0 && d < dim_v) {
        GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
          if (r < n_rows) {
            const int32_t sum = kHalves == 2 ? sums[r] + int32_t(halves[r * kPage + d]) : sums[r];
            float result = float(sum) * row_factors[3 * r + 2];
            for (int32_t slot = page.first; slot < page.begin && slot <= page.last; ++slot) {
              // A weight of 0 may be that of a position which the row does not see: its value may be anything.
              const float weight = scores[r * kPage + slot];
              const uint32_t pair = page.sink_values[slot * (dim_v / 2) + d / 2];
              if (weight != 0) result = fma32(weight, float_of_half(uint16_t(d % 2 == 0 ? pair : pair >> 16)), result);
            }
            const MergeFactors factors = {row_factors[3 * r], row_factors[3 * r + 1]};
            totals[r][i] = merged(totals[r][i], result, factors);
          }
        }
      }
    }
    block_barrier();
  }

  GPU_UNROLL for (int32_t i = 0; i < kWarpRows; ++i) {
    const int32_t row = here.warp + i * kAttentionWarps;
    if (row < n_rows && here.lane == 0) {
      const int64_t token = int64_t(here.block_z) * p.n_tokens + tile.first_token + row / tile.n_heads;
      const int64_t at = token * p.n_head + head_kv * n_group + tile.first_head + row % tile.n_heads;
      states[2 * at] = total_states[i].max;
      states[2 * at + 1] = total_states[i].sum;
    }
  }
  GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
    if (r < n_rows) {
      const int64_t token = int64_t(here.block_z) * p.n_tokens + tile.first_token + r / tile.n_heads;
      const int64_t head = head_kv * n_group + tile.first_head + r % tile.n_heads;
      GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
        const int32_t d = here.thread_id + i * kAttentionThreads;
        if (d < dim_v) partial[(token * p.n_head + head) * dim_v + d] = totals[r][i];
      }
    }
  }
}

}  // namespace gpu
}  // namespace outpost
