#include "core/thread_pool.h"

#include <chrono>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "core/atomic_wait.h"

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
  notify_waiters(region_);
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_region(Call call, const void* context, int64_t n_items) {
  const bool is_urgent = UrgentThread::is_current();
  call_ = call;
  context_ = context;
  n_items_ = n_items;
  is_urgent_.store(is_urgent, std::memory_order_relaxed);
  n_done_.store(0, std::memory_order_relaxed);
  const uint32_t region = region_.load(std::memory_order_relaxed) + 1;
  open_.store(uint64_t{region} << 32 | static_cast<uint64_t>(n_items), std::memory_order_release);
  region_.store(region, std::memory_order_release);
  notify_waiters(region_);
  work_on_region();
  const auto is_done = [&] { return n_done_.load(std::memory_order_acquire) == n_items; };
  while (!spin(is_done)) {
    // A worker rests for somebody urgent, who needs this core as well.
    if (!is_urgent) rest_while_urgent();
    // Or it lost its core with an item in hand; let the system run it.
    std::this_thread::yield();
  }
}

void ThreadPool::work() {
  uint32_t seen = 0;
  for (;;) {
    if (!spin([&] { return region_.load(std::memory_order_acquire) != seen; }))
      wait_while(region_, seen, std::memory_order_acquire);
    // In this order: who has seen the region that ends the pool sees that it ends.
    seen = region_.load(std::memory_order_acquire);
    if (is_stopping_) return;
    work_on_region();
  }
}

void ThreadPool::work_on_region() {
  for (;;) {
    uint64_t open = open_.load(std::memory_order_acquire);
    const auto n_open = static_cast<uint32_t>(open);
    if (n_open == 0) return;
    if (!is_urgent_.load(std::memory_order_relaxed)) rest_while_urgent();
    if (!open_.compare_exchange_weak(open, open - 1, std::memory_order_acquire, std::memory_order_relaxed)) continue;
    call_(context_, n_items_ - n_open);
    n_done_.fetch_add(1, std::memory_order_release);
  }
}

}  // namespace outpost
