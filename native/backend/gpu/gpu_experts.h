// The experts of one layer on a GPU: all of them, or slots for some, while all are in pinned memory of the host as well
// and come over the bus when they are chosen. The kernels keep the tables of slots (kernels/portable/expert_slots.h):
// nothing here follows what they hold.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "backend/gpu/gpu_memory.h"

namespace outpost {

/// Which experts of a layer are in its slots. At first they are those with the lowest numbers.
class GpuSlotTable {
 public:
  /// @param counters of all layers, [kSlotCounters] on the device
  GpuSlotTable(int32_t n_expert, int32_t n_slots, int64_t* counters) : params_{n_expert, n_slots} {
    const auto expert_count = static_cast<size_t>(n_expert), slot_count = static_cast<size_t>(n_slots);
    const std::vector<int64_t> used_at(slot_count, 0);
    std::vector<int32_t> tables(expert_count + slot_count, -1);  // slot_of, expert_of
    for (int32_t i = 0; i < n_slots; ++i)
      tables[static_cast<size_t>(i)] = tables[expert_count + static_cast<size_t>(i)] = i;
    used_at_ = DeviceBytes(slot_count * sizeof(int64_t), "a table of experts");
    tables_ = DeviceBytes(tables.size() * sizeof(int32_t), "a table of experts");
    check_gpu(gpu::copy(used_at_.data(), used_at.data(), used_at_.size(), gpu::Copy::kToDevice),
              "copying a table of experts");
    check_gpu(gpu::copy(tables_.data(), tables.data(), tables_.size(), gpu::Copy::kToDevice),
              "copying a table of experts");
    wait_for_copies();
    table_ = {tables_.as<int32_t>(), tables_.as<int32_t>() + n_expert, used_at_.as<int64_t>(), counters};
  }

  /// All slots are empty from here on: they may lack what the tables say.
  void clear(gpu::Stream stream) {
    gpu::fill(stream, used_at_.data(), 0, used_at_.size());  // an error is that of the pass, which is reported
    gpu::fill(stream, tables_.data(), 0xff, tables_.size());
  }

  const gpu::SlotParams& params() const { return params_; }
  const gpu::SlotTable& table() const { return table_; }

 private:
  gpu::SlotParams params_;
  DeviceBytes used_at_, tables_;
  gpu::SlotTable table_{};
};

class GpuExperts final : public Experts {
 public:
  int32_t il = 0;
  RouterParams router;
  Gate gate_kind = Gate::kSwiGlu;
  std::unique_ptr<GpuMatrix> gate, up, down;                                 ///< n_rows counts those of all experts
  std::unique_ptr<GpuBuffer> gate_bias, up_bias, down_bias, selection_bias;  ///< or null; of all experts
  std::unique_ptr<GpuSlotTable> slots;                                       ///< null: all experts are on the device

  ExpertUsage usage() const override {
    return {il, std::vector<uint64_t>(static_cast<size_t>(router.n_expert), 0)};  // not counted on the device
  }
};

/// One pass through a layer of experts.
struct GpuExpertPass {
  const GpuExperts& layer;
  const int32_t* choices;
  gpu::ExpertLists lists;
  gpu::ArrangedChoices rows = {};  ///< of many tokens, for products on matrix units
  const float* halved = nullptr;   ///< whose image of these rows is there
  gpu::SlotPlan plan = {};         ///< unused where all experts are on the device
  int32_t n_rounds = 1;
  /// Whether the slots hold all chosen experts: with a single round they are copied before anything is multiplied.
  bool are_copied() const { return layer.slots == nullptr || n_rounds == 1; }
  /// Whether the products with this matrix take the rows.
  bool is_halved(const GpuMatrix& matrix) const {
    return rows.n_rows > 0 && gpu::can_gemm(matrix.type(), matrix.n_cols());
  }
};

}  // namespace outpost
