// Copies from global to shared memory that go on while the thread does something else (compute capability 8.0; the
// thread of a 7.5 waits for each).
#pragma once

#include "kernels/portable/dialect.h"

#ifndef __CUDACC__
#include "kernels/emulator/async_block.h"
#endif

namespace outpost {
namespace gpu {

#ifdef __CUDACC__

/// Bytes from the last multiple of 16 to here.
GPU_FN uint64_t past_sixteen(DevicePtr<const uint8_t> p) { return reinterpret_cast<uintptr_t>(p) & 15u; }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800

/// Sixteen bytes, of which those past n_bytes become zeros and are not read; both addresses are multiples of 16.
GPU_FN void copy_async16(void* to, const void* from, uint32_t n_bytes) {
  uint4 bytes = make_uint4(0, 0, 0, 0);
  if (n_bytes == 16)
    bytes = *static_cast<const uint4*>(from);
  else
    for (uint32_t i = 0; i < n_bytes; ++i) reinterpret_cast<uint8_t*>(&bytes)[i] = static_cast<const uint8_t*>(from)[i];
  *static_cast<uint4*>(to) = bytes;
}
GPU_FN void commit_copies() {}
template <int kPending>
GPU_FN void wait_for_copies() {}

#else

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

#endif

#else

/// Arrays begin at multiples of 16.
GPU_FN uint64_t past_sixteen(DevicePtr<const uint8_t> p) { return static_cast<uint64_t>(p.offset()) & 15u; }

template <typename T>
GPU_FN void copy_async16(SharedPtr<T> to, DevicePtr<const T> from, uint32_t n_bytes) {
  emulator::async_block().copies.start(to.region(), to.offset(), from.region(), from.offset(), n_bytes);
}
GPU_FN void commit_copies() { emulator::async_block().copies.commit(); }
template <int kPending>
GPU_FN void wait_for_copies() {
  emulator::async_block().copies.wait(kPending);
}

#endif

}  // namespace gpu
}  // namespace outpost
