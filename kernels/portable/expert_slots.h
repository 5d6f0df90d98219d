// Experts of a layer that are not all on the device. It has slots for some of them; all wait in memory of the host,
// which the device reads by itself. Who is in which slot is decided here, so that a recorded pass asks no host.
//
// A pass that chooses more experts than there are slots is computed in rounds, each of which fills all slots anew: how
// many rounds there may be follows from the numbers of choices and slots alone, and one that is not needed has no
// tiles. So every expert is copied once, however many tokens chose it; products that read the host's memory themselves
// would read an expert again for every tile.
#pragma once

#include "kernels/portable/router.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kResolveThreads = 256;
OUTPOST_CONSTANT int kCopyThreads = 256;
/// Blocks that share the copy of one expert's matrix, and words of 16 bytes that a thread has under way: a bus to the
/// host is busy with some 100 KiB asked for at once, which a single expert has to reach.
OUTPOST_CONSTANT int kCopyBlocks = 16;
OUTPOST_CONSTANT int kCopyAhead = 4;
/// Matrices of an expert that one launch copies.
OUTPOST_CONSTANT int kCopyMatrices = 3;

struct SlotParams {
  int32_t n_expert;
  int32_t n_slots;  ///< 1 to n_expert
};

/// What `counters` of resolve_experts count, over all layers that have them in common.
enum SlotCounter { kSlotClock = 0, kSlotHits = 1, kSlotMisses = 2, kSlotEvictions = 3, kSlotCounters = 4 };

GPU_FN int32_t count_words(SharedPtr<uint32_t> words, int32_t n_words) {
  int32_t n = 0;
  for (int32_t i = 0; i < n_words; ++i) n += count_bits(words[i]);
  return n;
}

/// Bits before bit i.
GPU_FN int32_t count_before(SharedPtr<uint32_t> words, int32_t i) {
  return count_words(words, i / 32) + count_bits(words[i / 32] & ((1u << (i % 32)) - 1u));
}

/// Gives every expert that a pass has chosen a slot and a round. Those that have a slot keep it, in round 0. The
/// missing ones, in the order of their numbers, take the slots of experts that the pass does not need: empty ones
/// first, then those that were used longest ago, ties to the lower slot. When these are used up, each further round
/// takes all slots from the first on. Grid: one block. n_expert <= kMaxExperts.
/// @param tiles, n_tiles as group_experts has left them
/// @param slot_of [n_expert], expert_of [n_slots]: of each other, -1: none; used_at [n_slots]: the clock, 0 of an empty
///   slot. They are kept from pass to pass. counters [kSlotCounters]
/// @param places [n_expert, 2]: slot and round, of the chosen experts
/// @param copies [n_expert, 2]: expert and slot, by round; n_copies [2]: how many are of round 0, and of all
GPU_KERNEL(kResolveThreads)
resolve_experts(GPU_RESULT(0, int32_t, tiles), GPU_RESULT(1, int32_t, n_tiles), GPU_IO(2, int32_t, slot_of),
                GPU_IO(3, int32_t, expert_of), GPU_IO(4, int64_t, used_at), GPU_IO(5, int64_t, counters),
                GPU_IO(6, int32_t, places), GPU_IO(7, int32_t, copies), GPU_IO(8, int32_t, n_copies),
                GPU_PARAMS(9, SlotParams, p) GPU_GRID) {
  GPU_SHARED(int32_t, is_chosen, kMaxExperts);
  GPU_SHARED(int64_t, times, kMaxExperts);    // of the slots that may be taken; -1: may not
  GPU_SHARED(int32_t, victims, kMaxExperts);  // slots, the first to be taken first
  GPU_SHARED(uint32_t, hits, kMaxExperts / 32);
  GPU_SHARED(uint32_t, misses, kMaxExperts / 32);
  GPU_SHARED(uint32_t, empty, kMaxExperts / 32);
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t n_words = (p.n_expert + 31) / 32, n_slot_words = (p.n_slots + 31) / 32, kWarps = kResolveThreads / 32;
  const int64_t now = counters[kSlotClock] + 1;
  for (int32_t e = here.thread_id; e < p.n_expert; e += kResolveThreads) is_chosen[e] = 0;
  block_barrier();
  for (int32_t i = here.thread_id; i < n_tiles[0]; i += kResolveThreads) {
    const int32_t expert = tiles[3 * i];
    if (i == 0 || tiles[3 * (i - 1)] != expert) is_chosen[expert] = 1;  // tiles of an expert follow each other
  }
  block_barrier();
  for (int32_t w = here.warp; w < n_words; w += kWarps) {
    const int32_t e = 32 * w + here.lane;
    const bool is_wanted = e < p.n_expert && is_chosen[e] != 0, is_there = is_wanted && slot_of[e] >= 0;
    const uint32_t hit_bits = ballot(is_there), miss_bits = ballot(is_wanted && !is_there);
    if (here.lane == 0) {
      hits[w] = hit_bits;
      misses[w] = miss_bits;
    }
  }
  for (int32_t w = here.warp; w < n_slot_words; w += kWarps) {
    const int32_t s = 32 * w + here.lane;
    const int32_t expert = s < p.n_slots ? int32_t(expert_of[s]) : 0;
    const uint32_t empty_bits = ballot(expert < 0);
    if (here.lane == 0) empty[w] = empty_bits;
    if (s < p.n_slots) times[s] = expert >= 0 && is_chosen[expert] != 0 ? int64_t(-1) : int64_t(used_at[s]);
  }
  block_barrier();
  const int32_t n_missing = count_words(misses, n_words), n_open = p.n_slots - count_words(hits, n_words);
  const int32_t n_first = n_missing < n_open ? n_missing : n_open;  // that come in round 0
  const int32_t n_later = n_missing - n_first;
  for (int32_t s = here.thread_id; s < p.n_slots && n_missing > 0; s += kResolveThreads) {
    const int64_t time = times[s];
    if (time < 0) continue;
    int32_t rank = 0;
    for (int32_t other = 0; other < p.n_slots; ++other) {
      const int64_t other_time = times[other];
      const bool is_before = other_time < time || (other_time == time && other < s);
      rank += other_time >= 0 && is_before ? 1 : 0;
    }
    victims[rank] = s;
    if (rank < n_first && expert_of[s] >= 0) slot_of[expert_of[s]] = -1;
  }
  block_barrier();
  for (int32_t e = here.thread_id; e < p.n_expert; e += kResolveThreads) {
    if (is_chosen[e] == 0) continue;
    const bool is_missing = (misses[e / 32] >> (e % 32) & 1u) != 0;
    const int32_t number = is_missing ? count_before(misses, e) : 0, later = number - n_open;
    int32_t slot, round = 0;
    if (!is_missing) {
      slot = slot_of[e];
    } else if (later < 0) {
      slot = victims[number];
    } else {
      slot = later % p.n_slots;
      round = 1 + later / p.n_slots;
    }
    places[2 * e] = slot;
    places[2 * e + 1] = round;
    if (is_missing) {
      copies[2 * number] = e;
      copies[2 * number + 1] = slot;
    }
    const bool stays = round == 0 ? slot >= n_later : later + p.n_slots >= n_later;  // no later round takes the slot
    slot_of[e] = stays ? slot : -1;
    if (stays) {
      expert_of[slot] = e;
      used_at[slot] = now;
    }
  }
  if (here.thread_id == 0) {
    n_copies[0] = n_first;
    n_copies[1] = n_missing;
    const int32_t n_empty = count_words(empty, n_slot_words);
    counters[kSlotClock] = now;
    counters[kSlotHits] += p.n_slots - n_open;
    counters[kSlotMisses] += n_missing;
    counters[kSlotEvictions] += n_later + (n_first > n_empty ? n_first - n_empty : 0);
  }
}

struct CopyExpertsParams {
  int32_t n_slots;
  int32_t round;
  int64_t n_words[kCopyMatrices];  ///< of 16 bytes, in a matrix of one expert
};

/// Copies what round p.round lacks into its slots. Blocks beyond the list have nothing to do.
/// Grid: (kCopyBlocks, copies that a round may have, matrices).
/// @param from0..2 [n_expert, 4 * n_words], read over the bus; to0..2 [n_slots, 4 * n_words]; those of absent matrices
///   are unused
GPU_KERNEL(kCopyThreads)
copy_experts(GPU_IN(0, uint32_t, from0), GPU_IN(1, uint32_t, from1), GPU_IN(2, uint32_t, from2),
             GPU_RESULT(3, int32_t, copies), GPU_RESULT(4, int32_t, n_copies), GPU_IO(5, uint32_t, to0),
             GPU_IO(6, uint32_t, to1), GPU_IO(7, uint32_t, to2), GPU_PARAMS(8, CopyExpertsParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t first = p.round == 0 ? 0 : n_copies[0] + (p.round - 1) * p.n_slots;
  const int32_t n_until = n_copies[0] + p.round * p.n_slots, n_all = n_copies[1];
  const int32_t copy = first + here.block_y;
  if (copy >= (n_until < n_all ? n_until : n_all)) return;
  const int64_t n_words = p.n_words[here.block_z];
  const int64_t from_word = copies[2 * copy] * n_words, to_word = copies[2 * copy + 1] * n_words;
  const DevicePtr<const uint32_t> from = (here.block_z == 0   ? from0
                                          : here.block_z == 1 ? from1
                                                              : from2) +
                                         4 * from_word;
  const DevicePtr<uint32_t> to = (here.block_z == 0 ? to0 : here.block_z == 1 ? to1 : to2) + 4 * to_word;
  const int64_t stride = kCopyBlocks * kCopyThreads;
  for (int64_t i = here.block_x * kCopyThreads + here.thread_id; i < n_words; i += kCopyAhead * stride) {
    Words4 words[kCopyAhead] = {};
    GPU_UNROLL for (int32_t k = 0; k < kCopyAhead; ++k) {
      if (i + k * stride < n_words) words[k] = load_words4(from + 4 * (i + k * stride));
    }
    GPU_UNROLL for (int32_t k = 0; k < kCopyAhead; ++k) {
      if (i + k * stride < n_words) store_words4(to + 4 * (i + k * stride), words[k]);
    }
  }
}

}  // namespace gpu
}  // namespace outpost
