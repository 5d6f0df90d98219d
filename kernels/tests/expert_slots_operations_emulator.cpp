// The kernels for experts that are not all on the device, under the SIMT emulator.
#ifndef OUTPOST_ON_GPU

#include <algorithm>

#include "kernels/tests/expert_slots_operations.h"

namespace outpost::test {

using namespace gpu;
using emulator::launch;

namespace {

template <typename T>
DevicePtr<T> as(DeviceArray<std::byte>& bytes) {
  return {bytes.pointer().region(), 0};
}

}  // namespace

void run_resolve_experts(DeviceLists& lists, DeviceSlots& s, Schedule schedule) {
  launch({{1}, kResolveThreads, schedule, 1}, [&] {
    resolve_experts(lists.tiles, lists.n_tiles, s.slot_of, s.expert_of, s.used_at, s.counters, s.places, s.copies,
                    s.n_copies, s.params);
  });
}

void run_copy_experts(const std::vector<DeviceExpertCopy>& copies, DeviceSlots& slots, int32_t n_choices,
                      int32_t round) {
  CopyExpertsParams params{slots.params.n_slots, round, {}};
  DevicePtr<const uint32_t> from[kCopyMatrices];
  DevicePtr<uint32_t> to[kCopyMatrices];
  for (size_t i = 0; i < copies.size(); ++i) {
    from[i] = as<const uint32_t>(copies[i].from);
    to[i] = as<uint32_t>(copies[i].to);
    params.n_words[i] = copies[i].n_bytes / 16;
  }
  const int32_t n_most = std::min(n_choices, slots.params.n_slots);
  launch({{kCopyBlocks, n_most, static_cast<int32_t>(copies.size())}, kCopyThreads, Schedule::kRandom, 3},
         [&] { copy_experts(from[0], from[1], from[2], slots.copies, slots.n_copies, to[0], to[1], to[2], params); });
}

}  // namespace outpost::test

#endif
