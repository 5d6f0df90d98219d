// The clocks that threads share, and the marks of reads that are forgotten late, against what they stand for: a clock
// of its own for each thread, and every read.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "kernels/emulator/order.h"
#include "kernels/emulator/read_marks.h"

namespace outpost::emulator {
namespace {

constexpr int kThreads = 64;
constexpr size_t kMbarriers = 2;

/// Of every agent, as many as a block with two mbarriers has.
struct PlainClock {
  std::vector<uint32_t> times = std::vector<uint32_t>(2 * kThreads + kThreads / 32 + kMbarriers);

  void raise(size_t agent, uint32_t time) { times[agent] = std::max(times[agent], time); }
  void join(const PlainClock& other) {
    for (size_t agent = 0; agent < times.size(); ++agent) raise(agent, other.times[agent]);
  }
};

/// Barriers, warp syncs, arrivals, waits and copies in an order of chance, told to both.
class Both {
 public:
  Both() : clocks_(kThreads) {
    for (int thread = 0; thread < kThreads; ++thread)
      clocks_[static_cast<size_t>(thread)].times[static_cast<size_t>(thread)] = 1;
  }

  void step() {
    const int thread = below(kThreads);
    const auto mbarrier = static_cast<size_t>(below(kMbarriers));
    switch (below(16)) {
      case 0: return meet(0, kThreads);
      case 1: return meet(thread / 32 * 32, 32);
      case 2: return end_phase(mbarrier);
      case 3: {
        // Threads of a warp wait one after the other, or only some of them.
        const int n = below(2) == 0 ? 1 : 32;
        for (int i = thread / 32 * 32; i < thread / 32 * 32 + n; ++i) see(i, mbarrier);
        return;
      }
      case 4: return raise(thread, order_.copies_of(thread));
      case 5: return raise(thread, order_.products_of(thread / 32));
      default: return arrive(thread, mbarrier);
    }
  }

  int n_different() {
    int n = 0;
    for (int thread = 0; thread < kThreads; ++thread)
      for (size_t agent = 0; agent < plain(thread).times.size(); ++agent)
        n += order_.clock_of(thread)[agent] != plain(thread).times[agent];
    return n;
  }

 private:
  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  PlainClock& plain(int thread) { return clocks_[static_cast<size_t>(thread)]; }
  void advance(int thread) { ++plain(thread).times[static_cast<size_t>(thread)]; }

  void meet(int first, int n) {
    order_.meet(first, n);
    PlainClock all;
    for (int i = first; i < first + n; ++i) all.join(plain(i));
    for (int i = first; i < first + n; ++i) {
      plain(i) = all;
      advance(i);
    }
  }
  void arrive(int thread, size_t mbarrier) {
    gathered_[mbarrier].add(order_.clock_of(thread));
    order_.advance(thread);
    arrived_[mbarrier].join(plain(thread));
    advance(thread);
  }
  void end_phase(size_t mbarrier) {
    gathered_[mbarrier].raise(order_.bulk_copies_of(mbarrier), ++phase_);
    over_[mbarrier] = gathered_[mbarrier].take();
    arrived_[mbarrier].raise(order_.bulk_copies_of(mbarrier), phase_);
    plain_over_[mbarrier] = std::exchange(arrived_[mbarrier], {});
  }
  void see(int thread, size_t mbarrier) {
    order_.see(thread, over_[mbarrier]);
    plain(thread).join(plain_over_[mbarrier]);
  }
  void raise(int thread, size_t agent) {
    order_.clock_of(thread).raise(agent, ++phase_);
    plain(thread).raise(agent, phase_);
  }

  std::mt19937 random_{7};
  BlockOrder order_{kThreads};
  GatheredTimes gathered_[kMbarriers];
  SharedTimes over_[kMbarriers];
  std::vector<PlainClock> clocks_;
  PlainClock arrived_[kMbarriers], plain_over_[kMbarriers];
  uint32_t phase_ = 0;
};

TEST_CASE("emulator order: clocks that threads share say what a clock of its own for each would") {
  Both both;
  int n_different = 0;
  for (int i = 0; i < 3000; ++i) {
    both.step();
    n_different += both.n_different();
  }
  CHECK(n_different == 0);
}

TEST_CASE("emulator order: a write finds a read that is not before it, however many others were") {
  constexpr int kBytes = 48;
  struct Read {
    size_t agent;
    uint32_t time;
  };
  std::mt19937 random(11);
  const auto below = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
  int n_found = 0, n_wrong = 0;
  for (int block = 0; block < 1000; ++block) {
    BlockOrder order(kThreads);
    ReadMarks marks(kBytes);
    std::vector<Read> reads[kBytes];  // of each byte since it was written
    bool is_race = false;
    for (int i = 0; i < 40 && !is_race; ++i) {
      const int thread = below(kThreads), step = below(24);
      if (step == 0) order.meet(0, kThreads);
      if (step == 1) order.meet(thread / 32 * 32, 32);
      const VectorClock& seen = order.clock_of(thread);
      const size_t n_bytes = size_t{1} << below(5), begin = static_cast<size_t>(below(kBytes)) / n_bytes * n_bytes;
      const std::span<std::vector<Read>> bytes(reads + begin, n_bytes);
      if (step > 2) {
        marks.add(begin, n_bytes, static_cast<size_t>(thread), order.time_of(thread), seen);
        for (auto& byte : bytes) byte.push_back({static_cast<size_t>(thread), order.time_of(thread)});
        continue;
      }
      for (auto& byte : bytes) {
        for (const Read& read : byte) is_race |= seen[read.agent] < read.time;
        byte.clear();
      }
      const bool is_found = marks.take(begin, n_bytes, seen).has_value();
      n_found += is_found;
      n_wrong += is_found != is_race;
    }
  }
  CHECK(n_wrong == 0);
  CHECK(n_found > 200);
  CHECK(n_found < 900);
}

}  // namespace
}  // namespace outpost::emulator
