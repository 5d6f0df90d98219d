// The kernels for experts that are not all on the device, on a real one. What is copied lies in memory of the host.
#ifdef OUTPOST_ON_GPU

#include "kernels/launchers/launchers.h"
#include "kernels/tests/expert_slots_operations.h"

namespace outpost::test {

using namespace gpu;
using cuda::check_launch;

namespace {

constexpr Stream kStream = nullptr;

SlotPlan plan_of(DeviceSlots& slots) { return {slots.places, slots.copies, slots.n_copies}; }

/// Of an array on the device, for the device to read.
class PinnedCopy {
 public:
  explicit PinnedCopy(DeviceArray<std::byte>& array) {
    const std::vector<std::byte> values = array.values();
    cuda::check(allocate_pinned(data_, values.size()), "allocating pinned memory");
    std::memcpy(data_, values.data(), values.size());
  }
  ~PinnedCopy() { release_pinned(data_); }
  PinnedCopy(const PinnedCopy&) = delete;
  PinnedCopy& operator=(const PinnedCopy&) = delete;

  const void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

}  // namespace

void run_resolve_experts(DeviceLists& lists, DeviceSlots& slots, Schedule) {
  const ExpertLists all{lists.order, lists.tiles, lists.n_tiles, lists.n_choices, lists.n_expert};
  const SlotTable table{slots.slot_of, slots.expert_of, slots.used_at, slots.counters};
  check_launch(launch_resolve_experts(kStream, all, table, plan_of(slots), slots.params), "resolve_experts");
}

void run_copy_experts(const std::vector<DeviceExpertCopy>& copies, DeviceSlots& slots, int32_t n_choices,
                      int32_t round) {
  for (const DeviceExpertCopy& copy : copies) {
    const PinnedCopy from(copy.from);
    const ExpertCopy one{from.data(), copy.to.pointer(), copy.n_bytes};
    check_launch(launch_copy_experts(kStream, &one, 1, plan_of(slots), n_choices, slots.params.n_slots, round),
                 "copy_experts");
  }
}

}  // namespace outpost::test

#endif
