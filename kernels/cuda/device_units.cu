#include "kernels/cuda/device_units.h"

#include <cuda_runtime.h>

#include "kernels/cuda/wgmma.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {
namespace {

/// Says by its shared memory what it was compiled for: code for another architecture may run on the same device.
static __global__ void wgmma_mark() {
#ifdef OUTPOST_HAS_WGMMA
  __shared__ volatile int32_t mark;
  mark = 1;
#endif
}

}  // namespace

bool has_wgmma() {
  cudaFuncAttributes attributes{};
  if (cudaFuncGetAttributes(&attributes, wgmma_mark) != cudaSuccess) {
    (void)cudaGetLastError();  // so that no later call reports it once more
    return false;
  }
  return attributes.sharedSizeBytes > 0;
}

int32_t n_multiprocessors() {
  int device = 0, n = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, device) != cudaSuccess) {
    (void)cudaGetLastError();
    return 1;
  }
  return n;
}

}  // namespace outpost::gpu
