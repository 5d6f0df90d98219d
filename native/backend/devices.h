// Which device computes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/device_experts.h"
#include "backend/nvml.h"

namespace outpost {

/// GPUs that the driver's library knows where the engine sees none: their driver is too old for it, it was built
/// without a backend for them, or they are hidden from it. Ids count them as the library does.
/// @param reason why, for all of them
std::vector<DeviceInfo> list_unseen_gpus(const Nvml& library, const std::string& reason);

/// What a device has room for.
struct DeviceRoom {
  std::string id;
  uint64_t free_bytes;              ///< that it could give now; UINT64_MAX if nobody knows
  bool shares_host_memory = false;  ///< a GPU: what it takes, the processor has no more
  uint64_t planned_bytes = 0;       ///< a GPU: beside these, what models that are loaded are going to take
};

/// @throws EngineError kInvalidArgument if there is no such device
DeviceRoom room_of(const std::string& device);

/// What a GPU says of itself now; nothing for the processor, and where nobody can be asked.
std::optional<DeviceSensors> read_sensors(const std::string& device);

/// The backend of one device, whatever options.devices are.
/// @param expert_cache_bytes of the CPU's. @param experts of a GPU's. @param n_planned of a GPU's, as its room counts
/// @throws EngineError kInvalidArgument for a device that cannot be used, saying which can
std::unique_ptr<Backend> create_backend(const std::string& device, const LoadOptions& options,
                                        uint64_t expert_cache_bytes, const DeviceExperts& experts = {},
                                        uint64_t n_planned = 0);

/// The device of options that name one alone. @throws EngineError kInvalidArgument
const std::string& only_device(const LoadOptions& options);

}  // namespace outpost
