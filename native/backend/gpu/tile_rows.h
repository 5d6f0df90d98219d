// How large tiles of attention are where splits of positions have blocks of their own.
#pragma once

#include <algorithm>
#include <span>

#include "backend/backend.h"
#include "kernels/launchers/launchers.h"

namespace outpost {

/// A tile reads keys and values once for all its rows, so that larger ones are better, but for what they take from the
/// device: rows that no sequence has, and blocks that it would be filled with.
/// @param n_group query heads that share a KV head; n_most rows of the largest tile that there is
/// @param n_blocks there are with tiles of kAttentionRows; n_fill what fills the device
inline int32_t choose_tile_rows(std::span<const SequenceRun> runs, int32_t n_group, int32_t n_most, int32_t n_blocks,
                                int32_t n_fill) {
  int32_t n_tokens = 0;
  for (const SequenceRun& run : runs) n_tokens = std::max(n_tokens, run.n_tokens);
  int32_t n_rows = gpu::kAttentionRows;
  while (2 * n_rows <= n_most && n_rows < n_tokens * n_group && n_blocks / 2 >= n_fill) {
    n_rows *= 2;
    n_blocks /= 2;
  }
  return n_rows;
}

}  // namespace outpost
