// Rotary position embedding, the rotation in which keys and values are packed, and the way into the pages as 8-bit
// codes, in one kernel; and the way back out of the rotation for what attention has summed. What the rotation is for:
// docs/kv-cache.md. Here it is a matrix, that of native/backend/kv_rotation.h.
#pragma once

#include "kernels/portable/kv_codes.h"
#include "kernels/portable/prefetch.h"
#include "kernels/portable/reduce.h"
#include "kernels/portable/rope_kv.h"

namespace outpost {
namespace gpu {

struct RopeCodesParams {
  CodesLayout kv;
  int32_t n_head, n_tokens;
  int32_t n_groups;                    ///< of KV heads that share matrices, at most n_head_kv
  int32_t has_means;                   ///< of keys and values, subtracted before the rotation
  int32_t n_pairs, offset, is_halves;  ///< as RopeKvParams
};

/// Matrices of a layer, columns one after the other: of queries, keys [n_groups, head_dim_k, head_dim_k]; of values and
/// back [n_groups, head_dim_v, head_dim_v].
GPU_FN int64_t matrix_at(GPU_PARAMS_REF(RopeCodesParams) p, int32_t kind, int32_t head_kv) {
  const int64_t of_keys = int64_t(p.kv.head_dim_k) * p.kv.head_dim_k,
                of_values = int64_t(p.kv.head_dim_v) * p.kv.head_dim_v;
  const int32_t group = head_kv * p.n_groups / p.kv.n_head_kv;
  if (kind < 2) return (int64_t(kind) * p.n_groups + group) * of_keys;
  return 2 * p.n_groups * of_keys + (int64_t(kind - 2) * p.n_groups + group) * of_values;
}

/// Means of a layer: of keys [n_groups, head_dim_k], then of values [n_groups, head_dim_v].
GPU_FN int64_t mean_at(GPU_PARAMS_REF(RopeCodesParams) p, bool is_value, int32_t head_kv) {
  const int32_t group = head_kv * p.n_groups / p.kv.n_head_kv;
  if (!is_value) return int64_t(group) * p.kv.head_dim_k;
  return int64_t(p.n_groups) * p.kv.head_dim_k + int64_t(group) * p.kv.head_dim_v;
}

/// Tokens of a block: each reads the matrix once for all of them. Dimensions of a thread.
template <int kMaxDim>
struct TurnShape {
  enum { kTokens = kMaxDim <= 128 ? 8 : 4, kDims = (kMaxDim + kRopeThreads - 1) / kRopeThreads };
};

/// Columns of a matrix that a thread has asked for: of its rows, those thread_id + 128 i.
template <int kDims>
struct TurnColumns {
  enum { kCount = 32 / kDims };
  float factors[kCount][kDims];
};

template <int kDims>
GPU_FN void load_columns(GPU_LOCAL TurnColumns<kDims>& columns, DevicePtr<const float> matrix, int32_t begin,
                         int32_t dim, int32_t thread_id) {
  GPU_UNROLL for (int32_t j = 0; j < TurnColumns<kDims>::kCount; ++j) {
    GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
      const int32_t d = thread_id + i * kRopeThreads;
      columns.factors[j][i] = begin + j < dim && d < dim ? float(matrix[int64_t(begin + j) * dim + d]) : 0.0f;
    }
  }
}

/// Asks for the first columns of a matrix, and for the others to come to the device's cache: nobody's result.
template <int kDims>
GPU_FN void begin_columns(GPU_LOCAL TurnColumns<kDims>& columns, DevicePtr<const float> matrix, int32_t dim,
                          int32_t thread_id) {
  load_columns(columns, matrix, 0, dim, thread_id);
  prefetch_elements<float>(matrix, dim * dim, thread_id, kRopeThreads);
}

/// turned[t][i] = element thread_id + 128 i of matrix * x[., t]. A sum takes columns in order, of which a thread asks
/// for the next ones before it uses those that it has.
/// @param x [dim, kTokens]; columns those from 0 on
template <int kTokens, int kDims>
GPU_FN void turn_rows(GPU_LOCAL float (&turned)[kTokens][kDims], SharedPtr<float> x,
                      GPU_LOCAL TurnColumns<kDims>& columns, DevicePtr<const float> matrix, int32_t dim,
                      int32_t thread_id) {
  enum { kCount = TurnColumns<kDims>::kCount };
  GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) { GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) turned[t][i] = 0; }
  for (int32_t begin = 0; begin < dim; begin += kCount) {
    TurnColumns<kDims> next = {};
    if (begin + kCount < dim) load_columns(next, matrix, begin + kCount, dim, thread_id);  // the whole block
    GPU_UNROLL for (int32_t j = 0; j < kCount; ++j) {
      if (begin + j < dim) {  // the whole block
        GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
          GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) turned[t][i] =
              fma32(columns.factors[j][i], x[(begin + j) * kTokens + t], turned[t][i]);
        }
      }
    }
    columns = next;
  }
}

/// Four numbers as signed bytes in units of 1 / inverse. A NaN becomes 0: it has no place among integers.
GPU_FN uint32_t bytes_of(SharedPtr<float> x, float inverse) {
  uint32_t word = 0;
  GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
    const float scaled = x[i] * inverse;
    const float clamped = min32(max32(scaled, -127.0f), 127.0f);
    const int32_t code = scaled == scaled ? int32_t(round32(clamped)) : 0;
    word |= (uint32_t(code) & 255u) << (8 * i);
  }
  return word;
}

/// One vector into the page, by a warp. Words and scale lie at data[j * word_stride] and *scale.
/// @param x [4 * n_words]; words up to n_padded are zeros
/// @param sink where the vector goes as f16 too, if is_sink
GPU_FN void store_vector(SharedPtr<float> x, int32_t n_words, int32_t n_padded, DevicePtr<uint32_t> data,
                         int32_t word_stride, DevicePtr<uint32_t> scale, bool is_sink, DevicePtr<uint32_t> sink,
                         int32_t lane) {
  float largest = 0;
  for (int32_t j = lane; j < n_words; j += 32) {
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) largest = max32(largest, abs32(x[4 * j + i]));
  }
  const float unit = scale_of(scale_code<true>(warp_max(largest) / 127.0f));
  for (int32_t j = lane; j < n_padded; j += 32)
    data[int64_t(j) * word_stride] = j < n_words ? bytes_of(x + 4 * j, 1.0f / unit) : 0u;
  if (lane == 0) *scale = bits_of_float(unit);
  if (!is_sink) return;
  for (int32_t j = lane; j < 2 * n_words; j += 32)
    sink[j] = uint32_t(half_of_float(x[2 * j])) | uint32_t(half_of_float(x[2 * j + 1])) << 16;
}

/// Turns q in place, and writes turned keys and values as codes into the fresh form of their pages, those of the first
/// positions as f16 into the sinks as well. Grid: (n_head + 2 * n_head_kv, n_tokens / kTokens rounded up); a block does
/// one head of kTokens tokens. kMaxDim is at least both dimensions.
/// @param q, k, v, turns, positions, slots as rope_and_store_kv; forms and arena as codes_place
/// @param matrices, means of the layer, as matrix_at and mean_at say
template <int kMaxDim, int kTokens>
GPU_KERNEL(kRopeThreads)
rope_and_store_codes(GPU_IO(0, float, q), GPU_RESULT(1, float, k), GPU_RESULT(2, float, v), GPU_IN(3, float, turns),
                     GPU_IN(4, int32_t, positions), GPU_IN(5, int32_t, slots), GPU_IN(6, int64_t, forms),
                     GPU_IN(7, float, matrices), GPU_IN(8, float, means), GPU_IO(9, uint32_t, arena),
                     GPU_PARAMS(10, RopeCodesParams, p) GPU_GRID) {
  enum { kDims = TurnShape<kMaxDim>::kDims };
  GPU_SHARED(float, x, kTokens* kMaxDim);
  allow_next();
  const Here here = GPU_HERE;
  const int32_t first = here.block_y * kTokens;
  const int32_t n_tokens = p.n_tokens - first < kTokens ? p.n_tokens - first : kTokens;
  const bool is_query = here.block_x < p.n_head, is_value = here.block_x >= p.n_head + p.kv.n_head_kv;
  const int32_t head = is_query ? here.block_x : (here.block_x - p.n_head) % p.kv.n_head_kv;
  const int32_t head_kv = is_query ? head / (p.n_head / p.kv.n_head_kv) : head;
  const int32_t n_heads = is_query ? p.n_head : p.kv.n_head_kv, dim = is_value ? p.kv.head_dim_v : p.kv.head_dim_k;
  const int32_t kind = is_query ? 0 : is_value ? 2 : 1;
  const DevicePtr<const float> matrix = matrices + matrix_at(p, kind, head_kv);
  TurnColumns<kDims> columns;
  begin_columns(columns, matrix, dim, here.thread_id);
  wait_for_previous();

  for (int32_t i = here.thread_id; i < kTokens * dim; i += kRopeThreads) {
    const int32_t t = i / dim, d = i % dim;
    const int64_t at = (int64_t(first + t) * n_heads + head) * dim + d;
    x[d * kTokens + t] = t >= n_tokens ? 0.0f : is_query ? float(q[at]) : is_value ? float(v[at]) : float(k[at]);
  }
  block_barrier();
  if (!is_value) {
    for (int32_t i = here.thread_id; i < n_tokens * p.n_pairs; i += kRopeThreads) {
      const int32_t t = i / p.n_pairs, pair = i % p.n_pairs;
      const PairPlace at = pair_place(p, pair);
      const Turned value = turned(x[at.first * kTokens + t], x[at.second * kTokens + t],
                                  turns + (int64_t(positions[first + t]) * p.n_pairs + pair) * 2);
      x[at.first * kTokens + t] = value.first;
      x[at.second * kTokens + t] = value.second;
    }
    block_barrier();
  }
  if (!is_query && p.has_means) {
    const DevicePtr<const float> mean = means + mean_at(p, is_value, head_kv);
    for (int32_t i = here.thread_id; i < kTokens * dim; i += kRopeThreads) x[i] = x[i] - mean[i / kTokens];
    block_barrier();
  }

  float results[kTokens][kDims];
  turn_rows<kTokens, kDims>(results, x, columns, matrix, dim, here.thread_id);
  if (is_query) {
    GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) {
      GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
        const int32_t d = here.thread_id + i * kRopeThreads;
        if (t < n_tokens && d < dim) q[(int64_t(first + t) * p.n_head + head) * dim + d] = results[t][i];
      }
    }
    return;  // the whole block
  }
  block_barrier();
  GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) {
    GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
      const int32_t d = here.thread_id + i * kRopeThreads;
      if (d < dim) x[t * kMaxDim + d] = results[t][i];
    }
  }
  block_barrier();
  for (int32_t t = here.warp; t < n_tokens; t += kRopeThreads / 32) {
    const int32_t page = slots[first + t] / kPage, slot = slots[first + t] % kPage;
    const bool is_sink = positions[first + t] < kSinkPositions;
    const CodesPlace<uint32_t> fresh = codes_place(arena, forms, page, kFreshForm, p.kv, head);
    const CodesPlace<uint32_t> sinks = is_sink ? codes_place(arena, forms, page, kSinksForm, p.kv, head) : fresh;
    if (is_value) {
      store_vector(x + t * kMaxDim, dim / 4, dim / 4, fresh.values + slot * (dim / 4), 1,
                   fresh.values + (kPage * (dim / 4) + slot), is_sink, sinks.values + slot * (dim / 2), here.lane);
    } else {
      store_vector(x + t * kMaxDim, dim / 4, key_groups(dim) * 8, fresh.keys + slot, kPage,
                   fresh.keys + (key_groups(dim) * 8 * kPage + slot), is_sink, sinks.keys + slot * (dim / 2),
                   here.lane);
    }
  }
}

/// Turns the sums of values back, in place. Grid: (n_head, n_tokens / kTokens rounded up).
/// @param y [n_tokens, n_head, head_dim_v]
template <int kMaxDim>
GPU_KERNEL(kRopeThreads)
turn_back(GPU_IO(0, float, y), GPU_IN(1, float, matrices), GPU_IN(2, float, means),
          GPU_PARAMS(3, RopeCodesParams, p) GPU_GRID) {
  enum { kTokens = TurnShape<kMaxDim>::kTokens, kDims = TurnShape<kMaxDim>::kDims };
  GPU_SHARED(float, x, kTokens* kMaxDim);
  allow_next();
  const Here here = GPU_HERE;
  const int32_t first = here.block_y * kTokens, head = here.block_x, dim = p.kv.head_dim_v;
  const int32_t n_tokens = p.n_tokens - first < kTokens ? p.n_tokens - first : kTokens;
  const int32_t head_kv = head / (p.n_head / p.kv.n_head_kv);
  const DevicePtr<const float> matrix = matrices + matrix_at(p, 3, head_kv);
  TurnColumns<kDims> columns;
  begin_columns(columns, matrix, dim, here.thread_id);
  wait_for_previous();
  for (int32_t i = here.thread_id; i < kTokens * dim; i += kRopeThreads) {
    const int32_t t = i / dim, d = i % dim;
    x[d * kTokens + t] = t < n_tokens ? float(y[(int64_t(first + t) * p.n_head + head) * dim + d]) : 0.0f;
  }
  block_barrier();
  float results[kTokens][kDims];
  turn_rows<kTokens, kDims>(results, x, columns, matrix, dim, here.thread_id);
  const DevicePtr<const float> mean = means + mean_at(p, true, head_kv);
  GPU_UNROLL for (int32_t i = 0; i < kDims; ++i) {
    const int32_t d = here.thread_id + i * kRopeThreads;
    if (d < dim) {
      const float shift = p.has_means ? float(mean[d]) : 0.0f;
      GPU_UNROLL for (int32_t t = 0; t < kTokens; ++t) {
        if (t < n_tokens) y[(int64_t(first + t) * p.n_head + head) * dim + d] = results[t][i] + shift;
      }
    }
  }
}

}  // namespace gpu
}  // namespace outpost
