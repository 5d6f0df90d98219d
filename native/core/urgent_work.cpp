#include "core/urgent_work.h"

#include <atomic>
#include <cstdint>

#include "core/atomic_wait.h"

namespace outpost {
namespace {

thread_local bool is_this_urgent = false;
std::atomic<int32_t> n_turns{0};

}  // namespace

UrgentThread::UrgentThread(bool is_urgent) : before_(is_this_urgent) { is_this_urgent = is_urgent; }
UrgentThread::~UrgentThread() { is_this_urgent = before_; }
bool UrgentThread::is_current() { return is_this_urgent; }

UrgentTurn::UrgentTurn() : is_urgent_(is_this_urgent) {
  if (is_urgent_) n_turns.fetch_add(1);
}

UrgentTurn::~UrgentTurn() {
  if (is_urgent_ && n_turns.fetch_sub(1) == 1) notify_waiters(n_turns);
}

void rest_while_urgent() {
  for (int32_t n; (n = n_turns.load(std::memory_order_relaxed)) != 0;)
    wait_while(n_turns, n, std::memory_order_relaxed);
}

}  // namespace outpost
