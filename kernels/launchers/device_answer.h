// What a platform is asked about a device once: launchers ask for it each time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "kernels/runtime/runtime.h"

namespace outpost::gpu {

/// Of each device of its own: one model may be shared by several that differ. For any threads.
class DeviceAnswer {
 public:
  static constexpr int32_t kUnknown = -1;

  /// @param ask returns the answer for the current device, 0 or more; less if it cannot be found out now: what it
  /// returned is handed on then, and the next time it is asked again
  template <typename Ask>
  int32_t get(const Ask& ask) {
    int32_t device = 0;
    if (current_device(device) != Error::kNone || device >= static_cast<int32_t>(answers_.size())) return ask();
    std::atomic<int32_t>& known = answers_[static_cast<size_t>(device)];
    if (known > 0) return known - 1;
    const int32_t answer = ask();
    if (answer >= 0) known = answer + 1;
    return answer;
  }

 private:
  std::array<std::atomic<int32_t>, 64> answers_{};  // one more than the answer; of more devices than a driver shows
};

}  // namespace outpost::gpu
