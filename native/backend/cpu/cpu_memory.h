// Weights and buffers in main memory.
#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/packed_tiles.h"
#include "core/aligned_buffer.h"

namespace outpost {

class CpuBuffer final : public Buffer {
 public:
  explicit CpuBuffer(size_t n) : memory_(n * sizeof(float), "activations") {
    span_ = {reinterpret_cast<float*>(memory_.data()), n};
  }

 private:
  AlignedBuffer memory_;
};

class CpuHostBuffer final : public HostBuffer {
 public:
  explicit CpuHostBuffer(size_t n) : memory_(n) { span_ = memory_; }

 private:
  std::vector<float> memory_;
};

/// A matrix as packed tiles of 16 rows.
class CpuWeight final : public Weight {
 public:
  CpuWeight(TensorType type, int64_t n_rows, int64_t n_cols)
      : type_(type),
        n_rows_(n_rows),
        n_cols_(n_cols),
        tile_bytes_(outpost::tile_bytes(type, n_cols)),
        memory_(static_cast<size_t>(n_tiles()) * tile_bytes_, "a weight matrix") {}

  TensorType type() const { return type_; }
  int64_t n_rows() const override { return n_rows_; }
  int64_t n_cols() const override { return n_cols_; }
  size_t size_bytes() const override { return memory_.size(); }
  size_t tile_bytes() const { return tile_bytes_; }
  int64_t n_tiles() const { return (n_rows_ + kTileRows - 1) / kTileRows; }
  std::byte* tile(int64_t i) const { return memory_.data() + static_cast<size_t>(i) * tile_bytes_; }

 private:
  TensorType type_;
  int64_t n_rows_, n_cols_;
  size_t tile_bytes_;
  AlignedBuffer memory_;
};

/// A matrix for each head: their rows need not fill tiles.
class CpuHeads final : public HeadWeights {
 public:
  explicit CpuHeads(std::vector<std::unique_ptr<CpuWeight>> matrices) : matrices_(std::move(matrices)) {}

  int64_t n_head() const { return static_cast<int64_t>(matrices_.size()); }
  const CpuWeight& matrix(int64_t head) const { return *matrices_[static_cast<size_t>(head)]; }
  size_t size_bytes() const override {
    size_t n_bytes = 0;
    for (const auto& matrix : matrices_) n_bytes += matrix->size_bytes();
    return n_bytes;
  }

 private:
  std::vector<std::unique_ptr<CpuWeight>> matrices_;
};

}  // namespace outpost
