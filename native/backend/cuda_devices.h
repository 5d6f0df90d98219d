// The backend for NVIDIA GPUs. Where it was not built, backend/no_cuda has these functions and says so.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace outpost {

/// The GPUs that this machine's driver shows; none without a driver. @param reason why there are none
std::vector<DeviceInfo> list_cuda_devices(std::string& reason);

/// Bytes per second of a large copy on the device, those read and those written.
/// @throws EngineError
double measure_cuda_copy(int32_t device);

/// @throws EngineError kInvalidArgument if there is no such device, saying why
std::unique_ptr<Backend> create_cuda_backend(int32_t device);

}  // namespace outpost
