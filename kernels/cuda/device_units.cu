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

/// What the runtime knows of the mark; kNothing if the device has no code of it.
constexpr int32_t kNothing = 0, kOther = 1, kWgmma = 2;
int32_t ask_for_mark() {
  cudaFuncAttributes attributes{};
  if (cudaFuncGetAttributes(&attributes, wgmma_mark) != cudaSuccess) {
    (void)cudaGetLastError();  // so that no later call reports it once more
    return kNothing;
  }
  return attributes.sharedSizeBytes > 0 ? kWgmma : kOther;
}
int32_t mark_of_device() {
  static DeviceAnswer answer;
  return answer.get(ask_for_mark);
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

bool has_code() { return mark_of_device() != kNothing; }
bool has_wgmma() { return mark_of_device() == kWgmma; }

int32_t n_multiprocessors() {
  static DeviceAnswer answer;
  return answer.get(ask_for_multiprocessors);
}

}  // namespace outpost::gpu
