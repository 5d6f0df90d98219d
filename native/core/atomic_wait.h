// Sleeping until an atomic changes: std::atomic's wait and notify_all, except on Windows. There GCC's C++ library waits
// on a condition variable and may sleep through a notification that comes between its look at the value and its sleep,
// as GCC 12's did in a test; the system's own call is as short.
#pragma once

#include <atomic>

#ifdef _WIN32
#include <cstddef>
#endif

namespace outpost {

#ifdef _WIN32
/// @param address, old the atomic and `n_bytes` to compare it with
void sleep_while_equal(const void* address, const void* old, size_t n_bytes);
void wake_all_sleepers(const void* address);
#endif

/// Returns when `value` is not `old`, or was not for a moment. A change is noticed if `notify_waiters` follows it.
template <typename T>
void wait_while(const std::atomic<T>& value, T old, std::memory_order order) {
#ifdef _WIN32
  static_assert(sizeof(value) == sizeof(T) && std::atomic<T>::is_always_lock_free);
  while (value.load(order) == old) sleep_while_equal(&value, &old, sizeof(T));
#else
  value.wait(old, order);
#endif
}

template <typename T>
void notify_waiters(std::atomic<T>& value) {
#ifdef _WIN32
  wake_all_sleepers(&value);
#else
  value.notify_all();
#endif
}

}  // namespace outpost
