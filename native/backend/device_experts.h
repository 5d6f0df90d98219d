// How many experts of a layer a device holds when not all of a model's have room there.
#pragma once

#include <algorithm>
#include <cstdint>

namespace outpost {

/// Of the layers that one device computes.
struct DeviceExperts {
  uint64_t budget_bytes = UINT64_MAX;  ///< most memory for them
  uint64_t total_bytes = 0;            ///< of all experts, as they lie on the device

  /// Slots of a layer: its share of the budget, as many as a token uses at least, n_expert if all are resident.
  int32_t slots_of(int32_t n_expert, int32_t n_used) const {
    if (budget_bytes >= total_bytes) return n_expert;
    const double share = static_cast<double>(budget_bytes) / static_cast<double>(total_bytes);
    return std::clamp(static_cast<int32_t>(share * n_expert), std::min(n_used, n_expert), n_expert);
  }
};

}  // namespace outpost
