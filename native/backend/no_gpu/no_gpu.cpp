// Linked in place of backend/gpu where the build has no CUDA.
#include "backend/gpu_devices.h"
#include "core/strings.h"

namespace outpost {
namespace {
constexpr const char* kReason = "this build of the engine has no CUDA backend: it was built without nvcc or a GPU";

[[noreturn]] void fail(int32_t device) {
  throw EngineError(ErrorCode::kInvalidArgument, concat("The device cuda:", device, " cannot be used: ", kReason, "."));
}

}  // namespace

std::vector<DeviceInfo> list_gpus(std::string& reason) {
  reason = kReason;
  return {};
}

const char* gpu_platform() { return "cuda"; }

std::string gpu_bus_id(int32_t) { return {}; }

double measure_gpu_copy(int32_t device) { fail(device); }

std::unique_ptr<Backend> create_gpu_backend(int32_t device, const DeviceExperts&) { fail(device); }

}  // namespace outpost
