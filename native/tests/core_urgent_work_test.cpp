#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>

#ifdef _WIN32
#include <windows.h>
#endif

#include "core/thread_pool.h"
#include "core/urgent_work.h"

using namespace outpost;

namespace {

/// Of the processor, by all threads of this program.
double processor_seconds() {
#ifdef _WIN32  // where std::clock tells the time that passes
  FILETIME begin, end, kernel, user;
  GetProcessTimes(GetCurrentProcess(), &begin, &end, &kernel, &user);
  const auto seconds = [](FILETIME t) { return 1e-7 * (t.dwHighDateTime * 4294967296.0 + t.dwLowDateTime); };
  return seconds(kernel) + seconds(user);
#else
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
#endif
}

}  // namespace

TEST_CASE("pools rest between two items while the work of another thread is urgent, and go on behind it") {
  for (const int32_t n_threads : {1, 3}) {
    CAPTURE(n_threads);
    std::atomic<int64_t> n_done{0}, n_meanwhile{0};
    std::atomic<bool> is_urgent_now{false}, is_over{false};
    std::thread other([&] {
      ThreadPool pool(n_threads);
      while (!is_over) {
        pool.run(n_threads == 1 ? 1 : 1000, [&](int64_t) {
          ++n_done;
          if (is_urgent_now) ++n_meanwhile;
        });
      }
    });
    while (n_done < 100) std::this_thread::yield();
    {
      const UrgentThread urgent(true);
      ThreadPool mine(2);
      const UrgentTurn turn;
      is_urgent_now = true;
      for (int i = 0; i < 20; ++i) {
        std::atomic<int> n_mine{0};
        mine.run(50, [&](int64_t) { ++n_mine; });
        CHECK(n_mine == 50);
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      is_urgent_now = false;
    }
    // Those that had begun, one for each thread.
    CHECK(n_meanwhile <= n_threads);
    const int64_t n_before = n_done;
    while (n_done < n_before + 100) std::this_thread::yield();
    is_over = true;
    other.join();
  }
}

TEST_CASE("who waits for a worker leaves its core to urgent work") {
  using namespace std::chrono_literals;
  std::atomic<int> n_begun{0};
  std::atomic<bool> is_held{true};
  std::thread other([&] {
    ThreadPool pool(2);
    const auto caller = std::this_thread::get_id();
    pool.run(2, [&](int64_t) {
      ++n_begun;
      while (n_begun < 2) std::this_thread::yield();
      // The caller has nothing more to do than to wait for the worker.
      while (std::this_thread::get_id() != caller && is_held) std::this_thread::sleep_for(1ms);
    });
  });
  while (n_begun < 2) std::this_thread::yield();
  {
    const UrgentThread urgent(true);
    const UrgentTurn turn;
    std::this_thread::sleep_for(50ms);
    const double before = processor_seconds();
    std::this_thread::sleep_for(300ms);
    CHECK(processor_seconds() - before < 0.1);
  }
  is_held = false;
  other.join();
}

TEST_CASE("a turn of a thread that is not urgent stops nobody") {
  const UrgentTurn turn;
  ThreadPool pool(2);
  std::atomic<int> n{0};
  pool.run(100, [&](int64_t) { ++n; });
  CHECK(n == 100);
  {
    const UrgentThread urgent(true);
    CHECK(UrgentThread::is_current());
  }
  CHECK_FALSE(UrgentThread::is_current());
}
