// What orders two accesses of a block where it is more than barriers: phases of mbarriers, and waits for copies and
// products that go on by themselves. Vector clocks, as in FastTrack (Flanagan and Freund, PLDI 2009).
//
// An agent is what accesses memory in an order of its own: a thread, a thread's copies by cp.async, a warp's part of
// its warpgroup's products, or the bulk copies that one mbarrier counts. Each has a time, which grows; a clock says up
// to which time of each agent everything is over.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace outpost::emulator {

/// A time of every agent; of those beyond its end 0.
using Times = std::vector<uint32_t>;
/// Times that nobody changes any more, so that all threads of a warp or a block may have the same.
using SharedTimes = std::shared_ptr<const Times>;

/// What a thread has seen: what it shares with those that it has met, and what it alone has seen since. Blocks meet
/// often, and have hundreds of threads: a clock of its own for each would be most of the emulator's time.
class VectorClock {
 public:
  uint32_t operator[](size_t agent) const;
  /// Of the thread itself, its copies or its warp's products; everything else is seen with others.
  void raise(size_t agent, uint32_t time);

 private:
  friend class GatheredTimes;
  friend class BlockOrder;
  struct Own {
    size_t agent = SIZE_MAX;
    uint32_t time = 0;
  };

  SharedTimes shared_;  ///< null: nothing yet
  std::array<Own, 3> own_{};
};

/// What several threads have seen together.
class GatheredTimes {
 public:
  void raise(size_t agent, uint32_t time);
  void add(const VectorClock& clock);
  /// Leaves nothing behind.
  SharedTimes take();

 private:
  Times times_;
  SharedTimes last_added_;  ///< threads that have met come one after the other
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
  /// The thread sees what those saw who made these times.
  void see(int thread, const SharedTimes& times);

 private:
  /// Two times and the later of both.
  struct Joined {
    SharedTimes one, other, both;
  };

  size_t n_threads_;
  std::vector<VectorClock> clocks_;
  /// The last few, because threads that have met wait for the same one after the other.
  std::array<Joined, 16> joined_{};
  size_t next_joined_ = 0;
};

}  // namespace outpost::emulator
