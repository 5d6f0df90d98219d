// Keys and values into the pages of the cache, packed when they have grown old, and attention over them.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/cpu_kv_storage.h"
#include "backend/cpu/cpu_rope.h"
#include "core/thread_pool.h"

namespace outpost {

class CpuAttention {
 public:
  CpuAttention(const CpuKernelTable& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  /// As Backend::rope_and_store_kv; `rope` may be null. Leaves q rotated as the keys are.
  void rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v,
                         CpuKvStorage& storage, int32_t il, std::span<const SequenceRun> runs,
                         const AttentionParams& params, CpuRope* rope);
  /// As Backend::attention.
  void attention(DeviceSpan<float> y, DeviceSpan<const float> q, const CpuKvStorage& storage, int32_t il,
                 std::span<const SequenceRun> runs, const AttentionParams& params);

 private:
  /// Queries of one run in one page: they read the same forms of the same pages.
  struct Segment {
    int64_t row;       ///< of the first token in the batch
    int32_t position;  ///< of the first token
    int32_t n_tokens;
    size_t first_tile;  ///< in tiles_
    int32_t n_tiles;
    int64_t first_item;
  };

  void add_statistics(KvStatistics& statistics, DeviceSpan<const float> q, DeviceSpan<const float> k,
                      DeviceSpan<const float> v, int32_t il, std::span<const SequenceRun> runs,
                      const AttentionParams& params, CpuRope* rope);
  /// Packs the pages that the run's last query reads packed.
  void pack_pages(CpuKvStorage& storage, int32_t il, std::span<const SequenceRun> runs);
  void add_segments(const CpuKvStorage& storage, const SequenceRun& run, int64_t row, const AttentionParams& params);
  /// Divides the segments into items for the threads; a query's result is the same in any. @return their number
  int64_t divide(int32_t group, int32_t n_head_kv);
  void attend(const Segment& segment, int64_t item, float* y, const float* q, const CpuKvStorage& storage, int32_t il,
              const AttentionParams& params) const;

  const CpuKernelTable& kernels_;
  ThreadPool& pool_;
  // Scratch, reused from call to call.
  std::vector<Segment> segments_;
  std::vector<KvTile> tiles_;
  int64_t n_tile_queries_ = 1;  ///< queries of an item
};

}  // namespace outpost
