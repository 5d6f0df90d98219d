// Sensors and names of NVIDIA GPUs, by the driver's management library (NVML), which is opened when it is first asked.
// A machine without it lacks the sensors and nothing else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/shared_library.h"
#include "engine.h"

namespace outpost {

class Nvml {
 public:
  explicit Nvml(const char* library = kDriverLibrary);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  /// @param bus_id of the device, "0000:65:00.0": CUDA and NVML count differently
  /// @return nothing where the library is not there, does not start or does not know the device. On any thread.
  std::optional<DeviceSensors> read(const std::string& bus_id) const;
  /// All GPUs that it knows, their names and the bytes of their memory; on any thread.
  std::vector<DeviceInfo> list() const;

 private:
#ifdef _WIN32
  static constexpr const char* kDriverLibrary = "nvml.dll";
#else
  static constexpr const char* kDriverLibrary = "libnvidia-ml.so.1";
#endif

  SharedLibrary library_;
  bool has_started_ = false;
};

}  // namespace outpost
