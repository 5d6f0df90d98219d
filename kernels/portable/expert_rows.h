// Choices of experts as rows of one image, so that products on matrix units take many of an expert at once. Those of an
// expert follow each other in their own order, from a multiple of eight on: eight rows repeat the image's permutation
// (image.h). Rows between two experts are nobody's.
//
// Where an expert begins, in rows and in tiles, follows from how many choices those before it have in all, not from how
// many each has: a block finds out for its expert alone. The price is up to eight rows and a tile for each expert that
// nobody has.
#pragma once

#include "kernels/portable/halve.h"
#include "kernels/portable/router.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kArrangeThreads = 256;
/// Rows of the largest tile: from any row that a choice may have, so many are in the image.
OUTPOST_CONSTANT int kMostExpertRows = 128;

struct ArrangeParams {
  int32_t n_expert;
  int32_t n_choices;  ///< n_tokens * n_used
  int32_t tile_rows;  ///< a multiple of 8, up to kMostExpertRows
};

/// Of an expert with n_before choices of those before it.
GPU_FN int32_t first_expert_row(int32_t n_before, int32_t expert) { return n_before / 8 * 8 + 8 * expert; }
GPU_FN int32_t first_expert_tile(int32_t n_before, int32_t expert, int32_t tile_rows) {
  return n_before / tile_rows + expert;
}

/// How many there are.
GPU_FN int32_t expert_rows(int32_t n_choices, int32_t n_expert) {
  return first_expert_row(n_choices, n_expert) + kMostExpertRows;
}
GPU_FN int32_t expert_tiles(int32_t n_choices, int32_t n_expert, int32_t tile_rows) {
  return first_expert_tile(n_choices, n_expert, tile_rows);
}

/// Grid: n_expert blocks. n_expert <= kMaxExperts.
/// @param experts [n_choices], as route_experts leaves them
/// @param rows [expert_rows]: the choice of each row, -1: nobody's
/// @param tiles [expert_tiles, 3]: expert, first row and n of an ExpertTile, in the order of the experts; some have n 0
GPU_KERNEL(kArrangeThreads)
arrange_choices(GPU_RESULT(0, int32_t, experts), GPU_IO(1, int32_t, rows), GPU_IO(2, int32_t, tiles),
                GPU_PARAMS(3, ArrangeParams, p) GPU_GRID) {
  const int32_t kWarps = kArrangeThreads / 32;
  GPU_SHARED(int32_t, lower, kArrangeThreads / 32);  // choices of the experts before this one, in a warp's part
  GPU_SHARED(int32_t, own, kArrangeThreads / 32);    // and of this one
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int32_t expert = here.block_x, n_part = ((p.n_choices + kWarps - 1) / kWarps + 31) / 32 * 32;
  const int32_t begin = here.warp * n_part;
  const int32_t end = begin + n_part < p.n_choices ? begin + n_part : p.n_choices;
  int32_t n_lower = 0, n_own = 0;
  for (int32_t at = begin; at < end; at += 32) {
    const int32_t chosen = at + here.lane < end ? int32_t(experts[at + here.lane]) : p.n_expert;
    n_lower += count_bits(ballot(chosen < expert));
    n_own += count_bits(ballot(chosen == expert));
  }
  if (here.lane == 0) {
    lower[here.warp] = n_lower;
    own[here.warp] = n_own;
  }
  block_barrier();
  int32_t n_before = 0, n = 0, n_in_parts_before = 0;
  for (int32_t w = 0; w < kWarps; ++w) {
    n_before += lower[w];
    if (w == here.warp) n_in_parts_before = n;
    n += own[w];
  }

  const int32_t first = first_expert_row(n_before, expert);
  int32_t row = first + n_in_parts_before;
  for (int32_t at = begin; at < end; at += 32) {
    const bool is_own = at + here.lane < end && experts[at + here.lane] == expert;
    const uint32_t owners = ballot(is_own);
    if (is_own) rows[row + count_bits(owners & ((1u << here.lane) - 1u))] = at + here.lane;
    row += count_bits(owners);
  }
  const bool is_last = expert + 1 == p.n_expert;
  const int32_t next = is_last ? expert_rows(p.n_choices, p.n_expert) : first_expert_row(n_before + n, expert + 1);
  for (int32_t r = first + n + here.thread_id; r < next; r += kArrangeThreads) rows[r] = -1;
  const int32_t next_tile = first_expert_tile(n_before + n, expert + 1, p.tile_rows);
  int32_t tile = first_expert_tile(n_before, expert, p.tile_rows) + here.thread_id;
  for (int32_t at = here.thread_id * p.tile_rows; tile < next_tile;
       tile += kArrangeThreads, at += kArrangeThreads * p.tile_rows) {
    const int32_t n_left = n > at ? n - at : 0;
    tiles[3 * tile] = expert;
    tiles[3 * tile + 1] = first + at;
    tiles[3 * tile + 2] = n_left < p.tile_rows ? n_left : p.tile_rows;
  }
}

struct HalveChoicesParams {
  int32_t n_rows;    ///< expert_rows
  int32_t n_cols;    ///< a multiple of 32
  int32_t n_used;    ///< choices that share a row of x: choice c has x[c / n_used]; 1: each its own
  int32_t is_gated;  ///< as of HalveParams
  int32_t gate;
};

/// halve_activations of the rows of an image that arrange_choices has made; those that are nobody's become zeros.
/// Grid as of halve_activations.
/// @param x [n_choices / n_used, n_cols], up alike or unused, rows [n_rows]
/// @param image [image_steps(n_cols), image_rows(n_rows), 32] words of two, scales [n_rows]
GPU_KERNEL(kHalveThreads, 2)
halve_choices(GPU_RESULT(0, float, x), GPU_RESULT(1, float, up), GPU_RESULT(2, int32_t, rows),
              GPU_IO(3, uint32_t, image), GPU_IO(4, float, scales), GPU_PARAMS(5, HalveChoicesParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kNormWarps);
  const Here here = GPU_HERE;
  if (here.block_x >= p.n_rows) return clear_padding(image, p.n_rows, p.n_cols, here);
  const int32_t choice = rows[here.block_x];
  if (choice < 0) return clear_rows(image, here.block_x, here.block_x + 1, p.n_rows, p.n_cols, here);
  const int64_t first = int64_t(choice / p.n_used) * p.n_cols;
  const ImageRow to = {image, scales, here.block_x, p.n_rows, p.n_cols};
  halve_input(to, x + first, up + first, p.is_gated != 0, p.gate, scratch, here);
}

}  // namespace gpu
}  // namespace outpost
