// launch.h with CUDA.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstdlib>
#include <utility>

#include "kernels/launchers/device_answer.h"
#include "kernels/launchers/launch_types.h"
#include "kernels/runtime/runtime.h"

namespace outpost::gpu {

class Launch {
 public:
  /// @param n_shared_bytes of dynamic shared memory
  Launch(Stream stream, Grid grid, int32_t n_threads, size_t n_shared_bytes = 0) {
    config_.gridDim = dim3(grid.x, grid.y, grid.z);
    config_.blockDim = dim3(static_cast<uint32_t>(n_threads));
    config_.dynamicSmemBytes = n_shared_bytes;
    config_.stream = reinterpret_cast<cudaStream_t>(stream);
  }

  template <typename... Params, typename... Args>
  Error operator()(void (*kernel)(Params...), Args&&... args) const {
    return launch(config_, kernel, std::forward<Args>(args)...);
  }

 protected:
  template <typename... Params, typename... Args>
  static Error launch(const cudaLaunchConfig_t& config, void (*kernel)(Params...), Args&&... args) {
    cudaError_t error = cudaSuccess;
    if (config.dynamicSmemBytes > kOrdinarySharedBytes) {
      error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(config.dynamicSmemBytes));
    }
    if (error == cudaSuccess) error = cudaLaunchKernelEx(&config, kernel, Params(std::forward<Args>(args))...);
    if (error != cudaSuccess) (void)cudaGetLastError();  // so that no later call reports it once more
    return static_cast<Error>(error);
  }

  cudaLaunchConfig_t config_{};

 private:
  /// What a kernel may have without asking.
  static constexpr size_t kOrdinarySharedBytes = 48 * 1024;
};

/// On compute capability 9.0 and above the kernel starts while the launch before it still runs, and so hides its own
/// start and, in products, the first reads of weights. CUDA C++ programming guide, "Programmatic dependent launch".
/// Recordings keep it.
class OverlappedLaunch : public Launch {
 public:
  using Launch::Launch;

  template <typename... Params, typename... Args>
  Error operator()(void (*kernel)(Params...), Args&&... args) const {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = config_;
    // Code of an older architecture does not wait: its launches have to follow each other.
    if (waits(reinterpret_cast<const void*>(kernel))) {
      config.attrs = &attribute;
      config.numAttrs = 1;
    }
    return launch(config, kernel, std::forward<Args>(args)...);
  }

 private:
  /// On the current device. All kernels of the library are compiled for the same architectures.
  static bool waits(const void* kernel) {
    static DeviceAnswer answer;
    return answer.get([kernel] {
      // To tell what goes wrong by overlapping from what goes wrong in a kernel (docs/gpu.md).
      if (std::getenv("OUTPOST_GPU_IN_ORDER") != nullptr) return 0;
      cudaFuncAttributes attributes{};
      if (cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess) return attributes.ptxVersion >= 90 ? 1 : 0;
      (void)cudaGetLastError();
      return DeviceAnswer::kUnknown;
    }) > 0;
  }
};

}  // namespace outpost::gpu
