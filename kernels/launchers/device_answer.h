// What CUDA is asked about a device once: launchers ask for it each time.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <atomic>
#include <cstdint>

namespace outpost::gpu {

/// Of each device of its own: one model may be shared by several that differ. For any threads.
class DeviceAnswer {
 public:
  /// @param ask returns the answer for the current device, 0 or more
  template <typename Ask>
  int32_t get(const Ask& ask) {
    int device = 0;
    if (cudaGetDevice(&device) != cudaSuccess || device >= static_cast<int>(answers_.size())) return ask();
    std::atomic<int32_t>& answer = answers_[static_cast<size_t>(device)];
    if (answer == 0) answer = ask() + 1;
    return answer - 1;
  }

 private:
  std::array<std::atomic<int32_t>, 64> answers_{};  // one more than the answer; of more devices than a driver shows
};

}  // namespace outpost::gpu
