#include "backend/cpu/cpu_expert_ffn.h"

#include <algorithm>

namespace outpost {
namespace {

// Tokens that are computed together at most: bounds the memory of a batch's rows, of which each token has n_used. An
// expert has more than kMaxTileTokens of them by then, so that more would not save work.
constexpr int32_t kMaxTokens = 512;

int64_t items_of(const ExpertMatrix& matrix) { return (matrix.n_tiles() + kTilesPerItem - 1) / kTilesPerItem; }
TileRange tiles_of(const ExpertMatrix& matrix, const std::byte* memory, int64_t i_tile) {
  return {matrix.type, matrix.tile(memory, i_tile), matrix.tile_bytes,
          std::min(kTilesPerItem * kTileRows, matrix.n_rows - i_tile * kTileRows)};
}
int64_t superblocks_of(int64_t n_cols) { return (n_cols + 255) / 256; }

template <typename T>
void grow(std::vector<T>& v, int64_t n) {
  if (v.size() < static_cast<size_t>(n)) v.resize(static_cast<size_t>(n));
}

}  // namespace

/// Experts that are in memory together, until this goes.
class CpuExpertFfn::Residents {
 public:
  Residents(ExpertCache& cache, const CpuExperts& experts) : cache_(cache), experts_(experts) {}
  ~Residents() {
    for (const Group& group : groups_) cache_.unpin(experts_.layer(), group.expert, group.is_prepared);
  }
  Residents(const Residents&) = delete;
  Residents& operator=(const Residents&) = delete;

  /// Takes in as many from the front as fit: one at least.
  /// @throws EngineError kOutOfMemory
  std::span<const Group> load(std::span<Group> groups, ThreadPool& pool) {
    for (Group& group : groups) {
      const auto lease = cache_.pin(experts_.layer(), group.expert);
      if (!lease.has_value()) break;
      group.memory = lease->data;
      group.is_prepared = !lease->is_new;
      groups_ = groups.first(groups_.size() + 1);
    }
    std::vector<Group*> missing;
    for (Group& group : groups_) {
      if (!group.is_prepared) missing.push_back(&group);
    }
    for (const Group* group : missing) experts_.prefetch(group->expert);
    const int64_t n_tiles = experts_.n_tiles();
    pool.run(static_cast<int64_t>(missing.size()) * n_tiles, [&](int64_t item) {
      const Group& group = *missing[static_cast<size_t>(item / n_tiles)];
      experts_.prepare_tile(group.expert, item % n_tiles, group.memory);
    });
    for (Group* group : missing) group->is_prepared = true;
    return groups_;
  }

 private:
  ExpertCache& cache_;
  const CpuExperts& experts_;
  std::span<Group> groups_;
};

std::unique_ptr<CpuExperts> CpuExpertFfn::load(const ExpertViews& views, const RouterParams& router, Gate gate) {
  auto experts = std::make_unique<CpuExperts>(views, router, gate, kernels_.exp, cache_);
  std::vector<std::byte*> memory;
  while (memory.size() < static_cast<size_t>(router.n_expert)) {
    std::byte* place = cache_.preload(experts->layer(), static_cast<int32_t>(memory.size()));
    if (place == nullptr) break;
    memory.push_back(place);
  }
  const int64_t n_tiles = experts->n_tiles();
  pool_.run(static_cast<int64_t>(memory.size()) * n_tiles, [&](int64_t item) {
    const int64_t expert = item / n_tiles;
    experts->prepare_tile(static_cast<int32_t>(expert), item % n_tiles, memory[static_cast<size_t>(expert)]);
  });
  return experts;
}

void CpuExpertFfn::forward(float* y, const float* x, const float* logits, int32_t n_tokens, CpuExperts& experts) {
  const int64_t n_embd = experts.gate().n_cols, n_expert = experts.router().params().n_expert;
  for (int32_t t = 0; t < n_tokens; t += kMaxTokens) {
    const int32_t n = std::min(kMaxTokens, n_tokens - t);
    forward_batch(y + t * n_embd, x + t * n_embd, logits + t * n_expert, n, experts);
  }
}

void CpuExpertFfn::forward_batch(float* y, const float* x, const float* logits, int32_t n_tokens, CpuExperts& experts) {
  route(logits, n_tokens, experts);
  group_tokens(n_tokens, experts);
  std::vector<int32_t> used;
  for (const Group& group : groups_) {
    used.push_back(group.expert);
    experts.count_tokens(group.expert, group.n_rows);
  }
  cache_.begin_pass(experts.layer(), used);
  gather(x, n_tokens, experts);
  for (std::span<Group> rest = groups_; !rest.empty();) {
    Residents residents(cache_, experts);
    const std::span<const Group> groups = residents.load(rest, pool_);
    multiply(groups, experts);
    rest = rest.subspan(groups.size());
  }
  sum(y, n_tokens, experts);
}

void CpuExpertFfn::route(const float* logits, int32_t n_tokens, const CpuExperts& experts) {
  const RouterParams& params = experts.router().params();
  grow(chosen_, int64_t{n_tokens} * params.n_used);
  grow(weights_, int64_t{n_tokens} * params.n_used);
  pool_.run(n_tokens, [&](int64_t t) {
    experts.router().route(logits + t * params.n_expert, chosen_.data() + t * params.n_used,
                           weights_.data() + t * params.n_used);
  });
}

void CpuExpertFfn::group_tokens(int32_t n_tokens, const CpuExperts& experts) {
  const RouterParams& params = experts.router().params();
  const auto n_choices = static_cast<size_t>(n_tokens) * static_cast<size_t>(params.n_used);
  std::vector<int64_t> n_rows(static_cast<size_t>(params.n_expert));
  for (size_t i = 0; i < n_choices; ++i) ++n_rows[static_cast<size_t>(chosen_[i])];
  groups_.clear();
  for (int32_t expert = 0; expert < params.n_expert; ++expert) {
    if (n_rows[static_cast<size_t>(expert)] > 0)
      groups_.push_back({expert, 0, n_rows[static_cast<size_t>(expert)], nullptr, false});
  }
  std::stable_partition(groups_.begin(), groups_.end(),
                        [&](const Group& group) { return cache_.is_resident(experts.layer(), group.expert); });
  group_of_expert_.resize(static_cast<size_t>(params.n_expert));
  int64_t row0 = 0;
  std::vector<int64_t>& next_row = n_rows;
  for (size_t i = 0; i < groups_.size(); ++i) {
    groups_[i].row0 = row0;
    row0 += groups_[i].n_rows;
    group_of_expert_[static_cast<size_t>(groups_[i].expert)] = static_cast<int32_t>(i);
    next_row[static_cast<size_t>(groups_[i].expert)] = groups_[i].row0;
  }
  grow(rows_, static_cast<int64_t>(n_choices));
  for (size_t i = 0; i < n_choices; ++i) rows_[i] = next_row[static_cast<size_t>(chosen_[i])]++;
}

void CpuExpertFfn::gather(const float* x, int32_t n_tokens, const CpuExperts& experts) {
  const int64_t n_embd = experts.gate().n_cols, n_blocks = superblocks_of(n_embd);
  const int64_t n_used = experts.router().params().n_used;
  const auto needs = [&](MatmulInputKind kind) {
    return matmul_input_kind(experts.gate().type) == kind || matmul_input_kind(experts.up().type) == kind;
  };
  /// Quantizes a token where its first choice needs it and copies it from there.
  const auto place_blocks = [&](auto& blocks, const auto& quantize, int64_t t) {
    const auto* first = blocks.data();
    int64_t first_stride = 0;
    for (int64_t choice = t * n_used; choice < (t + 1) * n_used; ++choice) {
      const auto expert = static_cast<size_t>(chosen_[static_cast<size_t>(choice)]);
      const Group& group = groups_[static_cast<size_t>(group_of_expert_[expert])];
      auto* place = blocks.data() + group.row0 * n_blocks + (rows_[static_cast<size_t>(choice)] - group.row0);
      if (choice == t * n_used) {
        quantize(x + t * n_embd, n_embd, place, group.n_rows);
        first = place;
        first_stride = group.n_rows;
      } else {
        for (int64_t i = 0; i < n_blocks; ++i) place[i * group.n_rows] = first[i * first_stride];
      }
    }
  };
  if (needs(MatmulInputKind::kF32)) {
    grow(inputs_.values, n_tokens * n_used * n_embd);
    pool_.run(n_tokens, [&](int64_t t) {
      for (int64_t choice = t * n_used; choice < (t + 1) * n_used; ++choice)
        std::copy_n(x + t * n_embd, n_embd, inputs_.values.data() + rows_[static_cast<size_t>(choice)] * n_embd);
    });
  }
  if (needs(MatmulInputKind::kSuperblocks)) {
    grow(inputs_.superblocks, n_tokens * n_used * n_blocks + kSpareBlocks);
    pool_.run(n_tokens, [&](int64_t t) { place_blocks(inputs_.superblocks, kernels_.quantize, t); });
  }
  if (needs(MatmulInputKind::kBlocks)) {
    grow(inputs_.blocks, n_tokens * n_used * n_blocks + kSpareBlocks);
    pool_.run(n_tokens, [&](int64_t t) { place_blocks(inputs_.blocks, kernels_.quantize32, t); });
  }
}

MatmulInput CpuExpertFfn::Rows::of(const Group& group, int64_t n_cols) const {
  const int64_t block0 = group.row0 * superblocks_of(n_cols);
  // What no product needs was not made.
  const auto from = [](const auto& made, int64_t first) { return made.empty() ? nullptr : made.data() + first; };
  return {
      from(values, group.row0 * n_cols), n_cols, from(superblocks, block0), from(blocks, block0), n_cols, group.n_rows};
}

void CpuExpertFfn::multiply(std::span<const Group> groups, const CpuExperts& experts) {
  const ExpertMatrix &gate = experts.gate(), &up = experts.up(), &down = experts.down();
  const int64_t n_embd = gate.n_cols, n_ff = gate.n_rows, n_blocks = superblocks_of(n_ff);
  const int64_t row_end = groups.back().row0 + groups.back().n_rows;
  const auto n_groups = static_cast<int64_t>(groups.size());
  grow(hidden_.values, row_end * n_ff);
  grow(y_, row_end * n_embd);

  const int64_t n_gate_items = items_of(gate);
  pool_.run(n_groups * n_gate_items, [&](int64_t item) {
    const Group& group = groups[static_cast<size_t>(item / n_gate_items)];
    const MatmulInput input = inputs_.of(group, n_embd);
    float* y = hidden_.values.data() + group.row0 * n_ff;
    const int64_t i_tile = item % n_gate_items * kTilesPerItem;
    y += i_tile * kTileRows;
    matmul_.multiply_tiles(tiles_of(gate, group.memory, i_tile), input, gate.bias(group.expert, i_tile), y, n_ff);
    matmul_.gate_with_tiles(tiles_of(up, group.memory, i_tile), input, up.bias(group.expert, i_tile),
                            experts.gate_kind(), y, n_ff);
  });

  const auto quantize_hidden = [&](auto& blocks, const auto& quantize) {
    grow(blocks, row_end * n_blocks + kSpareBlocks);
    pool_.run(n_groups, [&](int64_t i) {
      const Group& group = groups[static_cast<size_t>(i)];
      for (int64_t r = 0; r < group.n_rows; ++r) {
        quantize(hidden_.values.data() + (group.row0 + r) * n_ff, n_ff, blocks.data() + group.row0 * n_blocks + r,
                 group.n_rows);
      }
    });
  };
  const MatmulInputKind down_input = matmul_input_kind(down.type);
  if (down_input == MatmulInputKind::kSuperblocks) quantize_hidden(hidden_.superblocks, kernels_.quantize);
  if (down_input == MatmulInputKind::kBlocks) quantize_hidden(hidden_.blocks, kernels_.quantize32);

  const int64_t n_down_items = items_of(down);
  pool_.run(n_groups * n_down_items, [&](int64_t item) {
    const Group& group = groups[static_cast<size_t>(item / n_down_items)];
    const MatmulInput input = hidden_.of(group, n_ff);
    float* y = y_.data() + group.row0 * n_embd;
    const int64_t i_tile = item % n_down_items * kTilesPerItem;
    matmul_.multiply_tiles(tiles_of(down, group.memory, i_tile), input, down.bias(group.expert, i_tile),
                           y + i_tile * kTileRows, n_embd);
  });
}

void CpuExpertFfn::sum(float* y, int32_t n_tokens, const CpuExperts& experts) {
  const int64_t n_embd = experts.gate().n_cols, n_used = experts.router().params().n_used;
  pool_.run(n_tokens, [&](int64_t t) {
    float* out = y + t * n_embd;
    std::fill_n(out, n_embd, 0.0f);
    for (int64_t choice = t * n_used; choice < (t + 1) * n_used; ++choice) {
      const float weight = weights_[static_cast<size_t>(choice)];
      const float* row = y_.data() + rows_[static_cast<size_t>(choice)] * n_embd;
      for (int64_t i = 0; i < n_embd; ++i) out[i] += weight * row[i];
    }
  });
}

}  // namespace outpost
