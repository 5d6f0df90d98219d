// A persistent pool for short parallel regions: about a hundred of them per decoded token, a few
// microseconds apart. Workers spin briefly for the next region, then sleep: an idle engine uses no CPU.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/urgent_work.h"

namespace outpost {

class ThreadPool {
 public:
  /// Starts n_threads - 1 workers; the caller of `run` is the last one.
  explicit ThreadPool(int32_t n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int32_t n_threads() const { return static_cast<int32_t>(workers_.size()) + 1; }

  /// Calls body(i) for every i in [0, n_items), in any order and on any thread; returns when all are done. It waits for
  /// items, not for workers: where another program has a worker's core, the caller does the work alone.
  /// Between two items it rests while somebody else's work is urgent (urgent_work.h).
  /// Not reentrant; one caller at a time. `body` must not throw. @pre n_items < 2^32
  template <typename Body>
  void run(int64_t n_items, const Body& body) {
    if (n_items <= 0) return;
    if (workers_.empty() || n_items == 1) {
      if (!UrgentThread::is_current()) rest_while_urgent();
      for (int64_t i = 0; i < n_items; ++i) body(i);
      return;
    }
    run_region([](const void* context, int64_t i) { (*static_cast<const Body*>(context))(i); }, &body, n_items);
  }

 private:
  using Call = void (*)(const void* context, int64_t i);
  void run_region(Call call, const void* context, int64_t n_items);
  void work();
  void work_on_region();

  std::vector<std::thread> workers_;
  // The current region; written by the caller before it opens the region. Who has taken one of its items may read them:
  // the region cannot end before that.
  Call call_ = nullptr;
  const void* context_ = nullptr;
  int64_t n_items_ = 0;
  std::atomic<bool> is_urgent_{false};
  std::atomic<bool> is_stopping_{false};
  // Apart from each other: workers poll the first while the others change.
  alignas(64) std::atomic<uint32_t> region_{0};
  /// Items that nobody has taken, and above them the region's number: a worker that was away while one region ended and
  /// another began takes nothing by mistake.
  alignas(64) std::atomic<uint64_t> open_{0};
  alignas(64) std::atomic<int64_t> n_done_{0};
};

}  // namespace outpost
