// A launch of a kernel that says allow_next() and wait_for_previous(): on compute capability 9.0 and above it starts
// while the launch before it still runs, and so hides its own start and, in products, the first reads of weights. CUDA
// C++ programming guide, "Programmatic dependent launch". Captured graphs keep it.
#pragma once

#include "kernels/cuda/launch.h"

#ifdef __CUDACC__

#include <array>
#include <atomic>

namespace outpost::gpu {

class OverlappedLaunch : public Launch {
 public:
  using Launch::Launch;

  template <typename... Params, typename... Args>
  cudaError_t operator()(void (*kernel)(Params...), Args&&... args) const {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = config_;
    // Code of an older architecture does not wait: its launches have to follow each other.
    if (waits(reinterpret_cast<const void*>(kernel))) {
      config.attrs = &attribute;
      config.numAttrs = 1;
    }
    return cudaLaunchKernelEx(&config, kernel, Params(std::forward<Args>(args))...);
  }

 private:
  /// On the current device: one model may be shared by several that differ. All kernels of the library are compiled for
  /// the same architectures.
  static bool waits(const void* kernel) {
    enum Answer : int8_t { kUnknown, kNo, kYes };
    static std::array<std::atomic<Answer>, 64> answers{};  // more devices than a driver shows
    int device = 0;
    if (cudaGetDevice(&device) != cudaSuccess || device >= static_cast<int>(answers.size())) return false;
    std::atomic<Answer>& answer = answers[static_cast<size_t>(device)];
    if (answer == kUnknown) {
      cudaFuncAttributes attributes{};
      const bool is_new = cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess && attributes.ptxVersion >= 90;
      answer = is_new ? kYes : kNo;
    }
    return answer == kYes;
  }
};

}  // namespace outpost::gpu

#else

namespace outpost::gpu {

/// Launches under the emulator follow each other.
using OverlappedLaunch = Launch;

}  // namespace outpost::gpu

#endif
