#include "kernels/cuda/device_block.h"
#include "kernels/cuda/matvec_arguments.h"

namespace outpost::gpu {

// matvec_type.cu.in has the definitions, a file for each type.
template <typename Block>
cudaError_t launch_block(cudaStream_t stream, const MatvecLaunch& arguments);

namespace {

struct LaunchBlock {
  cudaStream_t stream;
  const MatvecLaunch& arguments;
  cudaError_t error = cudaSuccess;

  template <typename Block>
  void operator()() {
    error = launch_block<Block>(stream, arguments);
  }
};

cudaError_t launch_type(cudaStream_t stream, DeviceType type, const MatvecLaunch& arguments) {
  LaunchBlock launch{stream, arguments};
  return visit_device_block(type, launch) ? launch.error : cudaErrorInvalidValue;
}

}  // namespace

cudaError_t launch_matvec(cudaStream_t stream, DeviceType type, const void* weight, const QuantizedInput& x,
                          const float* bias, float* y, const MatvecParams& params) {
  return launch_type(stream, type, {weight, nullptr, x, bias, nullptr, nullptr, y, {params, 1}});
}

cudaError_t launch_matvec_gated(cudaStream_t stream, DeviceType type, const void* gate, const void* up,
                                const QuantizedInput& x, const float* gate_bias, const float* up_bias, float* y,
                                const MatvecParams& params) {
  return launch_type(stream, type, {gate, up, x, gate_bias, up_bias, nullptr, y, {params, 1}});
}

cudaError_t launch_experts_gated(cudaStream_t stream, DeviceType type, const void* gate, const void* up,
                                 const QuantizedInput& x, const float* gate_bias, const float* up_bias,
                                 const ExpertLists& lists, float* y, const ExpertParams& params) {
  return launch_type(stream, type, {gate, up, x, gate_bias, up_bias, &lists, y, params});
}

cudaError_t launch_experts_matvec(cudaStream_t stream, DeviceType type, const void* weight, const QuantizedInput& x,
                                  const float* bias, const ExpertLists& lists, float* y, const ExpertParams& params) {
  return launch_type(stream, type, {weight, nullptr, x, bias, nullptr, &lists, y, params});
}

}  // namespace outpost::gpu
