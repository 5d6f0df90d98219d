#include "backend/gpu_devices.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "backend/gpu/gpu_backend.h"
#include "core/available_memory.h"
#include "core/strings.h"

namespace outpost {

const char* gpu_platform() { return gpu::platform(); }

namespace {

std::string gpu_id(int32_t device) { return concat(gpu::platform(), ":", device); }

/// "cuda:0 (NVIDIA H200)"
std::string named(int32_t device, const gpu::DeviceProperties& properties) {
  return properties.name.empty() ? gpu_id(device) : concat(gpu_id(device), " (", properties.name, ")");
}

/// What may be the cause where a device refuses a process that has nothing there yet.
const char* likely_cause(gpu::Error error) {
  if (error == gpu::Error::kOutOfMemory) return ", as where other programs have all of its memory: close some of them";
  if (error == gpu::Error::kTaken) return ", as where it is set to serve one program at a time, and another has it";
  return "";
}

gpu::Error read_free_bytes(int32_t device, uint64_t& n_bytes) {
  size_t n_free = 0, n_total = 0;
  int32_t before = 0;
  gpu::current_device(before);
  gpu::Error error = gpu::choose_device(device);
  if (error == gpu::Error::kNone) error = gpu::memory_info(n_free, n_total);
  gpu::choose_device(before);
  n_bytes = n_free;
  return error;
}

/// @pre the driver shows it
DeviceInfo look_at_shown(int32_t device) {
  gpu::DeviceProperties properties{};
  uint64_t n_free = 0;
  gpu::Error error = gpu::device_properties(device, properties);
  DeviceInfo info{gpu_id(device), properties.name, properties.n_bytes, 0, properties.shares_host_memory};
  if (error == gpu::Error::kNone && !properties.is_usable) {
    info.unusable = concat(named(device, properties), " has not what is required, ", gpu::requirement());
    return info;
  }
  if (error == gpu::Error::kNone) error = read_free_bytes(device, n_free);
  if (error != gpu::Error::kNone) {
    info.unusable =
        concat(named(device, properties), " refuses this program: ", gpu::error_text(error), likely_cause(error));
    return info;
  }
  // What other programs have, a device that takes from the host's memory does not see.
  if (properties.shares_host_memory) n_free = std::min(n_free, available_memory_bytes().value_or(UINT64_MAX));
  info.free_bytes = n_free;
  return info;
}

}  // namespace

std::vector<DeviceInfo> list_gpus(std::string& reason) {
  const int32_t n = gpu::n_devices(reason);
  std::vector<DeviceInfo> devices;
  for (int32_t i = 0; i < n; ++i) devices.push_back(look_at_shown(i));
  const auto is_usable = [](const DeviceInfo& info) { return info.unusable.empty(); };
  if (n == 0 || std::ranges::any_of(devices, is_usable)) return devices;
  reason.clear();
  for (const DeviceInfo& info : devices) reason += concat(reason.empty() ? "" : "; ", info.unusable);
  return devices;
}

std::optional<DeviceInfo> look_at_gpu(int32_t device, std::string& reason) {
  const int32_t n = gpu::n_devices(reason);
  if (device < n) {
    DeviceInfo info = look_at_shown(device);
    if (info.unusable.empty()) return info;
    reason = info.unusable;
    return std::nullopt;
  }
  std::string shown;
  for (int32_t i = 0; i < n; ++i) {
    gpu::DeviceProperties properties{};
    (void)gpu::device_properties(i, properties);  // for the name
    shown += concat(i == 0 ? "" : ", ", named(i, properties));
  }
  if (n > 0) reason = concat("this machine has ", shown);
  return std::nullopt;
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

uint64_t planned_gpu_bytes(int32_t device) { return PlannedMemory::outstanding(device); }

std::unique_ptr<Backend> create_gpu_backend(int32_t device, const DeviceExperts& experts, uint64_t n_planned) {
  std::string reason;
  if (look_at_gpu(device, reason)) return std::make_unique<GpuBackend>(device, experts, n_planned);
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("The device ", gpu_id(device), " cannot be used: ", reason, "."));
}

}  // namespace outpost
