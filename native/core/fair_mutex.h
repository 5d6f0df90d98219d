// A lock that is given to whoever has waited longest. `std::mutex` may go again and again to a thread that unlocks it
// and locks it at once, as a long measurement does between two of its passes, while a request waits for its turn.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/atomic_wait.h"

namespace outpost {

/// A ticket lock, for critical sections of milliseconds. Not recursive. For `std::lock_guard`.
class FairMutex {
 public:
  void lock() {
    const uint32_t ticket = next_.fetch_add(1, std::memory_order_relaxed);
    for (uint32_t now; (now = serving_.load(std::memory_order_acquire)) != ticket;)
      wait_while(serving_, now, std::memory_order_acquire);
  }
  void unlock() {
    serving_.fetch_add(1, std::memory_order_release);
    notify_waiters(serving_);
  }
  /// Threads that wait in lock(), at this moment. @pre the caller holds the lock
  uint32_t n_waiting() const { return next_.load() - serving_.load() - 1; }

 private:
  std::atomic<uint32_t> next_{0}, serving_{0};
};

}  // namespace outpost
