// For the host: which rows go into which tile of the attention kernel.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/portable/kv_layout.h"

namespace outpost::gpu {

/// Splits (or spans) of n_span positions that a tile sees at most, of n_splits up to the last position of a pass.
/// @param n_window 0: everything before a token; n_rows: of a tile, which has no more tokens
inline int32_t visible_splits(int32_t n_splits, int32_t n_span, int32_t n_window, int32_t n_rows) {
  if (n_window == 0) return n_splits;
  const int64_t n_positions = int64_t{n_window} + n_rows - 1;  // they begin anywhere in a split
  return static_cast<int32_t>(std::min<int64_t>(n_splits, (n_positions + n_span - 2) / n_span + 1));
}

/// Appends the tiles of one sequence's run: all heads of a group before the next token, as many as fit.
/// @param n_group query heads that share a KV head
/// @param n_rows rows of a tile
/// @param n_before tokens of the run that have got tiles already
inline void append_tiles(std::vector<AttentionTile>& tiles, int32_t first_token, int32_t n_tokens,
                         int32_t first_position, int32_t page_table, int32_t n_group, int32_t n_rows,
                         int32_t n_before = 0) {
  const int32_t n_heads = std::min(n_group, n_rows);
  const int32_t n_tile_tokens = n_rows / n_heads;
  for (int32_t t = 0; t < n_tokens; t += n_tile_tokens) {
    for (int32_t head = 0; head < n_group; head += n_heads) {
      tiles.push_back({first_token + t, std::min(n_tile_tokens, n_tokens - t), first_position + t, page_table, head,
                       std::min(n_heads, n_group - head), n_before + t});
    }
  }
}

/// As append_tiles, and no tile goes over the end of a page: which form of an older page a query reads depends on its
/// own.
inline void append_page_tiles(std::vector<AttentionTile>& tiles, int32_t first_token, int32_t n_tokens,
                              int32_t first_position, int32_t page_table, int32_t n_group, int32_t n_rows) {
  for (int32_t t = 0; t < n_tokens;) {
    const int32_t position = first_position + t, n = std::min(n_tokens - t, kPage - position % kPage);
    append_tiles(tiles, first_token + t, n, position, page_table, n_group, n_rows, t);
    t += n;
  }
}

}  // namespace outpost::gpu
