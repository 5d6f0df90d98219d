// What sampling needs from a row of logits: the best token, the best k, and their probabilities. A block does one row.
#pragma once

#include "kernels/portable/router.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kSampleThreads = 256;
OUTPOST_CONSTANT int kSampleWarps = kSampleThreads / 32;

struct SampleParams {
  int32_t n_vocab;
  int32_t k;          ///< at most n_vocab
  float temperature;  ///< of softmax_row
};

/// The best of what the block's threads have; the same on all of them.
GPU_FN Ranked block_best(Ranked mine, SharedPtr<float> scores, SharedPtr<int32_t> indices, Here here) {
  mine = warp_best(mine);
  if (here.lane == 0) {
    scores[here.warp] = mine.score;
    indices[here.warp] = mine.index;
  }
  block_barrier();
  Ranked best = {scores[0], indices[0]};
  for (int32_t i = 1; i < kSampleWarps; ++i) {
    const Ranked other = {scores[i], indices[i]};
    if (is_better(other, best)) best = other;
  }
  block_barrier();
  return best;
}

/// The k largest logits of each row, best first, ties to the lower token; NaN ranks below every number. k = 1 is
/// argmax. Each round scans for the best below the last: no memory beside the row, which the caches hold.
/// Grid: a block for each row.
/// @param logits [n_rows, n_vocab], tokens and values [n_rows, k]
GPU_KERNEL(kSampleThreads)
top_k(GPU_RESULT(0, float, logits), GPU_IO(1, int32_t, tokens), GPU_IO(2, float, values),
      GPU_PARAMS(3, SampleParams, p) GPU_GRID) {
  GPU_SHARED(float, scores, kSampleWarps);
  GPU_SHARED(int32_t, indices, kSampleWarps);
  const Here here = GPU_HERE;
  const int64_t row = int64_t(here.block_x) * p.n_vocab;
  Ranked last = {infinity32(), -1};
  for (int32_t i = 0; i < p.k; ++i) {
    Ranked best = {0, kNowhere};
    for (int32_t token = here.thread_id; token < p.n_vocab; token += kSampleThreads) {
      const Ranked candidate = {rank_of(logits[row + token]), token};
      if (is_better(last, candidate) && is_better(candidate, best)) best = candidate;
    }
    last = block_best(best, scores, indices, here);
    if (here.thread_id == 0) {
      tokens[int64_t(here.block_x) * p.k + i] = last.index;
      values[int64_t(here.block_x) * p.k + i] = logits[row + last.index];
    }
  }
}

/// y[r, i] = exp((x[r, i] - max) / temperature) / sum; y may be x. Grid: a block for each row.
GPU_KERNEL(kSampleThreads)
softmax_rows(GPU_IO(0, float, y), GPU_IO(1, const float, x), GPU_PARAMS(2, SampleParams, p) GPU_GRID) {
  GPU_SHARED(float, maxima, kSampleWarps);
  GPU_SHARED(float, sums, kSampleWarps);
  const Here here = GPU_HERE;
  const int64_t row = int64_t(here.block_x) * p.n_vocab;
  float max = -infinity32();
  for (int32_t i = here.thread_id; i < p.n_vocab; i += kSampleThreads) max = max32(max, x[row + i]);
  max = block_max<kSampleWarps>(max, maxima, here);
  float sum = 0;
  for (int32_t i = here.thread_id; i < p.n_vocab; i += kSampleThreads) sum += exp32((x[row + i] - max) / p.temperature);
  sum = block_sum<kSampleWarps>(sum, sums, here);
  for (int32_t i = here.thread_id; i < p.n_vocab; i += kSampleThreads)
    y[row + i] = exp32((x[row + i] - max) / p.temperature) / sum;
}

}  // namespace gpu
}  // namespace outpost
