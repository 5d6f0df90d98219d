// The feed-forward layer of a mixture of experts on the CPU.
//
// The tokens of a batch are routed, and those that chose the same expert become consecutive rows of its products. All
// experts that are in memory together share a parallel region per product. A token's results are summed in the order
// of its own choice, so that its bits depend neither on the batch nor on which experts were in memory.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/cpu_experts.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/cpu_matmul.h"
#include "core/thread_pool.h"

namespace outpost {

class CpuExpertFfn {
 public:
  /// @param cache_bytes budget of the expert cache
  CpuExpertFfn(const CpuKernelTable& kernels, ThreadPool& pool, const CpuMatmul& matmul, uint64_t cache_bytes)
      : kernels_(kernels), pool_(pool), matmul_(matmul), cache_(cache_bytes) {}

  /// Prepares as many of the layer's experts as the budget has room for. This object must outlive them.
  /// @throws EngineError kModelInvalid, kOutOfMemory
  std::unique_ptr<CpuExperts> load(const ExpertViews& views, const RouterParams& router, Gate gate);

  /// See Backend::expert_ffn; y may be x.
  /// @throws EngineError kOutOfMemory
  void forward(float* y, const float* x, const float* logits, int32_t n_tokens, CpuExperts& experts);

  ExpertCacheStats cache_stats() const { return cache_.stats(); }

 private:
  /// The tokens of one expert: rows [row0, row0 + n_rows) of the products.
  struct Group {
    int32_t expert;
    int64_t row0, n_rows;
    std::byte* memory;  // of the expert, while it is pinned
    bool is_prepared;
  };
  class Residents;

  void forward_batch(float* y, const float* x, const float* logits, int32_t n_tokens, CpuExperts& experts);
  void route(const float* logits, int32_t n_tokens, const CpuExperts& experts);
  /// Fills groups_ and rows_; experts in memory come first, so that none leaves it before its turn.
  void group_tokens(int32_t n_tokens, const CpuExperts& experts);
  /// Fills inputs_: each token is quantized once, for all experts that it chose.
  void gather(const float* x, int32_t n_tokens, const CpuExperts& experts);
  /// Rows of the hidden layer, then of the output, of groups whose experts are in memory.
  void multiply(std::span<const Group> groups, const CpuExperts& experts);
  void sum(float* y, int32_t n_tokens, const CpuExperts& experts);

  /// Rows of all choices in the forms that a product needs: f32 [n_choices, n_cols], and blocks that are
  /// [n_superblocks, n_rows] in each group.
  struct Rows {
    std::vector<float> values;
    std::vector<ActivationBlock> superblocks;
    std::vector<ActivationBlock32> blocks;

    MatmulInput of(const Group& group, int64_t n_cols) const;
  };

  const CpuKernelTable& kernels_;
  ThreadPool& pool_;
  const CpuMatmul& matmul_;
  ExpertCache cache_;

  // Of the batch at hand; kept from call to call. A choice is token * n_used + its rank.
  std::vector<int32_t> chosen_;           // experts, [n_tokens, n_used]
  std::vector<float> weights_;            // [n_tokens, n_used]
  std::vector<Group> groups_;             // of the experts that were chosen
  std::vector<int32_t> group_of_expert_;  // [n_expert]
  std::vector<int64_t> rows_;             // of each choice
  Rows inputs_, hidden_;                  // rows of n_embd, of n_ff
  std::vector<float> y_;                  // [n_choices, n_embd]
};

}  // namespace outpost
