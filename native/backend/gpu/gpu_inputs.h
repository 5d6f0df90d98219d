// What a pass brings from the host, in one array on the device: token ids, positions, slots of the KV cache, rows of
// logits, tiles of attention, page tables. Where each part lies depends on the shape of the pass alone, so that a
// recorded pass finds the next one's inputs in their places.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "backend/gpu/gpu_memory.h"
#include "kernels/portable/attention_tiles.h"

namespace outpost {

class GpuInputs {
 public:
  /// Copies what kernels need to the device, after everything issued before.
  /// @return whether the array has moved
  bool stage(gpu::Stream stream, std::span<const int32_t> tokens, std::span<const SequenceRun> runs,
             std::span<const int32_t> rows) {
    tokens_.assign(tokens.begin(), tokens.end());
    rows_.assign(rows.begin(), rows.end());
    runs_.assign(runs.begin(), runs.end());
    return upload(stream);
  }

  /// Tiles of attention: heads that share keys, rows of a tile, and whether a tile ends with a page at the latest.
  struct TileShape {
    int32_t n_group, n_rows;
    bool ends_with_page = false;
    bool operator==(const TileShape&) const = default;
  };

  /// Makes the tiles of this shape. @return whether anything was copied
  bool need_tiles(gpu::Stream stream, TileShape shape) {
    if (std::find(shapes_.begin(), shapes_.end(), shape) != shapes_.end()) return false;
    shapes_.push_back(shape);
    upload(stream);
    return true;
  }

  const int32_t* tokens() const { return at(0); }
  const int32_t* positions() const { return at(positions_at_); }
  /// Whether these are what lies at `positions`.
  bool are_positions(std::span<const int32_t> ids) const {
    return std::ranges::equal(ids, std::span(words_).subspan(positions_at_, n_positions_));
  }
  const int32_t* slots() const { return at(slots_at_); }
  const int32_t* rows() const { return at(rows_at_); }
  const int32_t* page_tables() const { return at(page_tables_at_); }
  /// @pre need_tiles was called
  const gpu::AttentionTile* tiles(TileShape shape) const {
    return reinterpret_cast<const gpu::AttentionTile*>(at(tiles_at_[shape_index(shape)]));
  }
  int32_t n_tiles(TileShape shape) const { return n_tiles_[shape_index(shape)]; }
  /// Of every shape so far: a recorded pass serves those with the same numbers.
  std::span<const int32_t> tile_counts() const { return n_tiles_; }
  std::span<const SequenceRun> runs() const { return runs_; }
  int32_t n_tokens() const { return static_cast<int32_t>(n_positions_); }
  int32_t last_position() const { return last_position_; }

 private:
  static_assert(sizeof(gpu::AttentionTile) == 7 * sizeof(int32_t));

  const int32_t* at(size_t i) const { return device_.as<int32_t>() + i; }
  size_t shape_index(TileShape shape) const {
    return static_cast<size_t>(std::find(shapes_.begin(), shapes_.end(), shape) - shapes_.begin());
  }

  bool upload(gpu::Stream stream) {
    words_.assign(tokens_.begin(), tokens_.end());
    positions_at_ = words_.size();
    last_position_ = 0;
    for (const SequenceRun& run : runs_) {
      for (int32_t t = 0; t < run.n_tokens; ++t) words_.push_back(run.n_past + t);
      last_position_ = std::max(last_position_, run.n_past + run.n_tokens - 1);
    }
    slots_at_ = words_.size();
    n_positions_ = slots_at_ - positions_at_;
    for (const SequenceRun& run : runs_) {
      for (int32_t position = run.n_past; position < run.n_past + run.n_tokens; ++position) {
        const int32_t page = run.page_table[static_cast<size_t>(position / kKvPageSize)];
        words_.push_back(page * kKvPageSize + position % kKvPageSize);
      }
    }
    rows_at_ = words_.size();
    words_.insert(words_.end(), rows_.begin(), rows_.end());
    tiles_at_.clear();
    n_tiles_.clear();
    for (const TileShape shape : shapes_) append_shape(shape);
    page_tables_at_ = words_.size();
    for (const SequenceRun& run : runs_) {
      const auto pages = run.page_table.first(n_pages(run));
      words_.insert(words_.end(), pages.begin(), pages.end());
    }
    return copy(stream);
  }

  void append_shape(TileShape shape) {
    std::vector<gpu::AttentionTile> tiles;
    int32_t first_token = 0;
    size_t page_table = 0;
    for (const SequenceRun& run : runs_) {
      const auto table = static_cast<int32_t>(page_table);
      if (shape.ends_with_page)
        gpu::append_page_tiles(tiles, first_token, run.n_tokens, run.n_past, table, shape.n_group, shape.n_rows);
      else
        gpu::append_tiles(tiles, first_token, run.n_tokens, run.n_past, table, shape.n_group, shape.n_rows);
      first_token += run.n_tokens;
      page_table += n_pages(run);
    }
    // The last see most: what takes longest begins first.
    std::reverse(tiles.begin(), tiles.end());
    tiles_at_.push_back(words_.size());
    n_tiles_.push_back(static_cast<int32_t>(tiles.size()));
    for (const gpu::AttentionTile& tile : tiles) {
      words_.insert(words_.end(), {tile.first_token, tile.n_tokens, tile.first_position, tile.page_table,
                                   tile.first_head, tile.n_heads, tile.n_before});
    }
  }

  static size_t n_pages(const SequenceRun& run) {
    return static_cast<size_t>((run.n_past + run.n_tokens + kKvPageSize - 1) / kKvPageSize);
  }

  bool copy(gpu::Stream stream) {
    const size_t n_bytes = words_.size() * sizeof(int32_t);
    // The last copy may still be read from the pinned memory.
    check_gpu(gpu::synchronize(stream), "waiting for the pass before");
    const bool has_moved = n_bytes > device_.size();
    const size_t size = has_moved ? std::max<size_t>(2 * n_bytes, 1 << 16) : device_.size();
    std::byte* staged =
        pinned_.reserve(size);  // before: who is told of no room for it is not told that the array moved
    if (has_moved) device_ = DeviceBytes(size, "the inputs of a pass");
    std::memcpy(staged, words_.data(), n_bytes);
    check_gpu(gpu::copy(stream, device_.data(), staged, n_bytes, gpu::Copy::kToDevice), "copying the inputs of a pass");
    return has_moved;
  }

  std::vector<TileShape> shapes_;  ///< of all models so far
  std::vector<int32_t> tokens_, rows_, words_;
  std::vector<SequenceRun> runs_;  ///< of the pass that is computed: their page tables live as long
  size_t positions_at_ = 0, slots_at_ = 0, rows_at_ = 0, page_tables_at_ = 0, n_positions_ = 0;
  std::vector<size_t> tiles_at_;
  std::vector<int32_t> n_tiles_;
  int32_t last_position_ = 0;
  DeviceBytes device_;
  PinnedBytes pinned_;
};

}  // namespace outpost
