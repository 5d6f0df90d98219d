// The backend for GPUs. Where it was not built, backend/no_gpu has these functions and says so.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/device_experts.h"

namespace outpost {

/// What ids of GPUs begin with: "cuda", "metal".
const char* gpu_platform();

/// The GPUs that this machine's driver shows, with the reason for each that cannot be used now; none without a driver.
/// @param reason why there are none that can be used, as a part of a sentence
std::vector<DeviceInfo> list_gpus(std::string& reason);
/// One of them; nothing if it cannot be used now. @param reason why, as a part of a sentence
std::optional<DeviceInfo> look_at_gpu(int32_t device, std::string& reason);

/// Where a device is, "0000:65:00.0"; empty if there is none.
std::string gpu_bus_id(int32_t device);

/// Bytes per second of a large copy on the device, those read and those written.
/// @throws EngineError
double measure_gpu_copy(int32_t device);

/// What models that are loaded were planned to have of a GPU's memory, and have not taken yet.
uint64_t planned_gpu_bytes(int32_t device);

/// @param n_planned what its model is going to take, at most: others are planned beside that
/// @throws EngineError kInvalidArgument if there is no such device, saying why
std::unique_ptr<Backend> create_gpu_backend(int32_t device, const DeviceExperts& experts, uint64_t n_planned = 0);

}  // namespace outpost
