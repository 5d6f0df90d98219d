// Linked in place of backend/gpu where the build has neither CUDA nor Metal.
#include "backend/gpu_devices.h"
#include "core/strings.h"

namespace outpost {
namespace {
#ifdef __APPLE__
constexpr const char* kPlatform = "metal";
constexpr const char* kReason =
    "this build of the engine has no Metal backend: it was built without Xcode's Metal compiler, or not for Apple "
    "silicon";
#else
constexpr const char* kPlatform = "cuda";
constexpr const char* kReason = "this build of the engine has no CUDA backend: it was built without nvcc or a GPU";
#endif

[[noreturn]] void fail(int32_t device) {
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("The device ", kPlatform, ":", device, " cannot be used: ", kReason, "."));
}

}  // namespace

std::vector<DeviceInfo> list_gpus(std::string& reason) {
  reason = kReason;
  return {};
}

std::optional<DeviceInfo> look_at_gpu(int32_t, std::string& reason) {
  reason = kReason;
  return std::nullopt;
}

const char* gpu_platform() { return kPlatform; }

std::string gpu_bus_id(int32_t) { return {}; }

double measure_gpu_copy(int32_t device) { fail(device); }

uint64_t planned_gpu_bytes(int32_t) { return 0; }

std::unique_ptr<Backend> create_gpu_backend(int32_t device, const DeviceExperts&, uint64_t) { fail(device); }

}  // namespace outpost
