#include "backend/gpu_devices.h"

#include <algorithm>
#include <string>
#include <vector>

#include "backend/gpu/gpu_backend.h"
#include "core/available_memory.h"
#include "core/strings.h"

namespace outpost {

const char* gpu_platform() { return gpu::platform(); }

std::vector<DeviceInfo> list_gpus(std::string& reason) {
  const int32_t n = gpu::n_devices(reason);
  std::vector<DeviceInfo> devices;
  for (int32_t i = 0; i < n; ++i) {
    gpu::DeviceProperties properties;
    if (gpu::device_properties(i, properties) != gpu::Error::kNone || !properties.is_usable) continue;
    DeviceInfo info{concat(gpu::platform(), ":", i), properties.name, properties.n_bytes, 0,
                    properties.shares_host_memory};
    size_t n_free = 0, n_total = 0;
    int32_t before = 0;
    gpu::current_device(before);
    if (gpu::choose_device(i) == gpu::Error::kNone && gpu::memory_info(n_free, n_total) == gpu::Error::kNone)
      info.free_bytes = n_free;
    // What other programs have, a device that takes from the host's memory does not see.
    if (info.shares_memory) info.free_bytes = std::min(info.free_bytes, available_memory_bytes().value_or(UINT64_MAX));
    gpu::choose_device(before);
    devices.push_back(info);
  }
  if (n > 0 && devices.empty()) reason = concat("there is no GPU with ", gpu::requirement());
  return devices;
}

std::string gpu_bus_id(int32_t device) { return gpu::bus_id(device); }

double measure_gpu_copy(int32_t device) {
  check_gpu(gpu::choose_device(device), "choosing the device");
  constexpr size_t kBytes = size_t{1} << 30;  // far beyond any cache
  const DeviceBytes from(kBytes, "the measurement"), to(kBytes, "the measurement");
  float best_ms = 1e30f;
  for (int i = 0; i < 6; ++i) {
    float ms = 0;
    check_gpu(gpu::time_copy(to.data(), from.data(), kBytes, ms), "measuring");
    best_ms = std::min(best_ms, ms);
  }
  return 2.0 * static_cast<double>(kBytes) / best_ms * 1000;
}

std::unique_ptr<Backend> create_gpu_backend(int32_t device, const DeviceExperts& experts) {
  std::string reason;
  const std::string id = concat(gpu::platform(), ":", device);
  std::string known;
  for (const DeviceInfo& info : list_gpus(reason)) {
    if (info.id == id) return std::make_unique<GpuBackend>(device, experts);
    known += concat(known.empty() ? "" : ", ", info.id, " (", info.name, ")");
  }
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("The device ", id,
                           " cannot be used: ", reason.empty() ? concat("this machine has ", known) : reason, "."));
}

}  // namespace outpost
