#include "kernels/cuda/device_units.h"

#include "kernels/cuda/wgmma.h"
#include "kernels/launchers/device_answer.h"
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

int32_t ask_for_wgmma() {
  cudaFuncAttributes attributes{};
  if (cudaFuncGetAttributes(&attributes, wgmma_mark) != cudaSuccess) {
    (void)cudaGetLastError();  // so that no later call reports it once more
    return 0;
  }
  return attributes.sharedSizeBytes > 0 ? 1 : 0;
}

int32_t ask_for_multiprocessors() {
  int device = 0, n = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, device) != cudaSuccess) {
    (void)cudaGetLastError();
    return 1;
  }
  return n;
}

}  // namespace

bool has_wgmma() {
  static DeviceAnswer answer;
  return answer.get(ask_for_wgmma) != 0;
}

int32_t n_multiprocessors() {
  static DeviceAnswer answer;
  return answer.get(ask_for_multiprocessors);
}

}  // namespace outpost::gpu
