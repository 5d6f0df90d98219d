// Weights and buffers in main memory.
#pragma once

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

/// A matrix as tiles of 16 rows: packed ones in memory of its own, or the file's.
class CpuWeight final : public Weight {
 public:
  explicit CpuWeight(const WeightView& view)
      : type_(view.type),
        n_rows_(view.n_rows),
        n_cols_(view.n_cols),
        tile_bytes_(outpost::tile_bytes(type_, n_cols_)),
        size_bytes_(view.bytes.size()),
        tiles_(view.bytes.data()) {
    if (view.stays && is_in_file_order(type_)) return;
    size_bytes_ = static_cast<size_t>(n_tiles()) * tile_bytes_;
    memory_ = AlignedBuffer(size_bytes_, "a weight matrix");
    tiles_ = memory_.data();
  }

  TensorType type() const { return type_; }
  int64_t n_rows() const override { return n_rows_; }
  int64_t n_cols() const override { return n_cols_; }
  size_t size_bytes() const override { return size_bytes_; }
  bool is_in_place() const override { return tiles_ != memory_.data(); }
  size_t tile_bytes() const { return tile_bytes_; }
  int64_t n_tiles() const { return (n_rows_ + kTileRows - 1) / kTileRows; }
  /// The last one may lack rows if it is in the file.
  const std::byte* tile(int64_t i) const { return tiles_ + static_cast<size_t>(i) * tile_bytes_; }
  /// @pre !is_in_place()
  std::byte* memory_of_tile(int64_t i) { return memory_.data() + static_cast<size_t>(i) * tile_bytes_; }

 private:
  TensorType type_;
  int64_t n_rows_, n_cols_;
  size_t tile_bytes_, size_bytes_;
  const std::byte* tiles_;
  AlignedBuffer memory_;
};

}  // namespace outpost
