// ThreadPool for bodies that may fail.
#pragma once

#include <exception>
#include <mutex>

#include "core/thread_pool.h"

namespace outpost {

/// As ThreadPool::run, but `body` may throw: the first exception is thrown again when all are done, and items
/// not yet begun by then are left out.
template <typename Body>
void run_parallel(ThreadPool& pool, size_t n_items, const Body& body) {
  std::exception_ptr error;
  std::mutex mutex;
  std::atomic<bool> has_failed{false};
  pool.run(static_cast<int64_t>(n_items), [&](int64_t i) {
    if (has_failed.load(std::memory_order_relaxed)) return;
    try {
      body(static_cast<size_t>(i));
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
      has_failed = true;
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace outpost
