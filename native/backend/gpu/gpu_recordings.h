// Passes that were recorded, to be repeated without the host: a decode step is some hundred launches, each of which
// takes longer to issue than to compute.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "backend/gpu/gpu_memory.h"

namespace outpost {

class GpuRecordings {
 public:
  static constexpr size_t kMaxPasses = 64;  // of each some MiB; sizes of drafts times lengths of the cache

  /// What the launches of a pass depend on.
  using Key = std::vector<int64_t>;

  struct Pass {
    /// Null: computed once, which has made room for everything; not recorded yet.
    gpu::Recording recording = nullptr;
    DeviceSpan<const float> logits;
    uint64_t used_at = 0;
  };

  GpuRecordings() = default;
  GpuRecordings(const GpuRecordings&) = delete;
  GpuRecordings& operator=(const GpuRecordings&) = delete;
  ~GpuRecordings() { clear(); }

  /// Null if there was no such pass.
  Pass* find(const Key& key) {
    const auto it = passes_.find(key);
    if (it == passes_.end()) return nullptr;
    it->second.used_at = ++n_uses_;
    return &it->second;
  }
  /// Takes the place of the one that was used longest ago where there are many.
  void add(const Key& key, Pass pass) {
    if (passes_.size() >= kMaxPasses && passes_.count(key) == 0) {
      const auto oldest = std::min_element(passes_.begin(), passes_.end(), [](const auto& a, const auto& b) {
        return a.second.used_at < b.second.used_at;
      });
      destroy(oldest->second);
      passes_.erase(oldest);
    }
    pass.used_at = ++n_uses_;
    passes_[key] = pass;
  }
  /// Memory that the recorded launches use has moved.
  void clear() {
    for (auto& [key, pass] : passes_) destroy(pass);
    passes_.clear();
  }

 private:
  static void destroy(Pass& pass) {
    if (pass.recording != nullptr) gpu::destroy_recording(pass.recording);
  }

  std::map<Key, Pass> passes_;
  uint64_t n_uses_ = 0;
};

}  // namespace outpost
