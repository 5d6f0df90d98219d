#include "kernels/emulator/order.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace outpost::emulator {
namespace {

/// AddressSanitizer's checks of every element would make it a good part of the emulator's time.
__attribute__((no_sanitize("address"))) void take_later(uint32_t* times, const uint32_t* others, size_t n) {
  for (size_t i = 0; i < n; ++i) times[i] = std::max(times[i], others[i]);
}

void join(Times& times, const Times& others) {
  if (times.size() < others.size()) times.resize(others.size());
  take_later(times.data(), others.data(), others.size());
}

}  // namespace

uint32_t VectorClock::operator[](size_t agent) const {
  uint32_t time = shared_ && agent < shared_->size() ? (*shared_)[agent] : 0;
  for (const Own& own : own_)
    if (own.agent == agent) time = std::max(time, own.time);
  return time;
}

void VectorClock::raise(size_t agent, uint32_t time) {
  for (Own& own : own_) {
    if (own.agent != agent && own.agent != SIZE_MAX) continue;
    own = {agent, std::max(own.time, time)};
    return;
  }
  throw std::logic_error("a thread raises more agents than are its own");
}

void GatheredTimes::raise(size_t agent, uint32_t time) {
  if (agent >= times_.size()) times_.resize(agent + 1);
  times_[agent] = std::max(times_[agent], time);
}

void GatheredTimes::add(const VectorClock& clock) {
  if (clock.shared_ && clock.shared_ != last_added_) {
    join(times_, *clock.shared_);
    last_added_ = clock.shared_;
  }
  for (const VectorClock::Own& own : clock.own_)
    if (own.agent != SIZE_MAX) raise(own.agent, own.time);
}

SharedTimes GatheredTimes::take() {
  last_added_.reset();
  return std::make_shared<const Times>(std::exchange(times_, {}));
}

BlockOrder::BlockOrder(int n_threads) : n_threads_(static_cast<size_t>(n_threads)), clocks_(n_threads_) {
  for (int thread = 0; thread < n_threads; ++thread) advance(thread);
}

void BlockOrder::advance(int thread) { clock_of(thread).raise(static_cast<size_t>(thread), time_of(thread) + 1); }

void BlockOrder::meet(int first_thread, int n) {
  GatheredTimes gathered;
  for (int thread = first_thread; thread < first_thread + n; ++thread) gathered.add(clock_of(thread));
  const SharedTimes all = gathered.take();
  for (int thread = first_thread; thread < first_thread + n; ++thread) {
    VectorClock& clock = clock_of(thread);
    clock.shared_ = all;
    clock.own_ = {};
    advance(thread);
  }
}

void BlockOrder::see(int thread, const SharedTimes& times) {
  SharedTimes& shared = clock_of(thread).shared_;
  if (!times || shared == times) return;
  if (!shared) {
    shared = times;
    return;
  }
  for (const Joined& joined : joined_) {
    if (joined.one != shared || joined.other != times) continue;
    shared = joined.both;
    return;
  }
  Times both = *shared;
  join(both, *times);
  joined_[next_joined_] = {shared, times, std::make_shared<const Times>(std::move(both))};
  shared = joined_[next_joined_].both;
  next_joined_ = (next_joined_ + 1) % joined_.size();
}

std::string BlockOrder::describe(size_t agent) const {
  if (agent < n_threads_) return "thread " + std::to_string(agent);
  if (agent < products_of(0)) return "a copy of thread " + std::to_string(agent - n_threads_);
  if (!is_bulk_copy(agent)) return "a product of warp " + std::to_string(agent - products_of(0));
  return "a bulk copy";
}

}  // namespace outpost::emulator
