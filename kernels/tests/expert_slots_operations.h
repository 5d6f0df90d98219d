// The kernels for experts that are not all on the device, as the tests run them; see operations.h.
#pragma once

#include "kernels/portable/expert_slots.h"
#include "kernels/tests/operations.h"

namespace outpost::test {

/// What a layer keeps from pass to pass, with all slots empty, and what the last pass has decided.
struct DeviceSlots {
  gpu::SlotParams params;
  DeviceArray<int32_t> slot_of, expert_of;
  DeviceArray<int64_t> used_at, counters;
  DeviceArray<int32_t> places, copies, n_copies;

  DeviceSlots(int32_t n_expert, int32_t n_slots)
      : params{n_expert, n_slots},
        slot_of("slot_of", std::vector<int32_t>(static_cast<size_t>(n_expert), -1), RegionKind::kValues),
        expert_of("expert_of", std::vector<int32_t>(static_cast<size_t>(n_slots), -1), RegionKind::kValues),
        used_at("used_at", std::vector<int64_t>(static_cast<size_t>(n_slots), 0), RegionKind::kValues),
        counters("counters", std::vector<int64_t>(gpu::kSlotCounters, 0), RegionKind::kValues),
        places("places", static_cast<size_t>(2 * n_expert)),
        copies("copies", static_cast<size_t>(2 * n_expert)),
        n_copies("n_copies", 2) {}
};

/// A matrix of all experts and its slots.
struct DeviceExpertCopy {
  DeviceArray<std::byte>&from, &to;
  int64_t n_bytes;  ///< of one expert
};

void run_resolve_experts(DeviceLists& lists, DeviceSlots& slots, Schedule schedule = Schedule::kInOrder);
/// @param n_choices of the pass
void run_copy_experts(const std::vector<DeviceExpertCopy>& copies, DeviceSlots& slots, int32_t n_choices,
                      int32_t round);

}  // namespace outpost::test
