// The asynchronous instructions of a block, made when the first of them comes: what they order, mbarriers and bulk
// copies, products of warpgroups, and copies by cp.async.
#pragma once

#include <vector>

#include "kernels/emulator/mbarrier.h"
#include "kernels/emulator/order.h"
#include "kernels/emulator/warpgroup.h"

namespace outpost::emulator {

/// Copies of sixteen bytes that a thread starts and waits for in groups: PTX ISA, "cp.async". The bytes are there at
/// once, but only who has waited, or meets one who has, may read them.
class AsyncCopies {
 public:
  AsyncCopies(BlockOrder& order, int n_threads) : order_(order), threads_(static_cast<size_t>(n_threads)) {}

  /// Of the bytes past n_bytes nothing is read: they become zeros.
  void start(Region* to, int64_t to_offset, Region* from, int64_t from_offset, uint32_t n_bytes);
  void commit();
  void wait(size_t n_pending);
  /// By this thread, so far.
  uint32_t n_started() const;

 private:
  struct Thread {
    uint32_t n_started = 0;
    std::vector<uint32_t> groups;  ///< what was started by their ends
  };

  BlockOrder& order_;
  std::vector<Thread> threads_;
};

struct AsyncBlock {
  BlockOrder order;
  Mbarriers mbarriers;
  AsyncCopies copies;
  WarpgroupProducts products;

  explicit AsyncBlock(int n_threads)
      : order(n_threads), mbarriers(order), copies(order, n_threads), products(order, n_threads) {}
};

/// That of the running thread's block.
AsyncBlock& async_block();

}  // namespace outpost::emulator
