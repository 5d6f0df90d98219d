// Weights, KV pages and buffers in main memory.
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

/// f16 pages. A page holds for each layer and KV head the keys [head_dim_k, 64] and then the values
/// [64, head_dim_v_padded]: keys are transposed so that a lane is a position.
class CpuKvStorage final : public KvStorage {
 public:
  CpuKvStorage(const KvShape& shape, int32_t n_page)
      : shape_(shape),
        n_page_(n_page),
        head_dim_v_padded_((shape.head_dim_v + 15) / 16 * 16),
        memory_(static_cast<size_t>(n_page) * page_halfs() * sizeof(uint16_t), "the KV cache") {}

  int32_t n_page() const override { return n_page_; }
  size_t size_bytes() const override { return memory_.size(); }
  const KvShape& shape() const { return shape_; }
  int32_t head_dim_v_padded() const { return head_dim_v_padded_; }

  uint16_t* keys(int32_t page, int32_t il, int32_t head) const {
    const size_t slot = static_cast<size_t>(il) * static_cast<size_t>(shape_.n_head_kv) + static_cast<size_t>(head);
    return reinterpret_cast<uint16_t*>(memory_.data()) + static_cast<size_t>(page) * page_halfs() + slot * head_halfs();
  }
  uint16_t* values(int32_t page, int32_t il, int32_t head) const {
    return keys(page, il, head) + shape_.head_dim_k * kKvPageSize;
  }

 private:
  size_t head_halfs() const { return static_cast<size_t>(shape_.head_dim_k + head_dim_v_padded_) * kKvPageSize; }
  size_t page_halfs() const {
    return static_cast<size_t>(shape_.n_layer) * static_cast<size_t>(shape_.n_head_kv) * head_halfs();
  }

  KvShape shape_;
  int32_t n_page_;
  int32_t head_dim_v_padded_;
  AlignedBuffer memory_;
};

}  // namespace outpost
