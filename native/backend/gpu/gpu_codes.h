// Pages of the KV cache on a GPU in codes of 2 to 8 bit: where their blocks lie, and what a pass has to do about them.
// The kernels are those of kernels/portable/kv_codes.h.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend/gpu/gpu_memory.h"
#include "backend/kv_rotation.h"

namespace outpost {

/// Each form of a page is a block of its own, of the device's pool for allocations in the order of a stream: what is
/// given up serves the next block without waiting. Kernels find blocks by a table of addresses.
class GpuCodesStorage final : public KvStorage {
 public:
  /// @throws EngineError kModelUnsupported for layers in f16: all are in codes, or none (GpuKvStorage)
  GpuCodesStorage(const KvShape& shape, const KvFormat& format, int32_t n_page, SharedStream stream,
                  PlannedMemory& plan, std::function<void()> on_end);
  ~GpuCodesStorage() override;

  int32_t n_page() const override { return static_cast<int32_t>(pages_.size()); }
  size_t size_bytes() const override { return pages_.size() * form_bytes(KvForm::kPacked); }
  bool is_compressed() const override { return true; }
  size_t form_bytes(KvForm form) const override { return form_bytes_[static_cast<size_t>(form)]; }
  bool has(int32_t page, KvForm form) const override;
  void drop(int32_t page, KvForm form) override;
  bool copy_page(int32_t from, int32_t to) override;
  size_t allocated_bytes() const override { return allocated_bytes_; }
  bool read_form(int32_t page, KvForm form, std::span<std::byte> bytes) const override;
  bool write_form(int32_t page, KvForm form, std::span<const std::byte> bytes) override;

  // Of a pass, which holds the lock of the stream.
  /// Makes room for what a pass of these runs writes and packs, and packs the pages that are whole already. Waits for
  /// nothing, but nothing that was issued before may still copy from the host (GpuInputs::stage waits).
  /// @throws EngineError kOutOfMemory
  void begin_pass(std::span<const SequenceRun> runs);
  /// Packs a layer of the pages that this pass has written itself and reads packed already.
  void pack_written(int32_t il);
  /// The pass has failed: what it should have packed is not.
  void abandon_pass();

  gpu::CodesLayout layout(int32_t il) const { return layouts_[static_cast<size_t>(il)]; }
  gpu::CodesMemory memory() const { return {nullptr, forms_.as<int64_t>()}; }
  /// Of a layer. @pre begin_pass was called
  gpu::TurnMatrices turn(int32_t il) const;
  /// Whether some basis has a mean.
  bool has_means() const;
  int32_t n_groups() const { return rotations_.size() == 1 ? 1 : kv_group_count(shape_); }

 private:
  struct Page {
    void* blocks[gpu::kForms] = {};
    bool is_packed = false;
  };
  struct Rotation {
    KvRotation k, v;
  };

  static size_t index(KvForm form) { return static_cast<size_t>(form); }
  Page& at(int32_t page) { return pages_[static_cast<size_t>(page)]; }
  const Page& at(int32_t page) const { return pages_[static_cast<size_t>(page)]; }
  // Under the lock of the stream, as are begin_pass, pack_written and abandon_pass.
  void* make_block(int32_t page, KvForm form);
  void drop_block(int32_t page, KvForm form);
  void note(int32_t page, KvForm form);
  void upload_turns();
  void upload_forms();
  void pack(int32_t il, size_t first, size_t n);

  KvShape shape_;
  SharedStream stream_;
  PlannedMemory& plan_;
  std::function<void()> on_end_;
  std::vector<gpu::CodesLayout> layouts_;
  size_t form_bytes_[gpu::kForms] = {};
  std::vector<Rotation> rotations_;  ///< one, or [n_layer, n_groups]
  std::vector<Page> pages_;
  size_t allocated_bytes_ = 0;

  std::vector<int64_t> form_table_;  ///< [n_page, kForms] addresses in words
  size_t changed_begin_, changed_end_ = 0;
  DeviceBytes forms_, turns_, means_, list_;
  size_t turn_stride_ = 0, mean_stride_ = 0;  ///< numbers of a layer, 0 if all layers have the same
  PinnedBytes pinned_forms_, pinned_list_;
  std::vector<int32_t> packed_pages_;  ///< that this pass packs: the first n_whole_ before it begins
  size_t n_whole_ = 0;
};

}  // namespace outpost
