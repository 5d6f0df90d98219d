// Flash attention over keys and values in codes, for few tokens: a warp takes a page, by itself until the values of the
// block's four pages are merged. So a block waits for memory once, and what it writes for attention_merge is little
// beside what it reads.
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

OUTPOST_CONSTANT int kSpanPages = kAttentionWarps;       ///< a page for each warp
OUTPOST_CONSTANT int kCodesSpan = kSpanPages * kPage;    ///< positions of a block; begins at multiples of it
OUTPOST_CONSTANT int kWeightSteps = 32767;               ///< of the largest weight of a page
OUTPOST_CONSTANT int kValueColumns = kAttentionThreads;  ///< dimensions of values that are merged at once

static_assert(kKvSplit == kPage, "a split is a page");

/// Which form page `page` is read in by a query in `query_page`.
GPU_FN int32_t form_of(int32_t page, int32_t query_page) { return query_page - page <= 1 ? kFreshForm : kPackedForm; }

/// What a block does: a tile of rows over the pages of one span.
struct CodesSpan {
  int32_t first_token, first_position;  ///< of the tile
  int32_t page_table, head_kv, first_head, n_heads, n_rows;
  int32_t first_visible, last_visible;  ///< positions that some row sees
  int32_t first_split;                  ///< of the span, which has kSpanPages
};

GPU_FN CodesSpan codes_span(GPU_BLOCK_REF(AttentionTile) tile, GPU_PARAMS_REF(CodesLayout) codes,
                            GPU_PARAMS_REF(AttentionKernelParams) p, Here here) {
  CodesSpan span;
  span.first_token = tile.first_token;
  span.first_position = tile.first_position;
  span.page_table = tile.page_table;
  span.head_kv = here.block_y;
  span.first_head = here.block_y * (p.n_head / codes.n_head_kv) + tile.first_head;
  span.n_heads = tile.n_heads;
  span.n_rows = tile.n_tokens * tile.n_heads;
  span.first_visible = first_visible(tile.first_position, p.n_window);
  span.last_visible = tile.first_position + tile.n_tokens - 1;
  span.first_split = (span.first_visible / kCodesSpan + here.block_z) * kSpanPages;
  return span;
}

/// Whether some row sees something of page `i` of the span.
GPU_FN bool has_page(GPU_LOCAL const CodesSpan& span, int32_t i) {
  const int32_t split = span.first_split + i;
  return split >= span.first_visible / kPage && split <= span.last_visible / kPage;
}
GPU_FN bool has_pages(GPU_LOCAL const CodesSpan& span) { return span.last_visible / kPage >= span.first_split; }

GPU_FN int32_t row_position(GPU_LOCAL const CodesSpan& span, int32_t row) {
  return span.first_position + row / span.n_heads;
}
/// Which of the pass's queries a row is, [n_tokens, n_head].
GPU_FN int64_t query_of(GPU_LOCAL const CodesSpan& span, int32_t row, GPU_PARAMS_REF(AttentionKernelParams) p) {
  return int64_t(span.first_token + row / span.n_heads) * p.n_head + span.first_head + row % span.n_heads;
}
/// And which of the results of all spans, [n_spans, n_tokens, n_head].
GPU_FN int64_t result_of(GPU_LOCAL const CodesSpan& span, int32_t row, GPU_PARAMS_REF(AttentionKernelParams) p) {
  return int64_t(span.first_split / kSpanPages) * p.n_tokens * p.n_head + query_of(span, row, p);
}

/// The page that a warp takes. @pre has_page
GPU_FN CodesPage page_of_warp(GPU_LOCAL const CodesSpan& span, DevicePtr<const uint32_t> arena,
                              DevicePtr<const int64_t> forms, DevicePtr<const int32_t> page_tables,
                              GPU_PARAMS_REF(CodesLayout) codes, int32_t warp) {
  const int32_t split = span.first_split + warp, start = split * kPage;
  const int32_t form = form_of(split, span.first_position / kPage);
  return codes_page(arena, forms, page_tables[span.page_table + split], form, codes, span.head_kv, split,
                    span.first_visible > start ? span.first_visible - start : 0,
                    span.last_visible - start < kPage ? span.last_visible - start : kPage - 1);
}

/// One row of queries as bytes, by a warp: x = scale * byte. What is not finite becomes zeros, as on the CPU.
/// @param codes [n_padded] words, zeros behind the last dimension @return scale
GPU_FN float quantize_query(SharedPtr<uint32_t> codes, DevicePtr<const float> query, int32_t dim, int32_t n_padded,
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

/// The rows of a tile, by a block. @param codes rows of kWords, `kStride` words apart
template <int kWords, int kStride>
GPU_FN void quantize_queries(SharedPtr<uint32_t> codes, SharedPtr<float> scales, DevicePtr<const float> q,
                             GPU_LOCAL const CodesSpan& span, int32_t dim, GPU_PARAMS_REF(AttentionKernelParams) p,
                             Here here) {
  for (int32_t row = here.warp; row < span.n_rows; row += kAttentionWarps) {
    const float scale = quantize_query(codes + row * kStride, q + query_of(span, row, p) * dim, dim, kWords, here.lane);
    if (here.lane == 0) scales[row] = scale;
  }
}

/// sums[r][i] += products of the key at slot lane + 32 i with row r of query bytes.
/// @param query_codes [kRows, kQueryWords]
template <int kRows, int kQueryWords>
GPU_FN void add_key_products(GPU_LOCAL int32_t (&sums)[kRows][kSplitSteps], SharedPtr<uint32_t> query_codes,
                             GPU_LOCAL const CodesPage& page, int32_t dim_k, int32_t n_rows, int32_t lane) {
  for (int32_t group = 0; group < key_groups(dim_k); ++group) {
    uint32_t levels[kSplitSteps][8];
    GPU_UNROLL for (int32_t i = 0; i < kSplitSteps; ++i) {
      GPU_UNROLL for (int32_t j = 0; j < 8; ++j) levels[i][j] = 0;
      if (has_codes(page, lane + 32 * i)) load_keys(levels[i], page, group, lane + 32 * i);
    }
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
      if (r < n_rows) {
        GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
          const Words4 query = load_words4(query_codes + (r * kQueryWords + group * 8 + 4 * part));
          GPU_UNROLL for (int32_t i = 0; i < kSplitSteps; ++i) {
            sums[r][i] = dot4(int32_t(levels[i][4 * part]), int32_t(query.x), sums[r][i]);
            sums[r][i] = dot4(int32_t(levels[i][4 * part + 1]), int32_t(query.y), sums[r][i]);
            sums[r][i] = dot4(int32_t(levels[i][4 * part + 2]), int32_t(query.z), sums[r][i]);
            sums[r][i] = dot4(int32_t(levels[i][4 * part + 3]), int32_t(query.w), sums[r][i]);
          }
        }
      }
    }
  }
}

/// The product of a query with one of the first keys, in f32, by a lane.
GPU_FN float sink_product(DevicePtr<const float> query, DevicePtr<const uint32_t> key, int32_t dim_k) {
  float sum = 0;
  for (int32_t j = 0; j < dim_k / 2; ++j) {
    const uint32_t pair = key[j];
    sum = fma32(query[2 * j], float_of_half(uint16_t(pair)), sum);
    sum = fma32(query[2 * j + 1], float_of_half(uint16_t(pair >> 16)), sum);
  }
  return sum;
}

/// Weights of a row times the scales of their values as 15-bit numbers, two to a word, by a warp.
/// @param scaled weights times scales, 0 where there are no codes; steps [kPage / 2]
/// @return the unit of the numbers; NaN if `sum`, that of the weights, is
GPU_FN float step_weights(SharedPtr<uint32_t> steps, GPU_LOCAL const float (&scaled)[kSplitSteps], float sum,
                          int32_t lane) {
  float largest = 0;
  GPU_UNROLL for (int32_t i = 0; i < kSplitSteps; ++i) largest = max32(largest, scaled[i]);
  largest = warp_max(largest);
  // What is smaller is nothing beside the weight 1 that a page has. With it, no division overflows.
  const bool is_usable = largest > 1e-30f;
  const float inverse = is_usable ? float(kWeightSteps) / largest : 0.0f;
  GPU_UNROLL for (int32_t i = 0; i < kSplitSteps; ++i) {
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

/// What a page has left of a row: the largest score, the sum of weights, and the unit of steps.
OUTPOST_CONSTANT int kPageRow = 3;

/// Factors of the older values and of those of each page, rows of a block; and what all its pages have left, to states.
/// @param page_rows [kSpanPages, kRows, kPageRow], factors [kSpanPages, kRows, 2]
template <int kRows>
GPU_FN void merge_pages(SharedPtr<float> factors, DevicePtr<float> states, SharedPtr<float> page_rows,
                        GPU_LOCAL const CodesSpan& span, GPU_PARAMS_REF(AttentionKernelParams) p, int32_t thread_id) {
  if (thread_id >= span.n_rows) return;
  const int32_t row = thread_id;
  SoftmaxState state = {-infinity32(), 0};
  for (int32_t i = 0; i < kSpanPages; ++i) {
    if (has_page(span, i)) {
      const SharedPtr<float> of_page = page_rows + (i * kRows + row) * kPageRow;
      const MergeFactors merging = merge(state, SoftmaxState{of_page[0], of_page[1]});
      factors[(i * kRows + row) * 2] = merging.old_factor;
      factors[(i * kRows + row) * 2 + 1] = merging.next_factor;
    }
  }
  const int64_t at = result_of(span, row, p);
  states[2 * at] = state.max;
  states[2 * at + 1] = state.sum;
}

/// kColumns dimensions from `begin` on of what the pages have left, one to a thread, to partial.
/// @param values [kSpanPages, kRows, kStride]
template <int kRows, int kStride, int kColumns>
GPU_FN void store_merged(DevicePtr<float> partial, SharedPtr<float> values, SharedPtr<float> factors,
                         GPU_LOCAL const CodesSpan& span, int32_t begin, int32_t dim_v,
                         GPU_PARAMS_REF(AttentionKernelParams) p, int32_t thread_id) {
  const int32_t column = thread_id % kColumns;
  if (begin + column >= dim_v) return;
  for (int32_t row = thread_id / kColumns; row < span.n_rows; row += kAttentionThreads / kColumns) {
    float total = 0;
    GPU_UNROLL for (int32_t i = 0; i < kSpanPages; ++i) {
      if (has_page(span, i)) {
        const MergeFactors merging = {factors[(i * kRows + row) * 2], factors[(i * kRows + row) * 2 + 1]};
        total = merged(total, values[(i * kRows + row) * kStride + column], merging);
      }
    }
    partial[result_of(span, row, p) * dim_v + begin + column] = total;
  }
}

/// Adds to `result` dimension d of the first positions of a text, whose values are f16.
/// @param weights [kSinkPositions] of the row
GPU_FN float add_sinks(float result, SharedPtr<float> weights, GPU_LOCAL const CodesPage& page, int32_t dim_v,
                       int32_t d) {
  for (int32_t slot = page.first; slot < page.begin && slot <= page.last; ++slot) {
    // A weight of 0 may be that of a position which the row does not see: its value may be anything.
    const float weight = weights[slot];
    const uint32_t pair = page.sink_values[slot * (dim_v / 2) + d / 2];
    if (weight != 0) result = fma32(weight, float_of_half(uint16_t(d % 2 == 0 ? pair : pair >> 16)), result);
  }
  return result;
}

/// Attention of one tile of rows over the pages of one span. Grid: (tiles, n_head_kv, spans that a tile sees at most);
/// a block's is counted from the first that its tile sees.
/// kMaxDimK is at least head_dim_k; both dimensions are multiples of 4. All tokens of a tile are in one page.
/// @param q [n_tokens, n_head, head_dim_k], turned as keys are; arena and forms as codes_place
/// @param partial [n_spans, n_tokens, n_head, head_dim_v], states [n_spans, n_tokens, n_head, 2], for attention_merge
///   of kCodesSpan: what a row does not see is left as it is
/// @param codes of the layer; p.kv has the same heads and dimensions
template <int kRows, int kMaxDimK>
GPU_KERNEL(kAttentionThreads)
attention_codes(GPU_RESULT(0, float, q), GPU_RESULT(1, uint32_t, arena), GPU_IN(2, int64_t, forms),
                GPU_IN(3, int32_t, page_tables), GPU_IN(4, AttentionTile, tiles), GPU_IO(5, float, partial),
                GPU_IO(6, float, states), GPU_PARAMS(7, CodesLayout, codes),
                GPU_PARAMS(8, AttentionKernelParams, p) GPU_GRID) {
  enum { kQueryWords = (kMaxDimK + kCodes - 1) / kCodes * 8 };
  GPU_SHARED(uint32_t, query_codes, kRows * kQueryWords);
  GPU_SHARED(float, query_scales, kRows);
  GPU_SHARED(uint32_t, steps, kSpanPages * kRows * kPage / 2);
  GPU_SHARED(float, page_rows, kSpanPages* kRows* kPageRow);
  GPU_SHARED(float, factors, kSpanPages* kRows * 2);
  GPU_SHARED(float, sink_weights, kRows* kSinkPositions);
  GPU_SHARED(float, values, kSpanPages* kRows* kValueColumns);
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const CodesSpan span = codes_span(tiles[here.block_x], codes, p, here);
  if (!has_pages(span)) return;  // the whole block
  const int32_t dim_k = codes.head_dim_k, dim_v = codes.head_dim_v;
  const bool is_there = has_page(span, here.warp);  // the whole warp
  CodesPage page = {};
  if (is_there) page = page_of_warp(span, arena, forms, page_tables, codes, here.warp);
  quantize_queries<kQueryWords, kQueryWords>(query_codes, query_scales, q, span, dim_k, p, here);
  block_barrier();

  const SharedPtr<uint32_t> own_steps = steps + here.warp * kRows * (kPage / 2);
  const SharedPtr<float> own_rows = page_rows + here.warp * kRows * kPageRow;
  if (is_there) {
    int32_t sums[kRows][kSplitSteps];
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
      GPU_UNROLL for (int32_t i = 0; i < kSplitSteps; ++i) sums[r][i] = 0;
    }
    add_key_products<kRows, kQueryWords>(sums, query_codes, page, dim_k, span.n_rows, here.lane);
    float key_scales[kSplitSteps], value_scales[kSplitSteps];
    GPU_UNROLL for (int32_t i = 0; i < kSplitSteps; ++i) {
      const int32_t slot = here.lane + 32 * i;
      const bool is_code = has_codes(page, slot);
      key_scales[i] = is_code ? slot_scale(page.key_scales, slot, page.k_bits == 0) : 0.0f;
      value_scales[i] = is_code ? slot_scale(page.value_scales, slot, page.v_bits == 0) : 0.0f;
    }
    const bool is_sink = here.lane < page.begin && here.lane >= page.first && here.lane <= page.last;
    GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
      if (r < span.n_rows) {
        float weights[kSplitSteps];
        GPU_UNROLL for (int32_t i = 0; i < kSplitSteps; ++i) weights[i] =
            float(sums[r][i]) * (key_scales[i] * query_scales[r]);
        if (is_sink) {
          weights[0] = sink_product(q + query_of(span, r, p) * dim_k, page.sink_keys + here.lane * (dim_k / 2), dim_k);
        }
        const SoftmaxState state = weigh_scores(weights, span.first_split + here.warp, page.first, page.last,
                                                row_position(span, r), p, here.lane);
        if (here.lane < page.begin) sink_weights[r * kSinkPositions + here.lane] = weights[0];
        GPU_UNROLL for (int32_t i = 0; i < kSplitSteps; ++i) weights[i] = weights[i] * value_scales[i];
        const float unit = step_weights(own_steps + r * (kPage / 2), weights, state.sum, here.lane);
        if (here.lane == 0) {
          own_rows[kPageRow * r] = state.max;
          own_rows[kPageRow * r + 1] = state.sum;
          own_rows[kPageRow * r + 2] = unit;
        }
      }
    }
  }
  block_barrier();

  merge_pages<kRows>(factors, states, page_rows, span, p, here.thread_id);
  for (int32_t begin = 0; begin < dim_v; begin += kValueColumns) {
    for (int32_t column = here.lane; is_there && column < kValueColumns && begin + column < dim_v; column += 32) {
      const int32_t d = begin + column;
      int32_t sums[kRows];
      GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) sums[r] = 0;
      add_half<kRows>(sums, own_steps, page, dim_v, 0, d, span.n_rows);
      add_half<kRows>(sums, own_steps, page, dim_v, 1, d, span.n_rows);
      GPU_UNROLL for (int32_t r = 0; r < kRows; ++r) {
        if (r < span.n_rows) {
          const float of_codes = float(sums[r]) * own_rows[kPageRow * r + 2];
          values[(here.warp * kRows + r) * kValueColumns + column] =
              add_sinks(of_codes, sink_weights + r * kSinkPositions, page, dim_v, d);
        }
      }
    }
    block_barrier();
    store_merged<kRows, kValueColumns, kValueColumns>(partial, values, factors, span, begin, dim_v, p, here.thread_id);
    block_barrier();
  }
}

}  // namespace gpu
}  // namespace outpost
