#include "backend/devices.h"

#include <charconv>

#include "backend/cpu/cpu_backend.h"
#include "backend/cuda/cuda_backend.h"
#include "core/available_memory.h"
#include "core/strings.h"

namespace outpost {

std::vector<DeviceInfo> list_devices(std::string& reason) {
  const uint64_t available = available_memory_bytes().value_or(0);
  std::vector<DeviceInfo> devices = {{"cpu", "the processor", available, available}};
  for (DeviceInfo& gpu : list_cuda_devices(reason)) devices.push_back(std::move(gpu));
  return devices;
}

std::unique_ptr<Backend> create_backend(const LoadOptions& options, uint64_t expert_cache_bytes) {
  constexpr std::string_view kCuda = "cuda:";
  if (options.device == "cpu")
    return create_cpu_backend(options.cpu_kernels, options.n_threads, expert_cache_bytes);
  if (options.device.starts_with(kCuda)) {
    const char* first = options.device.data() + kCuda.size();
    const char* last = options.device.data() + options.device.size();
    int32_t index = -1;
    const auto [end, error] = std::from_chars(first, last, index);
    if (error == std::errc() && end == last && index >= 0) return create_cuda_backend(index);
  }
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("The device is ", quoted(options.device), "; expected cpu, or cuda: and a number."));
}

}  // namespace outpost
