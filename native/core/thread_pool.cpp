#include "core/thread_pool.h"

#include <chrono>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace outpost {
namespace {

// Regions of one forward pass follow each other within some 20 us; sampling and streaming between two tokens
// take less than 100 us. Longer waits are idle time and go to sleep.
constexpr auto kSpinTime = std::chrono::microseconds(200);

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#endif
}

/// Spins until `is_done()`; gives up after kSpinTime.
template <typename Condition>
bool spin(const Condition& is_done) {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (is_done()) return true;
      relax();
    }
    if (std::chrono::steady_clock::now() - start > kSpinTime) return false;
  }
}

}  // namespace

ThreadPool::ThreadPool(int32_t n_threads) {
  for (int32_t i = 1; i < n_threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  is_stopping_ = true;
  region_.fetch_add(1);
  region_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_region(Call call, const void* context, int64_t n_items) {
  call_ = call;
  context_ = context;
  n_items_ = n_items;
  is_urgent_ = UrgentThread::is_current();
  next_item_.store(0, std::memory_order_relaxed);
  n_working_.store(static_cast<int32_t>(workers_.size()), std::memory_order_relaxed);
  region_.fetch_add(1, std::memory_order_release);
  region_.notify_all();
  work_on_region();
  const auto is_done = [&] { return n_working_.load(std::memory_order_acquire) == 0; };
  // A worker that lost its core finishes late; let the system run it.
  while (!spin(is_done)) std::this_thread::yield();
}

void ThreadPool::work() {
  uint32_t seen = 0;
  for (;;) {
    if (!spin([&] { return region_.load(std::memory_order_acquire) != seen; }))
      region_.wait(seen, std::memory_order_acquire);
    if (is_stopping_) return;
    // Exactly one region can be new: the caller waits for every worker before it starts another.
    ++seen;
    work_on_region();
    n_working_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::work_on_region() {
  for (int64_t i; (i = next_item_.fetch_add(1, std::memory_order_relaxed)) < n_items_;) {
    if (!is_urgent_) rest_while_urgent();
    call_(context_, i);
  }
}

}  // namespace outpost
