#include <algorithm>
#include <cstdlib>

#include "kernels/cuda/device_units.h"
#include "kernels/cuda/superblock_stream.h"
#include "kernels/launchers/device_answer.h"
#include "kernels/launchers/matvec_arguments.h"

namespace outpost::gpu {
namespace {

/// Says by its shared memory what it was compiled for: code for another architecture may run on the same device.
static __global__ void has_bulk_copies() {
#ifdef OUTPOST_HAS_BULK_COPIES
  __shared__ volatile int32_t mark;
  mark = 1;
#endif
}

int32_t ask_for_blocks() {
  // To tell what goes wrong here from what goes wrong elsewhere (docs/gpu.md): superblock_mma takes its place.
  if (std::getenv("OUTPOST_GPU_NO_STREAM") != nullptr) return 0;
  cudaFuncAttributes attributes{};
  int device = 0, n_bytes = 0;
  if (cudaFuncGetAttributes(&attributes, has_bulk_copies) != cudaSuccess || cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&n_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess) {
    (void)cudaGetLastError();  // so that no later call reports it once more
    return DeviceAnswer::kUnknown;
  }
  const bool has_room = n_bytes >= kStreamRoom + static_cast<int>(kStreamBarriers * sizeof(uint64_t));
  return attributes.sharedSizeBytes > 0 && has_room ? n_multiprocessors() : 0;
}

}  // namespace

int32_t stream_blocks() {
  static DeviceAnswer answer;
  return std::max(0, answer.get(ask_for_blocks));
}

}  // namespace outpost::gpu
