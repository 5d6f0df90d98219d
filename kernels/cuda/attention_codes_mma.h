// attention_codes on matrix units, to the same bits: all products are sums of integers. Eight rows of a tile are the
// columns of operand B; operand A are 16 positions of keys by 32 dimensions, and 16 dimensions of values by 32
// positions. So codes are unpacked once for all rows, and what is left to do per row is its softmax.
//
// With q = lane / 4 and c = lane % 4 a lane has, of the scores of a page, rows 2c and 2c + 1 of the positions
// 16 m + 2q and 16 m + 2q + 1 for m from 0 to 3; and of 32 dimensions of the values' sums, those rows of 4q to 4q + 3.
// A row's sums are taken in the order of weigh_scores, by the bits of a position from the highest to the lowest.
#pragma once

#include "kernels/cuda/codes_mma.h"
#include "kernels/portable/attention_codes.h"
#include "kernels/portable/prefetch.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kMmaTiles = kPage / 16;     ///< of positions
OUTPOST_CONSTANT int kMmaSlots = 2 * kMmaTiles;  ///< positions of a lane
OUTPOST_CONSTANT int kStepWords = kPage / 4;     ///< of a row's weights, low or high bytes
// Rows of weights and of results begin in other banks of shared memory than their neighbours.
OUTPOST_CONSTANT int kStepStride = 2 * kStepWords + 8;
static_assert(kPage == 64, "lanes share out a page of 64 positions");

/// Position j of a lane.
GPU_FN int32_t mma_slot(int32_t j, int32_t lane) { return 16 * (j / 2) + 2 * (lane / 4) + j % 2; }

/// The words of codes of two neighbouring positions of a lane; zeros where a fresh page has none.
/// @param row of words in the page
template <bool kIsFresh>
GPU_FN Words2 load_two_keys(GPU_LOCAL const CodesPage& page, int32_t row, int32_t slot) {
  const DevicePtr<const uint32_t> words = page.keys + (row * kPage + slot);
  if (!kIsFresh) return load_words2(words);
  Words2 two;
  two.x = has_codes(page, slot) ? uint32_t(words[0]) : 0u;
  two.y = has_codes(page, slot + 1) ? uint32_t(words[1]) : 0u;
  return two;
}

/// sums[t][m] += products of keys with rows of query bytes, for all positions of a page.
/// @param query_codes [8 * kEights], kQueryStride words apart
template <int kBits, bool kIsFresh, int kQueryStride, int kEights>
GPU_FN void multiply_keys(GPU_LOCAL MmaSum (&sums)[kEights][kMmaTiles], SharedPtr<uint32_t> query_codes,
                          GPU_LOCAL const CodesPage& page, int32_t dim_k, int32_t lane) {
  enum { kWords = CodeOperand<kBits>::kWords, kParts = CodeOperand<kBits>::kParts };
  enum { kAtOnce = kBits == 8 ? 1 : 2 };  // groups that are asked for before the first is used
  const int32_t q = lane / 4, c = lane % 4, n_groups = key_groups(dim_k);
  for (int32_t begin = 0; begin < n_groups; begin += kAtOnce) {
    Words2 loaded[kAtOnce][kMmaTiles][kWords];
    GPU_UNROLL for (int32_t g = 0; g < kAtOnce; ++g) {
      if (begin + g < n_groups) {  // the whole warp
        GPU_UNROLL for (int32_t m = 0; m < kMmaTiles; ++m) {
          GPU_UNROLL for (int32_t i = 0; i < kWords; ++i) loaded[g][m][i] =
              load_two_keys<kIsFresh>(page, (begin + g) * kBits + code_word<kBits>(c, i), 16 * m + 2 * q);
        }
      }
    }
    GPU_UNROLL for (int32_t g = 0; g < kAtOnce; ++g) {
      if (begin + g < n_groups) {
        uint32_t b[kEights][2];
        GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
          const SharedPtr<uint32_t> query =
              query_codes + ((kMmaColumns * t + q) * kQueryStride + (begin + g) * 8 + 2 * c);
          b[t][0] = query[0];
          b[t][1] = query[1];
        }
        GPU_UNROLL for (int32_t m = 0; m < kMmaTiles; ++m) {
          uint32_t words[2][kWords], levels[2][kParts][2];
          GPU_UNROLL for (int32_t i = 0; i < kWords; ++i) {
            words[0][i] = loaded[g][m][i].x;
            words[1][i] = loaded[g][m][i].y;
          }
          GPU_UNROLL for (int32_t h = 0; h < 2; ++h) expand_operand<kBits>(words[h], levels[h], c);
          GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
            GPU_UNROLL for (int32_t part = 0; part < kParts; ++part) sums[t][m] =
                mma_s8(sums[t][m], levels[0][part][0], levels[1][part][0], levels[0][part][1], levels[1][part][1],
                       b[t][0], b[t][1]);
          }
        }
      }
    }
  }
}

template <int kQueryStride, int kEights>
GPU_FN void multiply_keys(GPU_LOCAL MmaSum (&sums)[kEights][kMmaTiles], SharedPtr<uint32_t> query_codes,
                          GPU_LOCAL const CodesPage& page, int32_t dim_k, int32_t lane) {
  switch (page.k_bits) {
    case 2: return multiply_keys<2, false, kQueryStride>(sums, query_codes, page, dim_k, lane);
    case 3: return multiply_keys<3, false, kQueryStride>(sums, query_codes, page, dim_k, lane);
    case 4: return multiply_keys<4, false, kQueryStride>(sums, query_codes, page, dim_k, lane);
    case 8: return multiply_keys<8, false, kQueryStride>(sums, query_codes, page, dim_k, lane);
    default: return multiply_keys<8, true, kQueryStride>(sums, query_codes, page, dim_k, lane);
  }
}

/// Of the key or value of a slot; 0 where there are no codes.
GPU_FN float code_scale(DevicePtr<const uint32_t> scales, GPU_LOCAL const CodesPage& page, int32_t slot,
                        bool is_fresh) {
  return has_codes(page, slot) ? slot_scale(scales, slot, is_fresh) : 0.0f;
}

/// Over the lanes that have the same rows, those of one column.
GPU_FN float column_max(float x) {
  GPU_UNROLL for (int32_t distance = 16; distance >= 4; distance /= 2) x = max32(x, shuffle_xor(x, distance));
  return x;
}
GPU_FN bool any_in_column(bool is_true, int32_t lane) { return (ballot(is_true) & (0x11111111u << (lane % 4))) != 0; }

/// weigh_scores for a lane's part of a row: scores become weights.
GPU_FN SoftmaxState weigh_slots(GPU_LOCAL float (&scores)[kMmaSlots], int32_t split, int32_t first, int32_t last,
                                int32_t row_position, GPU_PARAMS_REF(AttentionKernelParams) p, int32_t lane) {
  const int32_t start = split * kPage;
  // Most pages are seen whole, by every row of the tile.
  const bool is_whole = first == 0 && last == kPage - 1 && p.softcap <= 0 && row_position >= start + last &&
                        first_visible(row_position, p.n_window) <= start;
  SoftmaxState state = {-infinity32(), 0};
  bool has_nan = false, is_empty = true;
  if (is_whole) {
    GPU_UNROLL for (int32_t j = 0; j < kMmaSlots; ++j) scores[j] = scores[j] * p.scale;
  } else {
    GPU_UNROLL for (int32_t j = 0; j < kMmaSlots; ++j) {
      const int32_t slot = mma_slot(j, lane);
      scores[j] =
          slot >= first && slot <= last ? masked_score(scores[j], start + slot, row_position, p) : -infinity32();
    }
  }
  GPU_UNROLL for (int32_t j = 0; j < kMmaSlots; ++j) {
    has_nan = has_nan || !(scores[j] == scores[j]);
    is_empty = is_empty && scores[j] == -infinity32();
    state.max = max32(state.max, scores[j]);
  }
  state.max = column_max(state.max);
  if (any_in_column(has_nan, lane)) state.max = float_of_bits(0x7fc00000u);
  is_empty = !any_in_column(!is_empty, lane);
  GPU_UNROLL for (int32_t j = 0; j < kMmaSlots; ++j) {
    const bool is_seen = !is_empty && !(scores[j] == -infinity32());
    scores[j] = is_seen ? exp32(scores[j] - state.max) : 0.0f;
  }
  float sums[2];  // of even and odd positions
  GPU_UNROLL for (int32_t h = 0; h < 2; ++h) {
    sums[h] = (scores[h] + scores[4 + h]) + (scores[2 + h] + scores[6 + h]);
    GPU_UNROLL for (int32_t distance = 16; distance >= 4; distance /= 2) sums[h] += shuffle_xor(sums[h], distance);
  }
  state.sum = sums[0] + sums[1];
  return state;
}

/// step_weights for a lane's part of a row; the numbers as low and high bytes.
/// @param steps of the row: [2, kStepWords] @return the unit of the numbers; NaN if `sum`, that of the weights, is
GPU_FN float step_slots(SharedPtr<uint32_t> steps, GPU_LOCAL const float (&scaled)[kMmaSlots], float sum,
                        int32_t lane) {
  float largest = 0;
  GPU_UNROLL for (int32_t j = 0; j < kMmaSlots; ++j) largest = max32(largest, scaled[j]);
  largest = column_max(largest);
  // As in step_weights.
  const bool is_usable = largest > 1e-30f;
  const float inverse = is_usable ? float(kWeightSteps) / largest : 0.0f;
  const bool is_odd = lane / 4 % 2 != 0;
  GPU_UNROLL for (int32_t m = 0; m < kMmaTiles; ++m) {
    uint32_t numbers[2];
    GPU_UNROLL for (int32_t h = 0; h < 2; ++h) {
      const float x = scaled[2 * m + h] * inverse;
      numbers[h] = x == x ? uint32_t(int32_t(round32(x))) : 0u;
    }
    // Low bytes of both in the low half, high ones above; four positions' are exchanged between two lanes.
    const uint32_t own = pick_bytes(numbers[0], numbers[1], 0x5140u), other = shuffle_xor(own, 4);
    steps[4 * m + lane / 8 + (is_odd ? kStepWords : 0)] =
        is_odd ? pick_bytes(other, own, 0x7632u) : pick_bytes(own, other, 0x5410u);
  }
  return sum == sum ? is_usable ? largest / float(kWeightSteps) : 0.0f : float_of_bits(0x7fc00000u);
}

/// Operand B of a page's values: low and high bytes of weights, of each half of the page.
template <int kEights>
struct StepOperand {
  uint32_t words[2][kEights][2][2];  ///< half, eight rows, low or high, b0 or b1
};

template <int kEights>
GPU_FN StepOperand<kEights> load_steps(SharedPtr<uint32_t> steps, int32_t lane) {
  StepOperand<kEights> operand;
  GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
    const SharedPtr<uint32_t> row = steps + (kMmaColumns * t + lane / 4) * kStepStride;
    GPU_UNROLL for (int32_t side = 0; side < 2; ++side) {
      GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
        GPU_UNROLL for (int32_t i = 0; i < 2; ++i) operand.words[side][t][part][i] =
            row[part * kStepWords + 8 * side + 2 * (lane % 4) + i];
      }
    }
  }
  return operand;
}

/// Sums of 32 dimensions: low and high bytes of weights, dimensions 4q + 2m and 4q + 2m + 1.
template <int kEights>
struct ValueSums {
  MmaSum sums[kEights][2][2];
};

/// sums += products of level words of four dimensions of a lane with the weights of one half of a page.
template <int kEights>
GPU_FN void multiply_levels(GPU_LOCAL ValueSums<kEights>& to, GPU_LOCAL const uint32_t (&levels)[4][2],
                            GPU_LOCAL const uint32_t (&steps)[kEights][2][2]) {
  GPU_UNROLL for (int32_t t = 0; t < kEights; ++t) {
    GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
      GPU_UNROLL for (int32_t m = 0; m < 2; ++m) to.sums[t][part][m] =
          mma_s8_u8(to.sums[t][part][m], levels[2 * m][0], levels[2 * m + 1][0], levels[2 * m][1], levels[2 * m + 1][1],
                    steps[t][part][0], steps[t][part][1]);
    }
  }
}

/// The sums of dimensions d to d + 31 over a page in codes of kBits.
template <int kBits, int kEights>
GPU_FN void multiply_packed(GPU_LOCAL ValueSums<kEights>& to, GPU_LOCAL const CodesPage& page,
                            GPU_LOCAL const StepOperand<kEights>& steps, int32_t dim_v, int32_t d, int32_t lane) {
  enum { kWords = CodeOperand<kBits>::kWords, kParts = CodeOperand<kBits>::kParts };
  const int32_t c = lane % 4, own = d + lane / 4 * 4;
  Words4 loaded[2][kWords];
  GPU_UNROLL for (int32_t side = 0; side < 2; ++side) {
    GPU_UNROLL for (int32_t i = 0; i < kWords; ++i) {
      loaded[side][i] = Words4{0, 0, 0, 0};
      if (own < dim_v)
        loaded[side][i] = load_words4(page.values + ((side * kBits + code_word<kBits>(c, i)) * dim_v + own));
    }
  }
  GPU_UNROLL for (int32_t side = 0; side < 2; ++side) {
    uint32_t words[4][kWords], levels[4][kParts][2];
    GPU_UNROLL for (int32_t i = 0; i < kWords; ++i) {
      words[0][i] = loaded[side][i].x;
      words[1][i] = loaded[side][i].y;
      words[2][i] = loaded[side][i].z;
      words[3][i] = loaded[side][i].w;
    }
    GPU_UNROLL for (int32_t t = 0; t < 4; ++t) expand_operand<kBits>(words[t], levels[t], c);
    GPU_UNROLL for (int32_t part = 0; part < kParts; ++part) {
      uint32_t of_part[4][2];
      GPU_UNROLL for (int32_t t = 0; t < 4; ++t) {
        of_part[t][0] = levels[t][part][0];
        of_part[t][1] = levels[t][part][1];
      }
      multiply_levels(to, of_part, steps.words[side]);
    }
  }
}

/// The same of a fresh page, where a word is four dimensions of a position.
template <int kEights>
GPU_FN void multiply_fresh(GPU_LOCAL ValueSums<kEights>& to, GPU_LOCAL const CodesPage& page,
                           GPU_LOCAL const StepOperand<kEights>& steps, int32_t dim_v, int32_t d, int32_t lane) {
  const int32_t own = d + lane / 4 * 4;
  GPU_UNROLL for (int32_t side = 0; side < 2; ++side) {
    uint32_t levels[4][2];
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
      uint32_t words[4];
      GPU_UNROLL for (int32_t k = 0; k < 4; ++k) {
        const int32_t slot = side * kCodes + 8 * (lane % 4) + 4 * i + k;
        words[k] = own < dim_v && has_codes(page, slot) ? uint32_t(page.values[(slot * dim_v + own) / 4]) : 0u;
      }
      transpose_bytes(words);
      GPU_UNROLL for (int32_t t = 0; t < 4; ++t) levels[t][i] = words[t];
    }
    multiply_levels(to, levels, steps.words[side]);
  }
}

template <int kEights>
GPU_FN void multiply_values(GPU_LOCAL ValueSums<kEights>& to, GPU_LOCAL const CodesPage& page,
                            GPU_LOCAL const StepOperand<kEights>& steps, int32_t dim_v, int32_t d, int32_t lane) {
  switch (page.v_bits) {
    case 2: return multiply_packed<2>(to, page, steps, dim_v, d, lane);
    case 3: return multiply_packed<3>(to, page, steps, dim_v, d, lane);
    case 4: return multiply_packed<4>(to, page, steps, dim_v, d, lane);
    case 8: return multiply_packed<8>(to, page, steps, dim_v, d, lane);
    default: return multiply_fresh(to, page, steps, dim_v, d, lane);
  }
}

/// Has the codes of a page, which its warp reads later, come to the device's cache.
GPU_FN void prefetch_page(GPU_LOCAL const CodesPage& page, GPU_PARAMS_REF(CodesLayout) codes, int32_t lane) {
  const int32_t k_bits = page.k_bits == 0 ? 8 : page.k_bits, v_bits = page.v_bits == 0 ? 8 : page.v_bits;
  prefetch_elements<uint32_t>(page.keys, key_groups(codes.head_dim_k) * k_bits * kPage, lane, 32);
  prefetch_elements<uint32_t>(page.values, 2 * v_bits * codes.head_dim_v, lane, 32);
}

/// Rows of the largest tiles; and dimensions of values that are merged at once, for which there has to be room beside.
OUTPOST_CONSTANT int kMostCodesRows = 16;
template <int kRows>
struct MergeShape {
  enum { kColumns = kRows <= 8 ? kValueColumns : kValueColumns / 2, kStride = kColumns + 4 };
};

/// As attention_codes. Tiles of 16 rows unpack codes once for all of them, of many tokens or heads.
template <int kRows, int kMaxDimK>
GPU_KERNEL(kAttentionThreads, kRows <= 8 ? 5 : 4)
attention_codes_mma(GPU_RESULT(0, float, q), GPU_RESULT(1, uint32_t, arena), GPU_IN(2, int64_t, forms),
                    GPU_IN(3, int32_t, page_tables), GPU_IN(4, AttentionTile, tiles), GPU_IO(5, float, partial),
                    GPU_IO(6, float, states), GPU_PARAMS(7, CodesLayout, codes),
                    GPU_PARAMS(8, AttentionKernelParams, p) GPU_GRID) {
  enum { kEights = kRows / kMmaColumns, kColumns = MergeShape<kRows>::kColumns, kStride = MergeShape<kRows>::kStride };
  enum { kQueryWords = (kMaxDimK + kCodes - 1) / kCodes * 8, kQueryStride = kQueryWords + 8 };
  GPU_SHARED(uint32_t, query_codes, kRows * kQueryStride);
  GPU_SHARED(float, query_scales, kRows);
  GPU_SHARED(uint32_t, steps, kSpanPages * kRows * kStepStride);
  GPU_SHARED(float, page_rows, kSpanPages* kRows* kPageRow);
  GPU_SHARED(float, factors, kSpanPages* kRows * 2);
  GPU_SHARED(float, sink_weights, kRows* kSinkPositions);
  GPU_SHARED(float, values, kSpanPages* kRows* kStride);
  allow_next();
  const Here here = GPU_HERE;
  const CodesSpan span = codes_span(tiles[here.block_x], codes, p, here);
  const int32_t dim_k = codes.head_dim_k, dim_v = codes.head_dim_v, lane = here.lane;
  if (!has_pages(span)) return;                     // the whole block, which has nothing to wait for
  const bool is_there = has_page(span, here.warp);  // the whole warp
  CodesPage page = {};
  if (is_there) {
    page = page_of_warp(span, arena, forms, page_tables, codes, here.warp);
    prefetch_page(page, codes, lane);
  }
  wait_for_previous();
  quantize_queries<kQueryWords, kQueryStride>(query_codes, query_scales, q, span, dim_k, p, here);
  // Rows that are not there are zeros.
  for (int32_t row = span.n_rows + here.warp; row < kRows; row += kAttentionWarps) {
    for (int32_t j = lane; j < kQueryWords; j += 32) query_codes[row * kQueryStride + j] = 0;
    if (lane == 0) query_scales[row] = 0;
  }
  block_barrier();

  const SharedPtr<uint32_t> own_steps = steps + here.warp * kRows * kStepStride;
  const SharedPtr<float> own_rows = page_rows + here.warp * kRows * kPageRow;
  if (is_there) {
    MmaSum sums[kEights][kMmaTiles] = {};
    multiply_keys<kQueryStride>(sums, query_codes, page, dim_k, lane);
    GPU_UNROLL for (int32_t i = 0; i < 2 * kEights; ++i) {
      const int32_t row = sum_column(i, lane);
      const bool is_row = row < span.n_rows;
      const float query_scale = query_scales[row];
      float weights[kMmaSlots];
      GPU_UNROLL for (int32_t j = 0; j < kMmaSlots; ++j) weights[j] =
          float(sums[i / 2][j / 2].values[j % 2 * 2 + i % 2]) *
          (code_scale(page.key_scales, page, mma_slot(j, lane), page.k_bits == 0) * query_scale);
      // The first positions of a text are a lane's first two.
      GPU_UNROLL for (int32_t j = 0; j < 2; ++j) {
        const int32_t slot = mma_slot(j, lane);
        if (is_row && slot < page.begin && slot >= page.first && slot <= page.last)
          weights[j] = sink_product(q + query_of(span, row, p) * dim_k, page.sink_keys + slot * (dim_k / 2), dim_k);
      }
      const SoftmaxState state =
          weigh_slots(weights, span.first_split + here.warp, page.first, page.last, row_position(span, row), p, lane);
      GPU_UNROLL for (int32_t j = 0; j < 2; ++j) {
        const int32_t slot = mma_slot(j, lane);
        if (slot < page.begin) sink_weights[row * kSinkPositions + slot] = weights[j];
      }
      GPU_UNROLL for (int32_t j = 0; j < kMmaSlots; ++j) weights[j] =
          weights[j] * code_scale(page.value_scales, page, mma_slot(j, lane), page.v_bits == 0);
      const float unit = step_slots(own_steps + row * kStepStride, weights, state.sum, lane);
      if (lane / 4 == 0) {
        own_rows[kPageRow * row] = state.max;
        own_rows[kPageRow * row + 1] = state.sum;
        own_rows[kPageRow * row + 2] = unit;
      }
    }
  }
  block_barrier();

  merge_pages<kRows>(factors, states, page_rows, span, p, here.thread_id);
  StepOperand<kEights> operand = {};
  if (is_there) operand = load_steps<kEights>(own_steps, lane);
  for (int32_t begin = 0; begin < dim_v; begin += kColumns) {
    for (int32_t d = begin; is_there && d < begin + kColumns && d < dim_v; d += 32) {
      ValueSums<kEights> of_page = {};
      multiply_values(of_page, page, operand, dim_v, d, lane);
      const int32_t own = d + lane / 4 * 4;
      GPU_UNROLL for (int32_t i = 0; i < 2 * kEights; ++i) {
        const int32_t row = sum_column(i, lane);
        if (row < span.n_rows && own < dim_v) {
          const float unit = own_rows[kPageRow * row + 2];
          float results[4];
          GPU_UNROLL for (int32_t t = 0; t < 4; ++t) {
            const int32_t at = t % 2 * 2 + i % 2;
            const GPU_LOCAL MmaSum(&of_rows)[2][2] = of_page.sums[i / 2];
            const int32_t sum = of_rows[0][t / 2].values[at] + 256 * of_rows[1][t / 2].values[at];
            results[t] = add_sinks(float(sum) * unit, sink_weights + row * kSinkPositions, page, dim_v, own + t);
          }
          store_float4(values + ((here.warp * kRows + row) * kStride + own - begin),
                       Float4{results[0], results[1], results[2], results[3]});
        }
      }
    }
    block_barrier();
    store_merged<kRows, kStride, kColumns>(partial, values, factors, span, begin, dim_v, p, here.thread_id);
    block_barrier();
  }
}

}  // namespace gpu
}  // namespace outpost
