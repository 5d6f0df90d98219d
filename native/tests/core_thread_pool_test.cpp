#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "core/thread_pool.h"

using namespace outpost;

TEST_CASE("every item is done once, by the time the call returns, with more threads than processors") {
  ThreadPool pool(7);
  std::mt19937 random(1);
  for (int region = 0; region < 20000; ++region) {
    // On the stack of this round: who comes late must not touch it.
    std::vector<int> n_calls(random() % 20);
    pool.run(static_cast<int64_t>(n_calls.size()), [&](int64_t i) { ++n_calls[static_cast<size_t>(i)]; });
    for (const int n : n_calls) REQUIRE(n == 1);
    if (region % 2000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // workers fall asleep
  }
}

TEST_CASE("a pool ends while its workers are on their way to a region that is over already") {
  for (int round = 0; round < 5000; ++round) {
    ThreadPool pool(3);
    std::atomic<int> n{0};
    pool.run(2, [&](int64_t) { ++n; });
    REQUIRE(n == 2);
  }
}
