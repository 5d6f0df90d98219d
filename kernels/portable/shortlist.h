// The best tokens of rows of logits, so that a row need not come to the host: two launches for all rows of a pass.
//
// A row is cut into groups of neighbouring tokens. As many groups as tokens are wanted hold at least one token each
// that is no worse than the group's best: so the n-th best of the groups' best is a bound that n tokens reach, and few
// more where the groups are many. The groups that reach it are looked at once more, and no other.
#pragma once

#include "kernels/common/shortlist.h"
#include "kernels/portable/reduce.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kGroupBestThreads = 256;
OUTPOST_CONSTANT int kGroupsPerBlock = kGroupBestThreads / 32;  ///< a warp does one

OUTPOST_CONSTANT int kShortlistThreads = 512;
OUTPOST_CONSTANT int kShortlistWarps = kShortlistThreads / 32;
OUTPOST_CONSTANT int kGroupsPerThread = 8;
OUTPOST_CONSTANT int kMostGroups = kShortlistThreads * kGroupsPerThread;

struct ShortlistParams {
  int32_t n_vocab;
  int32_t group_size;  ///< a multiple of 32
  int32_t n_groups;    ///< at most kMostGroups; the last one may be cut off
  int32_t n_least;     ///< tokens that a list has to have, at most n_groups
};

GPU_FN bool is_finite(float x) { return (bits_of_float(x) & 0x7f800000u) != 0x7f800000u; }

/// Of finite numbers and infinities, an integer in their order; the two zeros are one.
GPU_FN uint32_t order_of(float x) {
  const uint32_t bits = bits_of_float(x + 0.0f);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}

/// The largest logit of each group, and the sum of exp(logit - that); infinity for a group with a logit that is not
/// finite. Grid: blocks of kGroupsPerBlock groups, rows.
/// @param logits [n_rows, n_vocab], best and sums [n_rows, n_groups]
GPU_KERNEL(kGroupBestThreads)
best_of_groups(GPU_RESULT(0, float, logits), GPU_IO(1, float, best), GPU_IO(2, float, sums),
               GPU_PARAMS(3, ShortlistParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t group = here.block_x * kGroupsPerBlock + here.warp;
  const int64_t row = int64_t(here.block_y) * p.n_vocab;
  const int32_t begin = group * p.group_size;
  const int32_t end = p.n_vocab - begin < p.group_size ? p.n_vocab : begin + p.group_size;
  float max = -infinity32(), sum = 0;
  for (int32_t token = begin + here.lane; token < end; token += 32) {
    const float logit = logits[row + token];
    max = max32(max, is_finite(logit) ? logit : infinity32());
  }
  max = warp_max(max);
  for (int32_t token = begin + here.lane; token < end; token += 32) sum += exp32(logits[row + token] - max);
  sum = warp_sum(sum);
  if (here.lane == 0 && group < p.n_groups) {
    best[int64_t(here.block_y) * p.n_groups + group] = max;
    sums[int64_t(here.block_y) * p.n_groups + group] = sum;
  }
}

/// The sum of the block's numbers, on every thread. @param scratch [kShortlistWarps], free to be written again after
/// the next barrier
GPU_FN int32_t block_count(int32_t n, SharedPtr<int32_t> scratch, Here here) {
  n = warp_sum(n);
  if (here.lane == 0) scratch[here.warp] = n;
  block_barrier();
  return warp_sum(here.lane < kShortlistWarps ? scratch[here.lane] : 0);
}

/// The sum of scratch[0..n), on every lane.
GPU_FN int32_t sum_before(SharedPtr<int32_t> scratch, int32_t n, int32_t lane) {
  int32_t sum = 0;
  for (int32_t i = lane; i < n; i += 32) sum += scratch[i];
  return warp_sum(sum);
}

/// The largest bound that n_least groups reach, or a smaller one that few more do; the same on every thread. Bit by
/// bit.
/// @param keys of this thread's groups @param counts [2 * kShortlistWarps]
GPU_FN uint32_t find_bound(GPU_LOCAL const uint32_t (&keys)[kGroupsPerThread], int32_t n_least,
                           SharedPtr<int32_t> counts, Here here) {
  uint32_t bound = 0;
  for (int32_t bit = 31; bit >= 0; --bit) {
    const uint32_t higher = bound | (1u << bit);
    int32_t n = 0;
    GPU_UNROLL for (int32_t i = 0; i < kGroupsPerThread; ++i) n += keys[i] >= higher ? 1 : 0;
    n = block_count(n, counts + (bit & 1) * kShortlistWarps, here);
    if (n >= n_least) bound = higher;
    if (n >= n_least && n <= n_least + n_least / 8) break;
  }
  return bound;
}

/// Writes the first kShortlistMost groups that reach the bound to `chosen`, ascending, for after the next barrier.
/// @param keys of this thread's groups, which begin at `first` @param counts [kShortlistWarps]
/// @return how many groups reach it
GPU_FN int32_t choose_groups(GPU_LOCAL const uint32_t (&keys)[kGroupsPerThread], int32_t first, int32_t n_groups,
                             uint32_t bound, SharedPtr<int32_t> counts, SharedPtr<int32_t> chosen, Here here) {
  int32_t n = 0;
  GPU_UNROLL for (int32_t i = 0; i < kGroupsPerThread; ++i) {
    if (first + i < n_groups && keys[i] >= bound) ++n;
  }
  int32_t end = n;  // of what this thread and those before it in the warp have
  GPU_UNROLL for (int32_t distance = 1; distance < 32; distance *= 2) {
    const int32_t of_other = shuffle(end, here.lane >= distance ? here.lane - distance : here.lane);
    if (here.lane >= distance) end += of_other;
  }
  if (here.lane == 31) counts[here.warp] = end;
  block_barrier();
  int32_t at = sum_before(counts, here.warp, here.lane) + end - n;
  GPU_UNROLL for (int32_t i = 0; i < kGroupsPerThread; ++i) {
    if (first + i < n_groups && keys[i] >= bound) {
      if (at < kShortlistMost) chosen[at] = first + i;
      ++at;
    }
  }
  return sum_before(counts, kShortlistWarps, here.lane);
}

/// Of 32 tokens from `first` on those whose logits reach the bound, a bit for each.
/// @param row [n_vocab]
GPU_FN uint32_t reaching(DevicePtr<const float> row, int32_t first, int32_t n_vocab, uint32_t bound, Here here) {
  const int32_t token = first + here.lane;
  return ballot(token < n_vocab && order_of(row[token]) >= bound);
}

/// A Shortlist of each row. Grid: a block for each row.
/// @param logits [n_rows, n_vocab], best and sums [n_rows, n_groups] by best_of_groups, lists [n_rows, kShortlistWords]
GPU_KERNEL(kShortlistThreads)
shortlist(GPU_RESULT(0, float, logits), GPU_RESULT(1, float, best), GPU_RESULT(2, float, sums), GPU_IO(3, float, lists),
          GPU_PARAMS(4, ShortlistParams, p) GPU_GRID) {
  GPU_SHARED(float, maxima, kShortlistWarps);
  GPU_SHARED(float, totals, kShortlistWarps);
  GPU_SHARED(int32_t, counts, 2 * kShortlistWarps);
  GPU_SHARED(int32_t, chosen, kShortlistMost);
  GPU_SHARED(int32_t, reached, kShortlistMost);
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int64_t groups = int64_t(here.block_x) * p.n_groups;
  const DevicePtr<const float> row = logits + int64_t(here.block_x) * p.n_vocab;
  const int64_t list = int64_t(here.block_x) * kShortlistWords;
  for (int32_t i = here.thread_id; i < kShortlistWords; i += kShortlistThreads) lists[list + i] = 0;

  // Each thread has neighbouring groups, so that those of a thread come before those of the next.
  const int32_t first = here.thread_id * kGroupsPerThread;
  uint32_t keys[kGroupsPerThread];
  float max = -infinity32(), sum = 0;
  GPU_UNROLL for (int32_t i = 0; i < kGroupsPerThread; ++i) {
    const float value = first + i < p.n_groups ? float(best[groups + first + i]) : -infinity32();
    keys[i] = order_of(value);
    max = max32(max, value);
  }
  max = block_max<kShortlistWarps>(max, maxima, here);
  GPU_UNROLL for (int32_t i = 0; i < kGroupsPerThread; ++i) {
    if (first + i < p.n_groups) sum += sums[groups + first + i] * exp32(best[groups + first + i] - max);
  }
  sum = block_sum<kShortlistWarps>(sum, totals, here);

  const uint32_t bound = find_bound(keys, p.n_least, counts, here);
  block_barrier();
  const int32_t n_chosen = choose_groups(keys, first, p.n_groups, bound, counts, chosen, here);
  const int32_t n_listed = n_chosen < kShortlistMost ? n_chosen : kShortlistMost;
  block_barrier();

  // Their tokens, ascending: counted, then written.
  for (int32_t i = here.warp; i < n_listed; i += kShortlistWarps) {
    const int32_t begin = chosen[i] * p.group_size;
    int32_t n = 0;
    for (int32_t step = 0; step < p.group_size; step += 32)
      n += count_bits(reaching(row, begin + step, p.n_vocab, bound, here));
    if (here.lane == 0) reached[i] = n;
  }
  block_barrier();
  const int32_t n_tokens = sum_before(reached, n_listed, here.lane);
  const bool is_finite_row = max < infinity32();
  const bool is_listed = is_finite_row && n_chosen <= kShortlistMost && n_tokens <= kShortlistMost;
  if (here.thread_id == 0) {
    const int32_t n = !is_finite_row ? kShortlistNotFinite : is_listed ? n_tokens : kShortlistTooLong;
    lists[list] = float_of_bits(uint32_t(n));
    lists[list + 1] = sum;
  }
  if (!is_listed) return;
  for (int32_t i = here.warp; i < n_listed; i += kShortlistWarps) {
    const int32_t begin = chosen[i] * p.group_size;
    int32_t to = sum_before(reached, i, here.lane);
    for (int32_t step = 0; step < p.group_size; step += 32) {
      const uint32_t all = reaching(row, begin + step, p.n_vocab, bound, here);
      if ((all >> here.lane & 1) != 0) {
        const int32_t token = begin + step + here.lane;
        const int32_t place = to + count_bits(all & ((1u << here.lane) - 1));
        lists[list + 2 + place] = float_of_bits(uint32_t(token));
        lists[list + 2 + kShortlistMost + place] = row[token];
      }
      to += count_bits(all);
    }
  }
}

}  // namespace gpu
}  // namespace outpost
