// From router logits to the experts of each token and their weights, and from those to an order of the work by expert.
// Semantics as in native/backend/cpu/expert_router.h.
#pragma once

#include "kernels/portable/expert_tile.h"
#include "kernels/portable/reduce.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kMaxExperts = 1024;
OUTPOST_CONSTANT int kMaxExpertsUsed = 32;  ///< a lane holds one
OUTPOST_CONSTANT int kGroupThreads = 256;

enum RouterGating { kRouterSoftmax = 0, kRouterSigmoid = 1, kRouterSoftmaxOfChosen = 2 };

/// As RouterParams of native/backend/backend.h.
struct RouterKernelParams {
  int32_t gating;
  int32_t n_expert, n_used;
  int32_t n_groups, n_groups_used;
  int32_t is_normalized;
  int32_t has_bias;
  float scale;
};

/// The place of no candidate.
OUTPOST_CONSTANT int32_t kNowhere = 0x7fffffff;

/// A candidate and its place.
struct Ranked {
  float score;
  int32_t index;
};

GPU_FN float rank_of(float score) { return score == score ? score : -infinity32(); }

GPU_FN bool is_better(Ranked a, Ranked b) {
  if (b.index == kNowhere) return a.index != kNowhere;
  if (a.index == kNowhere) return false;
  return a.score != b.score ? a.score > b.score : a.index < b.index;
}

GPU_FN Ranked warp_best(Ranked mine) {
  GPU_UNROLL for (int32_t distance = 16; distance > 0; distance /= 2) {
    const Ranked other = {shuffle_xor(mine.score, distance), shuffle_xor(mine.index, distance)};
    if (is_better(other, mine)) mine = other;
  }
  return mine;
}

/// The best of scores[0..n) that are not taken, ties to the lower index; the same on every lane.
GPU_FN Ranked best_left(SharedPtr<float> scores, SharedPtr<int32_t> is_taken, int32_t n, int32_t lane) {
  Ranked best = {0, kNowhere};
  for (int32_t i = lane; i < n; i += 32) {
    const Ranked candidate = {rank_of(scores[i]), i};
    if (!is_taken[i] && is_better(candidate, best)) best = candidate;
  }
  return warp_best(best);
}

/// The sum of the first n lanes in their order.
GPU_FN float sum_in_order(float value, int32_t n) {
  float sum = 0;
  for (int32_t i = 0; i < n; ++i) sum += shuffle(value, i);
  return sum;
}

/// Takes out every expert whose group is not among the n_groups_used with the largest sum of their two best scores.
GPU_FN void leave_best_groups(SharedPtr<float> scores, SharedPtr<int32_t> is_taken, SharedPtr<float> group_scores,
                              SharedPtr<int32_t> is_group_taken, GPU_PARAMS_REF(RouterKernelParams) p, int32_t lane) {
  const int32_t group_size = p.n_expert / p.n_groups;
  for (int32_t group = lane; group < p.n_groups; group += 32) {
    float best = -infinity32(), second = -infinity32();
    for (int32_t i = 0; i < group_size; ++i) {
      const float score = rank_of(scores[group * group_size + i]);
      second = max32(second, min32(best, score));
      best = max32(best, score);
    }
    group_scores[group] = group_size == 1 ? best : best + second;
    is_group_taken[group] = 0;
  }
  warp_barrier();
  for (int32_t i = 0; i < p.n_groups_used; ++i) {
    const Ranked best = best_left(group_scores, is_group_taken, p.n_groups, lane);
    warp_barrier();
    if (lane == 0) is_group_taken[best.index] = 1;
    warp_barrier();
  }
  for (int32_t i = lane; i < p.n_expert; i += 32) is_taken[i] = 1 - is_group_taken[i / group_size];
  warp_barrier();
}

/// The n_used best experts of each token, best first by (biased) probability, ties to the lower index, and their
/// weights. A NaN ranks below every number and stays in the weights that it takes part in.
/// Grid: a block of one warp for each token. n_expert <= kMaxExperts, n_used <= kMaxExpertsUsed.
/// @param logits [n_tokens, n_expert], bias [n_expert] or unused, experts and weights [n_tokens, n_used]
GPU_KERNEL(32)
route_experts(GPU_RESULT(0, float, logits), GPU_IN(1, float, bias), GPU_IO(2, int32_t, experts),
              GPU_IO(3, float, weights), GPU_PARAMS(4, RouterKernelParams, p) GPU_GRID) {
  GPU_SHARED(float, probabilities, kMaxExperts);
  GPU_SHARED(float, scores, kMaxExperts);
  GPU_SHARED(int32_t, is_taken, kMaxExperts);
  GPU_SHARED(float, group_scores, kMaxExperts);
  GPU_SHARED(int32_t, is_group_taken, kMaxExperts);
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int64_t token = here.block_x;
  const float least_sum = 6.103515625e-05f;  // 2^-14, the smallest normal f16

  float max = -infinity32(), sum = 0;
  for (int32_t i = here.lane; i < p.n_expert; i += 32) max = max32(max, rank_of(logits[token * p.n_expert + i]));
  max = warp_max(max);
  if (p.gating == kRouterSoftmax) {
    for (int32_t i = here.lane; i < p.n_expert; i += 32) sum += exp32(logits[token * p.n_expert + i] - max);
    sum = warp_sum(sum);
  }
  for (int32_t i = here.lane; i < p.n_expert; i += 32) {
    const float logit = logits[token * p.n_expert + i];
    float probability = logit;
    if (p.gating == kRouterSoftmax) probability = exp32(logit - max) / sum;
    if (p.gating == kRouterSigmoid) probability = 1.0f / (1.0f + exp32(-logit));
    probabilities[i] = probability;
    scores[i] = probability + (p.has_bias ? float(bias[i]) : 0.0f);
    is_taken[i] = 0;
  }
  warp_barrier();
  if (p.n_groups > 1) leave_best_groups(scores, is_taken, group_scores, is_group_taken, p, here.lane);

  int32_t expert = 0;
  float weight = 0;  // of this lane's choice
  for (int32_t i = 0; i < p.n_used; ++i) {
    const Ranked best = best_left(scores, is_taken, p.n_expert, here.lane);
    if (here.lane == i) {
      expert = best.index;
      weight = probabilities[best.index];
    }
    warp_barrier();
    if (here.lane == 0) is_taken[best.index] = 1;
    warp_barrier();
  }
  if (p.gating == kRouterSoftmaxOfChosen) {
    const float largest = warp_max(here.lane < p.n_used ? rank_of(weight) : -infinity32());
    weight = exp32(weight - largest);
    weight = weight / sum_in_order(weight, p.n_used);
  }
  if (p.is_normalized) {
    const float total = sum_in_order(weight, p.n_used);
    weight = weight / (total < least_sum ? least_sum : total);  // a NaN stays
  }
  if (here.lane < p.n_used) {
    experts[token * p.n_used + here.lane] = expert;
    weights[token * p.n_used + here.lane] = weight * p.scale;
  }
}

struct GroupParams {
  int32_t n_expert;
  int32_t n_choices;  ///< n_tokens * n_used
};

/// Sorts the choices by expert, in their own order inside one, and cuts them into tiles. Grid: one block.
/// @param experts [n_choices]; order [n_choices]; tiles [n_choices, 3], of which n_tiles[0] are
///   written: expert, first and n of an ExpertTile
GPU_KERNEL(kGroupThreads)
group_experts(GPU_RESULT(0, int32_t, experts), GPU_IO(1, int32_t, order), GPU_IO(2, int32_t, tiles),
              GPU_IO(3, int32_t, n_tiles), GPU_PARAMS(4, GroupParams, p) GPU_GRID) {
  GPU_SHARED(int32_t, counts, kMaxExperts);
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  for (int32_t e = here.thread_id; e < p.n_expert; e += kGroupThreads) {
    int32_t n = 0;
    for (int32_t i = 0; i < p.n_choices; ++i) n += experts[i] == e ? 1 : 0;
    counts[e] = n;
  }
  block_barrier();
  for (int32_t e = here.thread_id; e < p.n_expert; e += kGroupThreads) {
    int32_t first = 0, tile = 0;
    for (int32_t before = 0; before < e; ++before) {
      first += counts[before];
      tile += (counts[before] + kExpertTileTokens - 1) / kExpertTileTokens;
    }
    int32_t at = first;
    for (int32_t i = 0; i < p.n_choices; ++i) {
      if (experts[i] == e) order[at++] = i;
    }
    for (int32_t begin = first; begin < at; begin += kExpertTileTokens) {
      const int32_t n = at - begin < kExpertTileTokens ? at - begin : kExpertTileTokens;
      tiles[3 * tile] = e;
      tiles[3 * tile + 1] = begin;
      tiles[3 * tile + 2] = n;
      ++tile;
    }
    if (e == p.n_expert - 1) n_tiles[0] = tile;
  }
}

}  // namespace gpu
}  // namespace outpost
