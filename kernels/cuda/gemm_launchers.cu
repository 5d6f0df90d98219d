#include "kernels/cuda/device_block.h"
#include "kernels/cuda/gemm_launch.h"
#include "kernels/cuda/wgmma.h"

namespace outpost::gpu {
namespace {

/// Says by its shared memory what it was compiled for: code for another architecture may run on the same device.
static __global__ void has_wgmma() {
#ifdef OUTPOST_HAS_WGMMA
  __shared__ volatile int32_t mark;
  mark = 1;
#endif
}

struct LaunchGemm {
  cudaStream_t stream;
  const GemmLaunch& arguments;
  cudaError_t error = cudaErrorInvalidValue;

  template <typename Block>
  void operator()() {
    error = launch_gemm_block<Block>(stream, arguments);
  }
};

}  // namespace

bool has_gemm() {
  cudaFuncAttributes attributes{};
  if (cudaFuncGetAttributes(&attributes, has_wgmma) != cudaSuccess) {
    (void)cudaGetLastError();
    return false;
  }
  return attributes.sharedSizeBytes > 0;
}

cudaError_t launch_halve(cudaStream_t stream, const float* x, uint32_t* image, float* scales,
                         const HalveParams& params) {
  if (params.n_tokens == 0) return cudaSuccess;  // an empty grid is an error
  const int32_t n_rows = (params.n_tokens + kImageTokens - 1) / kImageTokens * kImageTokens;
  halve_activations<<<n_rows, kHalveThreads, 0, stream>>>(x, image, scales, params);
  return cudaGetLastError();
}

cudaError_t launch_gemm(cudaStream_t stream, DeviceType type, const void* weight, const HalvedInput& x,
                        const float* bias, float* y, const GemmParams& params) {
  if (!can_gemm(type, int64_t{32} * params.n_groups) || !has_gemm()) return cudaErrorInvalidValue;
  if (params.n_tokens == 0) return cudaSuccess;
  int device = 0, n_multiprocessors = 0;
  if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  if (const cudaError_t error = cudaDeviceGetAttribute(&n_multiprocessors, cudaDevAttrMultiProcessorCount, device);
      error != cudaSuccess)
    return error;
  LaunchGemm launch{stream, {weight, x.image, x.scales, bias, y, params, n_multiprocessors}};
  if (type.type == TensorType::kF16)
    launch.operator()<ElementF16>();
  else if (type.type == TensorType::kBF16)
    launch.operator()<ElementBF16>();
  else
    visit_device_block(type, launch);
  return launch.error;
}

}  // namespace outpost::gpu
