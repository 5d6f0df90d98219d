// Pages of the KV cache in main memory. Each form of a page is a block of its own that comes with the first write and
// goes with `drop`, so that a page costs what is kept of it.
//
// A block holds for each layer and KV head its keys, then its values:
//   f16             keys [head_dim_k, 64] transposed, so that a lane is a position; values [64, head_dim_v padded to
//   16] 8 bit and less  codes (kv_codec.h), and a scale for each of the 64 positions: one byte each sinks           f16
//   with 16 positions in place of 64
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/kv_rotation.h"
#include "core/aligned_buffer.h"

namespace outpost {

/// Where keys and values of one layer lie in a block of one form.
struct KvLayout {
  KvBits bits;
  size_t offset = 0;    ///< of the first head's keys
  size_t stride = 0;    ///< distance of two heads
  size_t v_offset = 0;  ///< of a head's values behind its keys
};

class CpuKvStorage final : public KvStorage {
 public:
  CpuKvStorage(const KvShape& shape, const KvFormat& format, int32_t n_page);

  int32_t n_page() const override { return static_cast<int32_t>(pages_.size()); }
  size_t size_bytes() const override;
  bool is_compressed() const override { return !is_exact_; }
  size_t form_bytes(KvForm form) const override { return forms_[static_cast<size_t>(form)].bytes; }
  bool has(int32_t page, KvForm form) const override;
  void drop(int32_t page, KvForm form) override;
  bool copy_page(int32_t from, int32_t to) override;
  size_t allocated_bytes() const override { return allocated_bytes_; }
  bool read_form(int32_t page, KvForm form, std::span<std::byte> bytes) const override;
  bool write_form(int32_t page, KvForm form, std::span<const std::byte> bytes) override;

  const KvShape& shape() const { return shape_; }
  int32_t head_dim_v_padded() const { return (shape_.head_dim_v + 15) / 16 * 16; }
  const KvLayout& layout(KvForm form, int32_t il) const {
    return forms_[static_cast<size_t>(form)].layers[static_cast<size_t>(il)];
  }
  /// Null if nothing was written to it.
  std::byte* block(int32_t page, KvForm form) const { return at(page).blocks[static_cast<size_t>(form)].data(); }
  /// @throws EngineError kOutOfMemory
  std::byte* make_block(int32_t page, KvForm form);

  /// How many layers of the page are packed: 0 to n_layer, in order.
  int32_t n_packed(int32_t page) const { return at(page).n_packed; }
  void set_packed(int32_t page, int32_t n_layers) { pages_[static_cast<size_t>(page)].n_packed = n_layers; }

  /// Null without compression.
  const KvRotation* k_rotation(int32_t il, int32_t head) const { return rotation(k_rotations_, il, head); }
  const KvRotation* v_rotation(int32_t il, int32_t head) const { return rotation(v_rotations_, il, head); }

  bool is_rounded_to_q4_0() const { return is_rounded_to_q4_0_; }
  KvStatistics* statistics() const { return statistics_; }

 private:
  struct Form {
    std::vector<KvLayout> layers;
    size_t bytes = 0;  ///< of a block; 0: there is none
  };
  struct Page {
    AlignedBuffer blocks[3];
    int32_t n_packed = 0;
  };

  const Page& at(int32_t page) const { return pages_[static_cast<size_t>(page)]; }
  Form lay_out(KvForm form, const KvFormat& format) const;
  const KvRotation* rotation(const std::vector<KvRotation>& rotations, int32_t il, int32_t head) const {
    if (is_exact_) return nullptr;
    if (rotations.size() == 1) return rotations.data();
    return &rotations[static_cast<size_t>(il * kv_group_count(shape_) + kv_group_of(shape_, head))];
  }

  KvShape shape_;
  bool is_exact_;
  bool is_rounded_to_q4_0_;
  KvStatistics* statistics_;
  Form forms_[3];
  std::vector<KvRotation> k_rotations_, v_rotations_;  // one, or [n_layer, kv_group_count]
  std::vector<Page> pages_;
  size_t allocated_bytes_ = 0;
};

}  // namespace outpost
