#include "kernels/emulator/async_block.h"

#include "kernels/emulator/simt.h"

namespace outpost::emulator {

void AsyncCopies::start(Region* to, int64_t to_offset, Region* from, int64_t from_offset, uint32_t n_bytes) {
  constexpr uint32_t kBytes = 16;
  if (from_offset % kBytes != 0)
    throw Fault(FaultKind::kMisaligned, describe_thread() + " starts a copy from byte " + std::to_string(from_offset) +
                                            " of `" + from->name() + "`, no multiple of 16");
  Thread& thread = threads_[static_cast<size_t>(thread_index())];
  AccessClock clock = access_clock();
  clock.thread = kNoThread;
  clock.agent = static_cast<uint16_t>(order_.copies_of(thread_index()));
  clock.time = ++thread.n_started;
  std::byte* written = to->access(to_offset, kBytes, Access::kWrite, clock);
  std::memset(written, 0, kBytes);
  if (n_bytes > 0) std::memcpy(written, from->access(from_offset, n_bytes, Access::kRead), n_bytes);
}

void AsyncCopies::commit() {
  Thread& thread = threads_[static_cast<size_t>(thread_index())];
  thread.groups.push_back(thread.n_started);
}

void AsyncCopies::wait(size_t n_pending) {
  const Thread& thread = threads_[static_cast<size_t>(thread_index())];
  if (thread.groups.size() <= n_pending) return;
  const uint32_t n_over = thread.groups[thread.groups.size() - 1 - n_pending];
  order_.clock_of(thread_index()).raise(order_.copies_of(thread_index()), n_over);
}

uint32_t AsyncCopies::n_started() const { return threads_[static_cast<size_t>(thread_index())].n_started; }

}  // namespace outpost::emulator
