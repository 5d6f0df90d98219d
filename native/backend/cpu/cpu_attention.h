// Keys and values into the pages of the cache, and attention over them.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/cpu_memory.h"
#include "backend/cpu/cpu_rope.h"
#include "core/thread_pool.h"

namespace outpost {

class CpuAttention {
 public:
  CpuAttention(const CpuKernelTable& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  /// As Backend::rope_and_store_kv; `rope` may be null.
  void rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v,
                         CpuKvStorage& storage, int32_t il, std::span<const SequenceRun> runs,
                         const AttentionParams& params, CpuRope* rope);
  /// As Backend::attention.
  void attention(DeviceSpan<float> y, DeviceSpan<const float> q, const CpuKvStorage& storage, int32_t il,
                 std::span<const SequenceRun> runs, const AttentionParams& params);

 private:
  void attend_run(float* y, const float* q, const CpuKvStorage& storage, int32_t il, const SequenceRun& run,
                  const AttentionParams& params);

  const CpuKernelTable& kernels_;
  ThreadPool& pool_;
  // Scratch, reused from call to call.
  std::vector<const uint16_t*> k_pages_, v_pages_;
};

}  // namespace outpost
