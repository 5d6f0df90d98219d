// Blocks of one size for the work of one stream, many to a buffer: kernels find them by addresses in data, and every
// buffer that they may find has to be named for each list of commands.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace outpost::metal {

class BlockPool {
 public:
  explicit BlockPool(size_t n_block_bytes) : n_block_bytes_(n_block_bytes) {}

  /// Of the next buffer, unless there is no room for as many.
  size_t n_slab_bytes() const {
    return std::clamp(kMostSlabBytes / n_block_bytes_, size_t{1}, kMostBlocks) * n_block_bytes_;
  }
  size_t n_block_bytes() const { return n_block_bytes_; }

  /// Null if all are taken.
  void* take() {
    if (free_.empty()) return nullptr;
    void* block = free_.back();
    free_.pop_back();
    return block;
  }
  void give(void* block) { free_.push_back(static_cast<std::byte*>(block)); }
  void add_slab(void* first, size_t n_bytes) {
    auto* begin = static_cast<std::byte*>(first);
    slabs_.push_back({begin, n_bytes});
    for (size_t at = 0; at + n_block_bytes_ <= n_bytes; at += n_block_bytes_) free_.push_back(begin + at);
  }

  /// Buffers of which no block is taken, which are the pool's no more.
  std::vector<void*> remove_free_slabs() {
    std::vector<void*> removed;
    const auto is_free = [&](const Slab& slab) {
      const auto in_slab = [&](std::byte* block) { return block >= slab.first && block < slab.first + slab.n_bytes; };
      const auto n_free = static_cast<size_t>(std::count_if(free_.begin(), free_.end(), in_slab));
      if (n_free < slab.n_bytes / n_block_bytes_) return false;
      std::erase_if(free_, in_slab);
      removed.push_back(slab.first);
      return true;
    };
    std::erase_if(slabs_, is_free);
    return removed;
  }

 private:
  struct Slab {
    std::byte* first;
    size_t n_bytes;
  };

  // A context has some hundred pages of some 100 KiB to some MiB: so it has some tens of buffers.
  static constexpr size_t kMostSlabBytes = size_t{16} << 20;
  static constexpr size_t kMostBlocks = 32;

  size_t n_block_bytes_;
  std::vector<Slab> slabs_;
  std::vector<std::byte*> free_;
};

}  // namespace outpost::metal
