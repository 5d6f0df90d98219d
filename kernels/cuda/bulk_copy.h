// Copies to shared memory that an engine of the multiprocessor makes, and the barriers in shared memory that count
// their bytes (compute capability 9.0). PTX ISA, "mbarrier" and "cp.async.bulk".
#pragma once

#include "kernels/cuda/async_copy.h"

#if !defined(__CUDACC__) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900)
#define OUTPOST_HAS_BULK_COPIES 1
#endif

#ifdef OUTPOST_HAS_BULK_COPIES

namespace outpost {
namespace gpu {

#ifdef __CUDACC__

// ---- barriers in shared memory: a phase ends when as many have arrived as were announced, and all bytes are there

GPU_FN uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

GPU_FN void init_barrier(uint64_t* barrier, uint32_t n_arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(n_arrivals) : "memory");
}
/// After init_barrier, before the block's barrier that shows them to all.
GPU_FN void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
GPU_FN void arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/// Arrives, and lets the phase wait for n_bytes of copies too.
GPU_FN void arrive_and_expect(uint64_t* barrier, uint32_t n_bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(n_bytes)
               : "memory");
}
/// Arrives when the copies by copy_async16 that this thread has started are there.
GPU_FN void arrive_after_copies(uint64_t* barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/// Nanoseconds of a clock that goes on whatever the multiprocessors do.
GPU_FN uint64_t clock_ns() {
  uint64_t ns;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns));
  return ns;
}
/// Until the phase of this parity is over: 0 for the first, and 1 returns at once before the first has ended. What has
/// not come after seconds never will: the launch fails, rather than hang. By the clock, as each try waits as long as
/// the device likes; where it jumps, the multiprocessor was another program's meanwhile, or a debugger's.
GPU_FN void wait_for(uint64_t* barrier, uint32_t parity) {
  constexpr uint64_t kMostNs = 4000000000, kJumpNs = 500000000;
  uint64_t last = 0, waited = 0;
  for (uint32_t n_tries = 1;; ++n_tries) {
    uint32_t is_over;
    asm volatile(
        "{\n.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n}"
        : "=r"(is_over)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
    if (is_over != 0) return;
    if (n_tries % 16 != 0) continue;
    const uint64_t now = clock_ns(), step = last != 0 ? now - last : 0;
    waited += step < kJumpNs ? step : kJumpNs;
    last = now;
    // With a trap in it, ptxas would not give registers to warpgroups: a store to nowhere ends the launch as well.
    if (waited > kMostNs) asm volatile("st.global.u32 [%0], %1;" ::"l"(uint64_t{0}), "r"(0) : "memory");
  }
}

// ---- copies to shared memory that nobody waits for here

/// n_bytes, a multiple of 16 as both addresses, that the barrier counts.
GPU_FN void copy_bulk(void* to, const void* from, uint32_t n_bytes, uint64_t* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(from), "r"(n_bytes), "r"(shared_address(barrier))
               : "memory");
}
/// After wait_for_previous: what launches before have written by ordinary stores is there for copies that follow. The
/// end of a launch sees to that for one that starts after it, and this one was running already (PTX ISA, "async
/// proxy").
GPU_FN void show_results_to_copies() { asm volatile("fence.proxy.async.global;" ::: "memory"); }

#else

template <typename T>
GPU_FN uint32_t shared_address(SharedPtr<T> p) {
  return p.region()->shared_address() + static_cast<uint32_t>(p.offset());
}

GPU_FN void init_barrier(SharedPtr<uint64_t> barrier, uint32_t n_arrivals) {
  emulator::async_block().mbarriers.init(barrier, n_arrivals);
}
GPU_FN void publish_barriers() { emulator::async_block().mbarriers.publish(); }
GPU_FN void arrive(SharedPtr<uint64_t> barrier) { emulator::async_block().mbarriers.arrive(barrier, 0); }
GPU_FN void arrive_and_expect(SharedPtr<uint64_t> barrier, uint32_t n_bytes) {
  emulator::async_block().mbarriers.arrive(barrier, n_bytes);
}
GPU_FN void arrive_after_copies(SharedPtr<uint64_t> barrier) {
  emulator::AsyncBlock& block = emulator::async_block();
  block.mbarriers.arrive_for_copies(barrier, block.copies.n_started());
}
GPU_FN void wait_for(SharedPtr<uint64_t> barrier, uint32_t parity) {
  emulator::async_block().mbarriers.wait(barrier, parity);
}

GPU_FN void copy_bulk(SharedPtr<uint8_t> to, DevicePtr<const uint8_t> from, uint32_t n_bytes,
                      SharedPtr<uint64_t> barrier) {
  emulator::async_block().mbarriers.copy(to, from, n_bytes, barrier);
}
GPU_FN void show_results_to_copies() { emulator::show_results(); }

#endif

}  // namespace gpu
}  // namespace outpost

#endif
