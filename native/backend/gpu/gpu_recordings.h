// Passes that were recorded, to be repeated without the host: a decode step is some hundred launches, each of which
// takes longer to issue than to compute.
#pragma once

#include <map>
#include <vector>

#include "backend/gpu/gpu_memory.h"

namespace outpost {

class GpuRecordings {
 public:
  /// What the launches of a pass depend on.
  using Key = std::vector<int64_t>;

  struct Pass {
    /// Null: computed once, which has made room for everything; not recorded yet.
    gpu::Recording recording = nullptr;
    DeviceSpan<const float> logits;
  };

  GpuRecordings() = default;
  GpuRecordings(const GpuRecordings&) = delete;
  GpuRecordings& operator=(const GpuRecordings&) = delete;
  ~GpuRecordings() { clear(); }

  /// Null if there was no such pass.
  Pass* find(const Key& key) {
    const auto it = passes_.find(key);
    return it == passes_.end() ? nullptr : &it->second;
  }
  void add(const Key& key, const Pass& pass) {
    if (passes_.size() >= kMaxPasses) clear();
    passes_[key] = pass;
  }
  /// Memory that the recorded launches use has moved.
  void clear() {
    for (auto& [key, pass] : passes_) {
      if (pass.recording != nullptr) gpu::destroy_recording(pass.recording);
    }
    passes_.clear();
  }

 private:
  static constexpr size_t kMaxPasses = 64;  // of each some MiB; sizes of drafts times lengths of the cache

  std::map<Key, Pass> passes_;
};

}  // namespace outpost
