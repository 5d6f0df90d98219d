// Rotary position embedding, and the way of keys and values into the pages of the KV cache, in one kernel.
#pragma once

#include "kernels/portable/kv_layout.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kRopeThreads = 128;

struct RopeKvParams {
  KvLayout kv;
  int32_t n_head;
  int32_t n_pairs;    ///< rotated pairs of dimensions; 0: nothing is rotated
  int32_t offset;     ///< leading dimensions of a head that are left as they are
  int32_t is_halves;  ///< pairs are (i, i + n_pairs) rather than (2i, 2i + 1)
};

/// The two dimensions of a pair.
struct PairPlace {
  int32_t first, second;
};

template <typename Params>
GPU_FN PairPlace pair_place(GPU_PARAMS_REF(Params) p, int32_t pair) {
  if (p.is_halves) return {p.offset + pair, p.offset + pair + p.n_pairs};
  return {p.offset + 2 * pair, p.offset + 2 * pair + 1};
}

struct Turned {
  float first, second;
};

GPU_FN Turned turned(float first, float second, float cosine, float sine) {
  return {first * cosine - second * sine, first * sine + second * cosine};
}
GPU_FN Turned turned(float first, float second, DevicePtr<const float> turn) {
  return turned(first, second, float(turn[0]), float(turn[1]));
}

/// Rotates q in place, and writes rotated keys and values as f16 into the pages.
/// Grid: (n_head + 2 * n_head_kv, n_tokens); a block does one head of one token, a thread both dimensions of a pair.
/// @param q [n_tokens, n_head, head_dim_k]; k [n_tokens, n_head_kv, head_dim_k]; v [n_tokens, n_head_kv, head_dim_v]
/// @param turns [n_positions, n_pairs, 2] cosine and sine times the rope's magnitude
/// @param positions [n_tokens]; slots [n_tokens] page * 64 + place in it, all different
GPU_KERNEL(kRopeThreads)
rope_and_store_kv(GPU_IO(0, float, q), GPU_RESULT(1, float, k), GPU_RESULT(2, float, v), GPU_IN(3, float, turns),
                  GPU_IN(4, int32_t, positions), GPU_IN(5, int32_t, slots), GPU_IO(6, uint16_t, pages),
                  GPU_PARAMS(7, RopeKvParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t head = here.block_x, token = here.block_y;
  const DevicePtr<const float> turn = turns + int64_t(positions[token]) * p.n_pairs * 2;
  if (head < p.n_head) {
    const DevicePtr<float> query = q + (int64_t(token) * p.n_head + head) * p.kv.head_dim_k;
    for (int32_t pair = here.thread_id; pair < p.n_pairs; pair += kRopeThreads) {
      const PairPlace at = pair_place(p, pair);
      const Turned value = turned(query[at.first], query[at.second], turn + 2 * pair);
      query[at.first] = value.first;
      query[at.second] = value.second;
    }
    return;
  }
  const int32_t page = slots[token] / kPage, place = slots[token] % kPage;
  if (head < p.n_head + p.kv.n_head_kv) {
    const int32_t head_kv = head - p.n_head;
    const DevicePtr<const float> key = k + (int64_t(token) * p.kv.n_head_kv + head_kv) * p.kv.head_dim_k;
    const DevicePtr<uint16_t> stored = pages + key_at(p.kv, page, head_kv, place);
    for (int32_t pair = here.thread_id; pair < p.n_pairs; pair += kRopeThreads) {
      const PairPlace at = pair_place(p, pair);
      const Turned value = turned(key[at.first], key[at.second], turn + 2 * pair);
      stored[at.first] = half_of_float(value.first);
      stored[at.second] = half_of_float(value.second);
    }
    for (int32_t d = here.thread_id; d < p.kv.head_dim_k; d += kRopeThreads) {
      if (d < p.offset || d >= p.offset + 2 * p.n_pairs) stored[d] = half_of_float(key[d]);
    }
  } else {
    const int32_t head_kv = head - p.n_head - p.kv.n_head_kv;
    const DevicePtr<const float> value = v + (int64_t(token) * p.kv.n_head_kv + head_kv) * p.kv.head_dim_v;
    const DevicePtr<uint16_t> stored = pages + value_at(p.kv, page, head_kv, place);
    for (int32_t d = here.thread_id; d < p.kv.head_dim_v; d += kRopeThreads) stored[d] = half_of_float(value[d]);
  }
}

}  // namespace gpu
}  // namespace outpost
