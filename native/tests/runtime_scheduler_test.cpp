// The scheduler's policy with a clock of the test's own: single decisions, and random days of arrivals, cancels and
// shortage of pages.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

#include "runtime/scheduler.h"

using namespace outpost;

namespace {

std::vector<uint64_t> ids(const std::vector<Share>& shares) {
  std::vector<uint64_t> all;
  for (const Share& share : shares) all.push_back(share.id);
  return all;
}

/// An engine without a model: what the decode thread does with the scheduler, with passes that take time by their rows.
class Simulation {
 public:
  struct Task {
    Priority priority;
    double arrived_ms;
    int32_t n_prompt, n_reply;
    int32_t n_computed = 0, n_said = 0;
    bool has_pages = false;
    double last_ran_ms = 0, longest_wait_ms = 0, first_said_ms = -1;
  };
  struct Done {
    Task task;
    bool is_cancelled;
  };

  Simulation(uint32_t seed, int32_t n_pages) : random_(seed), n_free_(n_pages), scheduler({256, 12, 32}) {}

  static int32_t pages(int32_t n) { return (n + 63) / 64; }
  int32_t held(const Task& task) const { return task.has_pages ? std::max(1, pages(task.n_computed + 1)) : 0; }

  void arrive(Priority priority, int32_t n_prompt, int32_t n_reply) {
    const uint64_t id = next_id_++;
    tasks[id] = {priority, now, n_prompt, n_reply};
    tasks[id].last_ran_ms = now;
    scheduler.add(id, priority, now, n_prompt);
  }
  void cancel(uint64_t id) { end(id, true); }

  void pass() {
    auto shares = scheduler.plan(now);
    for (;; shares = scheduler.plan(now)) {
      for (const Share& share : shares) find_pages(share.id, share.n_tokens);
      if (shares.empty() || tasks.at(shares.front().id).has_pages) break;
    }
    double ms = 0.5;
    int32_t n_prompt = 0;
    std::vector<Share> running;
    for (const Share& share : shares) {
      Task& task = tasks.at(share.id);
      if (!task.has_pages) continue;
      const int32_t n = std::min(share.n_tokens, pending(task));
      if (pages(task.n_computed + n) > given_[share.id]) continue;
      running.push_back({share.id, n});
      ms += n > 1 ? 0.1 * n : 0.4;
      if (n > 1) n_prompt += n;
    }
    if (running.empty()) {
      now += 0.1;
      ++n_idle;
      return;
    }
    n_idle = 0;
    // The most urgent class that could run does, unless somebody has aged.
    check_urgency(running.front().id);
    now += ms;
    longest_pass_ms = std::max(longest_pass_ms, ms);
    if (n_prompt > 0) scheduler.observe_slice(n_prompt, ms);
    for (const Share& share : running) {
      Task& task = tasks.at(share.id);
      task.longest_wait_ms = std::max(task.longest_wait_ms, now - task.last_ran_ms);
      task.last_ran_ms = now;
      task.n_computed += share.n_tokens;
      scheduler.ran(share.id, now);
      if (task.n_computed == task.n_prompt + task.n_said) {
        ++task.n_said;
        if (task.first_said_ms < 0) task.first_said_ms = now;
      }
      if (task.n_said == task.n_reply) {
        end(share.id, false);
      } else {
        scheduler.set_pending(share.id, pending(task));
      }
    }
  }

  std::mt19937 random_;
  double now = 0, longest_pass_ms = 0;
  int n_parked = 0, n_idle = 0, n_out_of_order = 0;
  std::map<uint64_t, Task> tasks;
  std::vector<Done> done;
  int32_t n_free_;
  Scheduler scheduler;

 private:
  static int32_t pending(const Task& task) { return task.n_prompt + task.n_said - task.n_computed; }

  void check_urgency(uint64_t leader) {
    const Task& first = tasks.at(leader);
    for (const auto& [id, task] : tasks) {
      const bool is_more_urgent = task.has_pages && task.priority < first.priority;
      if (is_more_urgent && now - first.last_ran_ms < Scheduler::kAgeingMs) ++n_out_of_order;
    }
  }

  void find_pages(uint64_t id, int32_t n) {
    for (;;) {
      Task& task = tasks.at(id);
      const int32_t wanted = pages(
          std::max(task.n_computed + std::min(n, pending(task)), task.has_pages ? 0 : task.n_prompt + task.n_said));
      if (wanted - given_[id] <= n_free_) {
        if (wanted > given_[id]) {
          n_free_ -= wanted - given_[id];
          given_[id] = wanted;
        }
        if (!task.has_pages) {
          task.has_pages = true;
          scheduler.hold_pages(id, true);
        }
        return;
      }
      const auto victim = scheduler.victim_for(id);
      if (!victim.has_value()) {
        if (task.has_pages) park(id);
        return scheduler.wait_for_pages(id);
      }
      REQUIRE(*victim != id);
      REQUIRE(tasks.at(*victim).has_pages);
      REQUIRE(tasks.at(*victim).priority >= task.priority);
      park(*victim);
    }
  }
  void give_back(uint64_t id) {
    n_free_ += given_[id];
    given_[id] = 0;
    tasks.at(id).has_pages = false;
  }
  void park(uint64_t id) {
    ++n_parked;
    give_back(id);
    tasks.at(id).n_computed = 0;  // the worst case: nothing of it can be reused
    scheduler.hold_pages(id, false);
    scheduler.set_pending(id, pending(tasks.at(id)));
  }
  void end(uint64_t id, bool is_cancelled) {
    give_back(id);
    given_.erase(id);
    scheduler.remove(id);
    done.push_back({tasks.at(id), is_cancelled});
    tasks.erase(id);
  }

  uint64_t next_id_ = 1;
  std::map<uint64_t, int32_t> given_;  // pages
};

}  // namespace

TEST_CASE("classes run in their order, and inside a class whoever waited longest") {
  Scheduler scheduler({64, 0, 8});
  scheduler.add(1, Priority::kBackground, 0, 100);
  scheduler.add(2, Priority::kChat, 0, 100);
  scheduler.add(3, Priority::kChat, 0, 100);
  CHECK(ids(scheduler.plan(0)) == std::vector<uint64_t>{2});  // its slice is all there is
  scheduler.ran(2, 1);
  scheduler.set_pending(2, 36);
  CHECK(ids(scheduler.plan(1)) == std::vector<uint64_t>{3});
  scheduler.ran(3, 2);
  scheduler.set_pending(3, 36);
  const auto shares = scheduler.plan(2);
  CHECK(ids(shares) == std::vector<uint64_t>{2, 3});  // 36 and what is left of 64
  CHECK(shares[1].n_tokens == 28);
  scheduler.add(4, Priority::kInline, 2, 5);
  CHECK(ids(scheduler.plan(2)) == std::vector<uint64_t>{4});
}

TEST_CASE("replies are computed together, and come along with the slice of a prompt, but not with an inline request") {
  Scheduler scheduler({64, 0, 4});
  for (uint64_t id = 1; id <= 3; ++id) scheduler.add(id, Priority::kAgent, 0, 1);
  CHECK(ids(scheduler.plan(0)) == std::vector<uint64_t>{1, 2, 3});
  scheduler.add(4, Priority::kChat, 0, 100);
  CHECK(ids(scheduler.plan(0)) == std::vector<uint64_t>{4, 1, 2, 3});
  scheduler.add(5, Priority::kAgent, 0, 1);
  CHECK(scheduler.plan(0).size() == 4);  // the most there may be
  scheduler.add(6, Priority::kInline, 0, 1);
  CHECK(ids(scheduler.plan(0)) == std::vector<uint64_t>{6});
  scheduler.remove(6);
  CHECK(scheduler.plan(0).size() == 4);
}

TEST_CASE("a request of a low class ages until it runs") {
  Scheduler scheduler({64, 0, 8});
  scheduler.add(1, Priority::kBackground, 0, 1000);
  scheduler.add(2, Priority::kInline, 0, 1000000);
  double now = 0;
  int n_background = 0;
  for (int i = 0; i < 1000; ++i) {
    const Share first = scheduler.plan(now).front();
    now += 10;
    scheduler.ran(first.id, now);
    n_background += first.id == 1 ? 1 : 0;
  }
  // Ten seconds: once in three times the ageing time, within a pass.
  CHECK(n_background >= 12);
  CHECK(n_background <= 14);
}

TEST_CASE("a pass may be overtaken until its request has aged, and that of an inline one never") {
  Scheduler scheduler({64, 0, 8});
  scheduler.add(1, Priority::kChat, 0, 1000);
  scheduler.add(2, Priority::kInline, 0, 10);
  CHECK(scheduler.may_be_overtaken(1, Scheduler::kAgeingMs - 1));
  CHECK_FALSE(scheduler.may_be_overtaken(1, Scheduler::kAgeingMs));
  CHECK_FALSE(scheduler.may_be_overtaken(2, 0));
  scheduler.ran(1, 1000);
  CHECK(scheduler.may_be_overtaken(1, 1001));
}

TEST_CASE("the size of a slice follows its time") {
  Scheduler scheduler({256, 12, 8});
  CHECK(scheduler.slice_tokens(0) == 32);
  for (int i = 0; i < 8; ++i) scheduler.observe_slice(scheduler.slice_tokens(0), scheduler.slice_tokens(0) * 0.1);
  const int32_t n_fitting = scheduler.slice_tokens(0);  // 120, but for rounding
  CHECK(n_fitting >= 118);
  CHECK(n_fitting <= 120);
  scheduler.observe_slice(n_fitting, 1200);  // disturbed: half, not a hundredth
  CHECK(scheduler.slice_tokens(0) == n_fitting / 2);
  for (int i = 0; i < 8; ++i) scheduler.observe_slice(scheduler.slice_tokens(0), scheduler.slice_tokens(0) * 50.0);
  CHECK(scheduler.slice_tokens(0) == 32);
  for (int i = 0; i < 20; ++i) scheduler.observe_slice(scheduler.slice_tokens(0), 0.01);
  CHECK(scheduler.slice_tokens(0) == 256);
  Scheduler fixed({8, 0, 8});
  fixed.observe_slice(8, 1000);
  CHECK(fixed.slice_tokens(0) == 8);
}

TEST_CASE("slices that had no room are shorter from then on, whatever they take and whoever asks") {
  Scheduler scheduler({256, 12, 8, 32, 256});
  CHECK(scheduler.limit_slice(64));
  CHECK_FALSE(scheduler.limit_slice(64));
  CHECK_FALSE(scheduler.limit_slice(100));  // no way back
  for (int i = 0; i < 20; ++i) scheduler.observe_slice(scheduler.slice_tokens(0), 0.01);
  CHECK(scheduler.slice_tokens(0) == 64);
  scheduler.add(1, Priority::kChat, 0, 10000);
  CHECK(scheduler.plan(0).front().n_tokens == 64);
  scheduler.add(2, Priority::kInline, 0, 10000);
  CHECK(scheduler.plan(0).front().n_tokens == 64);
}

TEST_CASE("slices are as small as they have to be while somebody types, and large again when nobody does") {
  Scheduler scheduler({256, 12, 8});
  scheduler.add(1, Priority::kChat, 0, 10000);
  for (int i = 0; i < 8; ++i) scheduler.observe_slice(32, 32);  // twelve would fit
  CHECK(scheduler.plan(1000).front().n_tokens == 32);
  scheduler.ran(1, 999);
  scheduler.add(2, Priority::kInline, 1000, 1000);
  CHECK(scheduler.plan(1000).front().n_tokens == 256);  // its own are as large as can be
  scheduler.ran(2, 1100);
  scheduler.remove(2);
  CHECK(scheduler.plan(1200).front().n_tokens == 12);
  CHECK(scheduler.plan(1100 + Scheduler::kInlineMs).front().n_tokens == 32);
  for (int i = 0; i < 8; ++i) scheduler.observe_slice(32, 1000);
  CHECK(scheduler.plan(1200).front().n_tokens == Scheduler::kBesideInline);
}

TEST_CASE("slices are as long as the device likes while nobody as urgent has work") {
  Scheduler scheduler({2048, 12, 8, 64, 2048});
  for (int i = 0; i < 8; ++i) scheduler.observe_slice(512, 20);  // 307 would fit
  scheduler.add(1, Priority::kChat, 5000, 10000);
  scheduler.add(2, Priority::kBackground, 5000, 100);
  CHECK(scheduler.plan(5000).front().n_tokens == 2048);
  scheduler.add(3, Priority::kChat, 5000, 10000);
  CHECK(scheduler.plan(5000).front().n_tokens == 307);
  scheduler.wait_for_pages(3);
  CHECK(scheduler.plan(5000).front().n_tokens == 2048);
  scheduler.remove(3);
  scheduler.add(4, Priority::kInline, 5000, 10);
  scheduler.ran(4, 5010);
  scheduler.remove(4);
  CHECK(scheduler.plan(5020).front().n_tokens == 307);
  for (const uint64_t id : {1, 2}) scheduler.ran(id, 6000);  // who waits longer is as urgent as all others
  CHECK(scheduler.plan(5010 + Scheduler::kInlineMs).front().n_tokens == 2048);
  // A device that would like no more than fits is not given more.
  Scheduler small({64, 12, 8, 32, 32});
  small.add(1, Priority::kChat, 5000, 10000);
  CHECK(small.plan(5000).front().n_tokens == 32);
}

TEST_CASE("pages are taken from the least urgent, never from the more urgent, and never in turns") {
  Scheduler scheduler({64, 0, 8});
  scheduler.add(1, Priority::kChat, 0, 1);
  scheduler.add(2, Priority::kBackground, 0, 1);
  scheduler.add(3, Priority::kChat, 0, 1);
  for (const uint64_t id : {1, 2, 3}) scheduler.hold_pages(id, true);
  CHECK(scheduler.victim_for(1) == 2);
  scheduler.hold_pages(2, false);
  CHECK(scheduler.victim_for(1) == 3);
  CHECK(scheduler.victim_for(3) == std::nullopt);
  CHECK(scheduler.victim_for(2) == std::nullopt);
  scheduler.wait_for_pages(2);
  CHECK(scheduler.n_waiting() == 1);
  CHECK(ids(scheduler.plan(0)) == std::vector<uint64_t>{1, 3});
  scheduler.remove(3);
  CHECK(scheduler.n_waiting() == 0);
}

TEST_CASE("random days: nobody starves, classes are respected, nothing leaks") {
  int n_parked = 0;
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    const int32_t n_pages = 40;  // a full context of 2,000 positions and a little
    Simulation day(seed, n_pages);
    size_t n_arrived = 0;
    for (int i = 0; i < 3000; ++i) {
      if (day.random_() % 100 < 12 && day.tasks.size() < 40) {
        const auto priority = static_cast<Priority>(day.random_() % 4);
        const int32_t n_prompt = 1 + static_cast<int32_t>(day.random_() % (priority == Priority::kInline ? 60 : 1500));
        day.arrive(priority, n_prompt, 1 + static_cast<int32_t>(day.random_() % 40));
        ++n_arrived;
      }
      if (day.random_() % 100 < 2 && !day.tasks.empty()) {
        auto it = day.tasks.begin();
        std::advance(it, day.random_() % day.tasks.size());
        day.cancel(it->first);
      }
      day.pass();
    }
    // Nobody new comes: everybody gets to the end.
    for (int i = 0; i < 100000 && !day.tasks.empty(); ++i) {
      day.pass();
      REQUIRE(day.n_idle < 100);
    }
    CHECK(day.tasks.empty());
    CHECK(day.done.size() == n_arrived);
    CHECK(day.scheduler.size() == 0);
    CHECK(day.n_free_ == n_pages);
    CHECK(day.n_out_of_order == 0);
    n_parked += day.n_parked;
    for (const auto& [task, is_cancelled] : day.done) CHECK((is_cancelled || task.n_said == task.n_reply));
    // A slice fills its time, with replies beside it and one pass of learning.
    CHECK(day.longest_pass_ms < 40);
  }
  CHECK(n_parked > 100);
}

TEST_CASE("an inline request waits for one slice, whatever else runs, and sixteen replies run side by side") {
  Simulation day(1, 100000);
  day.arrive(Priority::kChat, 100000, 10);
  for (int i = 0; i < 16; ++i) day.arrive(Priority::kAgent, 10, 2000);
  for (int i = 0; i < 300; ++i) day.pass();
  std::map<uint64_t, int32_t> n_said_before;  // all have begun by now, one after the other
  for (const auto& [id, task] : day.tasks) {
    CHECK((task.n_said > 0 || task.priority == Priority::kChat));
    n_said_before[id] = task.n_said;
  }
  std::vector<double> waits;
  for (int i = 0; i < 200; ++i) {
    for (uint32_t n = day.random_() % 5; n > 0; --n) day.pass();
    day.arrive(Priority::kInline, 20, 20);
    const size_t n_done = day.done.size();
    const double alone_ms = 0.5 + 0.1 * 20;
    while (day.done.size() == n_done) day.pass();
    waits.push_back(day.done.back().task.first_said_ms - day.done.back().task.arrived_ms - alone_ms);
  }
  CHECK(*std::max_element(waits.begin(), waits.end()) <= 30);
  int32_t least = 1000000, most = 0;
  for (const auto& [id, task] : day.tasks) {
    if (task.priority != Priority::kAgent) continue;
    least = std::min(least, task.n_said - n_said_before.at(id));
    most = std::max(most, task.n_said - n_said_before.at(id));
  }
  CHECK(least > 50);
  CHECK(most - least <= 1);
}
