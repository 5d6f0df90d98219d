// What orders two accesses of a block where it is more than barriers: phases of mbarriers, and waits for copies and
// products that go on by themselves. Vector clocks, as in FastTrack (Flanagan and Freund, PLDI 2009).
//
// An agent is what accesses memory in an order of its own: a thread, a thread's copies by cp.async, a warp's part of
// its warpgroup's products, or the bulk copies that one mbarrier counts. Each has a time, which grows; a clock says up
// to which time of each agent everything is over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace outpost::emulator {

class VectorClock {
 public:
  uint32_t operator[](size_t agent) const { return agent < times_.size() ? times_[agent] : 0; }
  void raise(size_t agent, uint32_t time);
  void join(const VectorClock& other);

 private:
  std::vector<uint32_t> times_;
};

/// The clocks of a block's threads, from its first asynchronous instruction on. Before it barriers suffice; and what
/// comes before cannot be ordered by an mbarrier other than through the barrier that has to follow its init.
class BlockOrder {
 public:
  explicit BlockOrder(int n_threads);

  // Agents. Threads have their own number.
  size_t copies_of(int thread) const { return n_threads_ + static_cast<size_t>(thread); }
  size_t products_of(int warp) const { return 2 * n_threads_ + static_cast<size_t>(warp); }
  size_t bulk_copies_of(size_t mbarrier) const { return 2 * n_threads_ + n_threads_ / 32 + mbarrier; }
  bool is_bulk_copy(size_t agent) const { return agent >= bulk_copies_of(0); }
  std::string describe(size_t agent) const;

  VectorClock& clock_of(int thread) { return clocks_[static_cast<size_t>(thread)]; }
  /// The time of accesses that the thread makes now.
  uint32_t time_of(int thread) const { return clocks_[static_cast<size_t>(thread)][static_cast<size_t>(thread)]; }
  /// What the thread does from now on is not seen by those who have its clock of before.
  void advance(int thread);
  /// These threads meet and see each other's accesses.
  void meet(int first_thread, int n);

 private:
  size_t n_threads_;
  std::vector<VectorClock> clocks_;
};

}  // namespace outpost::emulator
