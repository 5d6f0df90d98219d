#include "kernels/cuda/device_units.h"

#include <algorithm>

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

bool says_no_code(cudaError_t error) {
  return error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction ||
         error == cudaErrorInvalidKernelImage || error == cudaErrorUnsupportedPtxVersion;
}

/// What the runtime knows of the mark; kNothing if the device has no code of it. Below 0: an error's number.
constexpr int32_t kNothing = 0, kOther = 1, kWgmma = 2;
int32_t ask_for_mark() {
  cudaFuncAttributes attributes{};
  if (const cudaError_t error = cudaFuncGetAttributes(&attributes, wgmma_mark); error != cudaSuccess) {
    (void)cudaGetLastError();  // so that no later call reports it once more
    return says_no_code(error) ? kNothing : -static_cast<int32_t>(error);
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
    return DeviceAnswer::kUnknown;
  }
  return n;
}

}  // namespace

Error find_code(bool& has_code) {
  const int32_t mark = mark_of_device();
  has_code = mark > kNothing;
  return mark < 0 ? static_cast<Error>(-mark) : Error::kNone;
}
bool has_wgmma() { return mark_of_device() == kWgmma; }

int32_t n_multiprocessors() {
  static DeviceAnswer answer;
  return std::max(1, answer.get(ask_for_multiprocessors));
}

}  // namespace outpost::gpu
