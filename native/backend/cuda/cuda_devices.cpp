#include "backend/cuda_devices.h"

#include <algorithm>
#include <string>
#include <vector>

#include "backend/cuda/cuda_backend.h"
#include "core/strings.h"

namespace outpost {

std::vector<DeviceInfo> list_cuda_devices(std::string& reason) {
  int n = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&n); error != cudaSuccess) {
    (void)cudaGetLastError();
    reason =
        error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice
            ? concat("there is no NVIDIA GPU, or its driver is older than this build's CUDA ", CUDART_VERSION / 1000)
            : concat("CUDA does not start: ", cudaGetErrorString(error));
    return {};
  }
  std::vector<DeviceInfo> devices;
  for (int i = 0; i < n; ++i) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess || properties.major < 8) continue;
    DeviceInfo info{concat("cuda:", i), properties.name, properties.totalGlobalMem, 0};
    size_t n_free = 0, n_total = 0;
    int before = 0;
    cudaGetDevice(&before);
    if (cudaSetDevice(i) == cudaSuccess && cudaMemGetInfo(&n_free, &n_total) == cudaSuccess) info.free_bytes = n_free;
    cudaSetDevice(before);
    devices.push_back(info);
  }
  if (devices.empty()) reason = "there is no NVIDIA GPU of compute capability 8.0 or above";
  return devices;
}

std::string cuda_bus_id(int32_t device) {
  char id[32] = {};
  if (cudaDeviceGetPCIBusId(id, sizeof(id), device) == cudaSuccess) return id;
  (void)cudaGetLastError();
  return {};
}

double measure_cuda_copy(int32_t device) {
  check_cuda(cudaSetDevice(device), "choosing the device");
  constexpr size_t kBytes = size_t{1} << 30;  // far beyond any cache
  const DeviceBytes from(kBytes, "the measurement"), to(kBytes, "the measurement");
  cudaEvent_t begin = nullptr, end = nullptr;
  check_cuda(cudaEventCreate(&begin), "measuring");
  check_cuda(cudaEventCreate(&end), "measuring");
  float best_ms = 1e30f;
  for (int i = 0; i < 6; ++i) {
    float ms = 0;
    check_cuda(cudaEventRecord(begin), "measuring");
    check_cuda(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice), "measuring");
    check_cuda(cudaEventRecord(end), "measuring");
    check_cuda(cudaEventSynchronize(end), "measuring");
    check_cuda(cudaEventElapsedTime(&ms, begin, end), "measuring");
    best_ms = std::min(best_ms, ms);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return 2.0 * static_cast<double>(kBytes) / best_ms * 1000;
}

std::unique_ptr<Backend> create_cuda_backend(int32_t device, const DeviceExperts& experts) {
  std::string reason;
  const std::string id = concat("cuda:", device);
  std::string known;
  for (const DeviceInfo& info : list_cuda_devices(reason)) {
    if (info.id == id) return std::make_unique<CudaBackend>(device, experts);
    known += concat(known.empty() ? "" : ", ", info.id, " (", info.name, ")");
  }
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("The device ", id,
                           " cannot be used: ", reason.empty() ? concat("this machine has ", known) : reason, "."));
}

}  // namespace outpost
