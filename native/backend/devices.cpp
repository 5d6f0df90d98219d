#include "backend/devices.h"

#include <algorithm>
#include <charconv>

#include "backend/cpu/cpu_backend.h"
#include "backend/gpu_devices.h"
#include "backend/nvml.h"
#include "core/available_memory.h"
#include "core/strings.h"

namespace outpost {

namespace {

/// Opened when a GPU, or why there is none, is first asked about.
const Nvml& driver_library() {
  static const Nvml nvml;
  return nvml;
}

}  // namespace

std::vector<DeviceInfo> list_devices(std::string& reason) {
  const uint64_t available = available_memory_bytes().value_or(0);
  std::vector<DeviceInfo> devices = {{"cpu", "the processor", available, available}};
  std::vector<DeviceInfo> gpus = list_gpus(reason);
  for (DeviceInfo& gpu : gpus) {
    if (gpu.unusable.empty()) gpu.sensors = read_sensors(gpu.id);
  }
  if (gpus.empty()) gpus = list_unseen_gpus(driver_library(), reason);
  devices.insert(devices.end(), gpus.begin(), gpus.end());
  return devices;
}

std::vector<DeviceInfo> list_unseen_gpus(const Nvml& library, const std::string& reason) {
  std::vector<DeviceInfo> gpus = library.list();
  for (size_t i = 0; i < gpus.size(); ++i) {
    gpus[i].id = concat(gpu_platform(), ":", i);
    gpus[i].unusable = reason;
  }
  return gpus;
}

namespace {

/// The number of a GPU, -1 for the processor.
int32_t device_index(const std::string& id) {
  if (id == "cpu") return -1;
  const std::string gpu = concat(gpu_platform(), ":");
  if (id.starts_with(gpu)) {
    const char* last = id.data() + id.size();
    int32_t index = -1;
    const auto [end, error] = std::from_chars(id.data() + gpu.size(), last, index);
    if (error == std::errc() && end == last && index >= 0) return index;
  }
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("The device is ", in_quotes(id), "; expected cpu, or ", gpu, " and a number."));
}

}  // namespace

std::optional<DeviceSensors> read_sensors(const std::string& device) {
  const int32_t index = device_index(device);
  const std::string bus_id = index < 0 ? "" : gpu_bus_id(index);
  if (bus_id.empty()) return std::nullopt;
  return driver_library().read(bus_id);
}

double measure_copy_bandwidth(const std::string& device) {
  const int32_t index = device_index(device);
  return index < 0 ? 0 : measure_gpu_copy(index);
}

DeviceRoom room_of(const std::string& device) {
  const int32_t index = device_index(device);
  if (index < 0) return {device, available_memory_bytes().value_or(UINT64_MAX)};
  std::string reason;
  if (const auto info = look_at_gpu(index, reason)) {
    const uint64_t planned = std::min(planned_gpu_bytes(index), info->free_bytes);
    return {device, info->free_bytes - planned, info->shares_memory, planned};
  }
  throw EngineError(ErrorCode::kInvalidArgument, concat("The device ", device, " cannot be used: ", reason, "."));
}

std::unique_ptr<Backend> create_backend(const std::string& device, const LoadOptions& options,
                                        uint64_t expert_cache_bytes, const DeviceExperts& experts, uint64_t n_planned) {
  const int32_t index = device_index(device);
  if (index >= 0) return create_gpu_backend(index, experts, n_planned);
  return create_cpu_backend(options.cpu_kernels, options.n_threads, expert_cache_bytes);
}

const std::string& only_device(const LoadOptions& options) {
  if (options.devices.size() == 1) return options.devices.front();
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat(options.devices.size(), " devices are named; expected one, as each is measured alone."));
}

}  // namespace outpost
