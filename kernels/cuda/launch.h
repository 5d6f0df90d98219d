// A launch of a kernel on a stream. Launchers are written with this alone, so that they also compile as C++, where the
// emulator runs what they launch (kernels/emulated_device).
#pragma once

#ifdef __CUDACC__

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

namespace outpost::gpu {

class Launch {
 public:
  /// @param n_shared_bytes of dynamic shared memory
  Launch(cudaStream_t stream, dim3 grid, int32_t n_threads, size_t n_shared_bytes = 0) {
    config_.gridDim = grid;
    config_.blockDim = dim3(static_cast<uint32_t>(n_threads));
    config_.dynamicSmemBytes = n_shared_bytes;
    config_.stream = stream;
  }

  template <typename... Params, typename... Args>
  cudaError_t operator()(void (*kernel)(Params...), Args&&... args) const {
    return cudaLaunchKernelEx(&config_, kernel, Params(std::forward<Args>(args))...);
  }

 protected:
  cudaLaunchConfig_t config_{};
};

}  // namespace outpost::gpu

#else
#include <emulated_launch.h>  // of kernels/emulated_device
#endif
