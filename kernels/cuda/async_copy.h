// Copies from global to shared memory that go on while the thread does something else (compute capability 8.0), and
// what the emulator does instead: the copy at once. It does not find a wait that is missing.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

#ifdef __CUDACC__

/// Sixteen bytes, of which those past n_bytes become zeros and are not read; both addresses are multiples of 16.
GPU_FN void copy_async16(void* to, const void* from, uint32_t n_bytes) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
      "l"(from), "r"(n_bytes)
      : "memory");
}
/// The copies of this thread since the last commit become a group.
GPU_FN void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Until at most kPending groups of this thread are not finished. Other threads see them after a barrier.
template <int kPending>
GPU_FN void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

#else

GPU_FN void copy_async16(SharedPtr<uint16_t> to, DevicePtr<const uint16_t> from, uint32_t n_bytes) {
  std::byte* written = to.access_many(8, emulator::Access::kWrite);
  std::memset(written, 0, 16);
  if (n_bytes > 0) std::memcpy(written, from.access_many(n_bytes / 2, emulator::Access::kRead), n_bytes);
}
GPU_FN void commit_copies() {}
template <int kPending>
GPU_FN void wait_for_copies() {}

#endif

}  // namespace gpu
}  // namespace outpost
