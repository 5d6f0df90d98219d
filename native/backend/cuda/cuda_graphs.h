// Passes that were recorded, to be repeated without the host: a decode step is some hundred launches, each of which
// takes longer to issue than to compute.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <vector>

#include "backend/cuda/cuda_memory.h"

namespace outpost {

class CudaGraphs {
 public:
  /// What the launches of a pass depend on.
  using Key = std::vector<int64_t>;

  struct Graph {
    cudaGraphExec_t graph = nullptr;  ///< null: computed once, which has made room for everything; not recorded yet
    DeviceSpan<const float> logits;
  };

  CudaGraphs() = default;
  CudaGraphs(const CudaGraphs&) = delete;
  CudaGraphs& operator=(const CudaGraphs&) = delete;
  ~CudaGraphs() { clear(); }

  /// Null if there was no such pass.
  Graph* find(const Key& key) {
    const auto it = graphs_.find(key);
    return it == graphs_.end() ? nullptr : &it->second;
  }
  void add(const Key& key, const Graph& graph) {
    if (graphs_.size() >= kMaxGraphs) clear();
    graphs_[key] = graph;
  }
  /// Memory that the recorded launches use has moved.
  void clear() {
    for (auto& [key, entry] : graphs_) {
      if (entry.graph != nullptr) cudaGraphExecDestroy(entry.graph);
    }
    graphs_.clear();
  }

 private:
  static constexpr size_t kMaxGraphs = 64;  // of each some MiB; sizes of drafts times lengths of the cache

  std::map<Key, Graph> graphs_;
};

}  // namespace outpost
