#include "core/fair_mutex.h"

#include <doctest/doctest.h>

#include <mutex>
#include <thread>
#include <vector>

using namespace outpost;

TEST_CASE("a fair lock is given in the order in which it was asked for, also if it is asked for again at once") {
  FairMutex mutex;
  std::vector<int> order;  // written under the lock
  std::vector<std::thread> threads;
  mutex.lock();
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      const std::lock_guard lock(mutex);
      order.push_back(i);
    });
    while (mutex.n_waiting() < static_cast<uint32_t>(i) + 1) std::this_thread::yield();
  }
  mutex.unlock();
  mutex.lock();  // behind all of them
  order.push_back(3);
  mutex.unlock();
  for (std::thread& thread : threads) thread.join();
  CHECK(order == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("what a fair lock guards is changed by one thread at a time") {
  FairMutex mutex;
  int64_t n = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 2000; ++k) {
        const std::lock_guard lock(mutex);
        n = n + 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(n == 8000);
}
