#include "kernels/emulator/order.h"

#include <algorithm>

namespace outpost::emulator {

void VectorClock::raise(size_t agent, uint32_t time) {
  if (agent >= times_.size()) times_.resize(agent + 1);
  times_[agent] = std::max(times_[agent], time);
}

namespace {

/// Where blocks have asynchronous instructions, a good part of the emulator's time: AddressSanitizer's checks of every
/// element would make it most.
__attribute__((no_sanitize("address"))) void take_later(uint32_t* times, const uint32_t* others, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (others[i] > times[i]) times[i] = others[i];
  }
}

}  // namespace

void VectorClock::join(const VectorClock& other) {
  if (times_.size() < other.times_.size()) times_.resize(other.times_.size());
  take_later(times_.data(), other.times_.data(), other.times_.size());
}

BlockOrder::BlockOrder(int n_threads) : n_threads_(static_cast<size_t>(n_threads)), clocks_(n_threads_) {
  for (int thread = 0; thread < n_threads; ++thread) advance(thread);
}

void BlockOrder::advance(int thread) {
  clocks_[static_cast<size_t>(thread)].raise(static_cast<size_t>(thread), time_of(thread) + 1);
}

void BlockOrder::meet(int first_thread, int n) {
  VectorClock all;
  for (int i = 0; i < n; ++i) all.join(clock_of(first_thread + i));
  for (int i = 0; i < n; ++i) {
    clock_of(first_thread + i) = all;
    advance(first_thread + i);
  }
}

std::string BlockOrder::describe(size_t agent) const {
  if (agent < n_threads_) return "thread " + std::to_string(agent);
  if (agent < products_of(0)) return "a copy of thread " + std::to_string(agent - n_threads_);
  if (!is_bulk_copy(agent)) return "a product of warp " + std::to_string(agent - products_of(0));
  return "a bulk copy";
}

}  // namespace outpost::emulator
