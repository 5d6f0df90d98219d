#include "backend/nvml.h"

namespace outpost {
namespace {

// As in NVIDIA's nvml.h, of which only these are needed: 0 is success, and a sensor that a GPU lacks is an error of its
// own. Handles are opaque.
using Result = int;
using Handle = void*;
constexpr Result kSuccess = 0;
constexpr unsigned kGpuTemperature = 0, kSlowdownThreshold = 1, kGraphicsClock = 0, kMemoryClock = 2;

struct Memory {
  unsigned long long total, free, used;
};
struct Utilization {
  unsigned gpu, memory;  ///< percent of the last sample period
};

}  // namespace

Nvml::Nvml(const char* library) : library_(library) {
  auto* start = library_.function<Result()>("nvmlInit_v2");
  has_started_ = start != nullptr && start() == kSuccess;
}

Nvml::~Nvml() {
  auto* stop = library_.function<Result()>("nvmlShutdown");
  if (has_started_ && stop != nullptr) stop();
}

std::optional<DeviceSensors> Nvml::read(const std::string& bus_id) const {
  if (!has_started_) return std::nullopt;
  Handle device = nullptr;
  auto* find = library_.function<Result(const char*, Handle*)>("nvmlDeviceGetHandleByPciBusId_v2");
  if (find == nullptr || find(bus_id.c_str(), &device) != kSuccess) return std::nullopt;

  /// A value of the function of that name, times `unit`; -1 if there is none.
  const auto value = [&](const char* name, double unit) {
    unsigned raw = 0;
    auto* get = library_.function<Result(Handle, unsigned*)>(name);
    return get != nullptr && get(device, &raw) == kSuccess ? raw * unit : -1;
  };
  const auto value_of = [&](const char* name, unsigned which) {
    unsigned raw = 0;
    auto* get = library_.function<Result(Handle, unsigned, unsigned*)>(name);
    return get != nullptr && get(device, which, &raw) == kSuccess ? static_cast<double>(raw) : -1;
  };
  constexpr double kMilli = 1e-3;
  DeviceSensors sensors;
  sensors.temperature_c = value_of("nvmlDeviceGetTemperature", kGpuTemperature);
  sensors.slowdown_c = value_of("nvmlDeviceGetTemperatureThreshold", kSlowdownThreshold);
  sensors.power_watts = value("nvmlDeviceGetPowerUsage", kMilli);
  sensors.power_limit_watts = value("nvmlDeviceGetEnforcedPowerLimit", kMilli);
  sensors.clock_mhz = value_of("nvmlDeviceGetClockInfo", kGraphicsClock);
  sensors.memory_clock_mhz = value_of("nvmlDeviceGetClockInfo", kMemoryClock);
  Utilization utilization{};
  auto* get_utilization = library_.function<Result(Handle, Utilization*)>("nvmlDeviceGetUtilizationRates");
  if (get_utilization != nullptr && get_utilization(device, &utilization) == kSuccess)
    sensors.busy = utilization.gpu / 100.0;
  Memory memory{};
  auto* get_memory = library_.function<Result(Handle, Memory*)>("nvmlDeviceGetMemoryInfo");
  if (get_memory != nullptr && get_memory(device, &memory) == kSuccess) sensors.used_bytes = memory.used;
  return sensors;
}

std::vector<DeviceInfo> Nvml::list() const {
  auto* count = library_.function<Result(unsigned*)>("nvmlDeviceGetCount_v2");
  auto* find = library_.function<Result(unsigned, Handle*)>("nvmlDeviceGetHandleByIndex_v2");
  auto* get_name = library_.function<Result(Handle, char*, unsigned)>("nvmlDeviceGetName");
  auto* get_memory = library_.function<Result(Handle, Memory*)>("nvmlDeviceGetMemoryInfo");
  unsigned n = 0;
  if (!has_started_ || count == nullptr || find == nullptr || count(&n) != kSuccess) return {};
  std::vector<DeviceInfo> devices;
  for (unsigned i = 0; i < n; ++i) {
    Handle device = nullptr;
    if (find(i, &device) != kSuccess) continue;  // another user's
    char name[96] = {};                          // as long as NVML's longest
    Memory memory{};
    if (get_name != nullptr) (void)get_name(device, name, sizeof(name));
    if (get_memory != nullptr) (void)get_memory(device, &memory);
    DeviceInfo& info = devices.emplace_back();
    info.name = name;
    info.total_bytes = memory.total;
  }
  return devices;
}

}  // namespace outpost
