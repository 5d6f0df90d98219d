// The experts of one layer on the CPU: where they lie in the mapped file, how one is laid out when it is prepared for
// the kernels, and how often each was used.
#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/expert_cache.h"
#include "backend/cpu/expert_router.h"
#include "backend/cpu/packed_tiles.h"

namespace outpost {

/// One of the three matrices that each expert has.
struct ExpertMatrix {
  TensorType type;
  int64_t n_rows, n_cols;     ///< of one expert
  const std::byte* file;      ///< the first expert's, in file layout
  size_t expert_stride;       ///< bytes from one expert to the next in the file
  size_t tile_bytes;          ///< of a packed tile
  size_t offset;              ///< in the memory of a prepared expert
  std::vector<float> biases;  ///< [n_expert, n_rows] or empty

  int64_t n_tiles() const { return (n_rows + kTileRows - 1) / kTileRows; }
  int rows_of_tile(int64_t i_tile) const {
    return static_cast<int>(std::min<int64_t>(kTileRows, n_rows - i_tile * kTileRows));
  }
  size_t file_bytes() const;  ///< of one expert
  const std::byte* tile(const std::byte* prepared, int64_t i_tile) const {
    return prepared + offset + static_cast<size_t>(i_tile) * tile_bytes;
  }
  /// The expert's biases from a tile's first row on; or null.
  const float* bias(int32_t expert, int64_t i_tile) const {
    return biases.empty() ? nullptr : biases.data() + expert * n_rows + i_tile * kTileRows;
  }
};

class CpuExperts final : public Experts {
 public:
  /// @pre the CPU backend can multiply by the views' types
  /// @throws EngineError kModelInvalid
  CpuExperts(const ExpertViews& views, const RouterParams& router, Gate gate_kind, ExpertRouter::Exp exp,
             ExpertCache& cache);
  ~CpuExperts() override { cache_.remove_layer(layer_); }

  ExpertUsage usage() const override;
  void count_tokens(int32_t expert, int64_t n) { n_tokens_[static_cast<size_t>(expert)] += static_cast<uint64_t>(n); }

  const ExpertRouter& router() const { return router_; }
  Gate gate_kind() const { return gate_kind_; }
  const ExpertMatrix& gate() const { return gate_; }
  const ExpertMatrix& up() const { return up_; }
  const ExpertMatrix& down() const { return down_; }
  size_t layer() const { return layer_; }  ///< in the cache

  /// Tiles of one expert, those of all three matrices.
  int64_t n_tiles() const { return gate_.n_tiles() + up_.n_tiles() + down_.n_tiles(); }
  /// Packs one of them from the file into an expert's memory.
  void prepare_tile(int32_t expert, int64_t i_tile, std::byte* prepared) const;
  /// Asks the system to read what `prepare_tile` will read.
  void prefetch(int32_t expert) const;

 private:
  int32_t il_;
  ExpertRouter router_;
  Gate gate_kind_;
  ExpertMatrix gate_, up_, down_;
  ExpertCache& cache_;
  size_t layer_;
  std::vector<std::atomic<uint64_t>> n_tokens_;  // read on any thread
};

}  // namespace outpost
