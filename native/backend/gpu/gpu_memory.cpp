#include "backend/gpu/gpu_memory.h"

#include <algorithm>
#include <cmath>

#include "core/strings.h"

namespace outpost {

void check_gpu(gpu::Error error, const char* what) {
  if (error == gpu::Error::kNone) return;
  ErrorCode code = ErrorCode::kDeviceLost;
  if (error == gpu::Error::kOutOfMemory) code = ErrorCode::kOutOfMemory;
  if (error == gpu::Error::kInvalidValue) code = ErrorCode::kInternal;
  throw EngineError(code, concat("The GPU failed while ", what, ": ", gpu::error_text(error), "."));
}

namespace {

/// Rounded up: nothing is not what is needed.
size_t needed_mib(size_t n_bytes) { return (n_bytes + (size_t{1} << 20) - 1) >> 20; }

}  // namespace

void fail_out_of_memory(size_t n_bytes, const char* what) {
  size_t n_free = 0, n_total = 0;
  gpu::memory_info(n_free, n_total);
  throw EngineError(ErrorCode::kOutOfMemory, concat("The GPU has no room for ", what, ": ", needed_mib(n_bytes),
                                                    " MiB are needed, ", n_free >> 20, " of ", n_total >> 20,
                                                    " MiB are free. Choose a smaller model or context, or the CPU."));
}

void fail_out_of_host_memory(size_t n_bytes) {
  throw EngineError(ErrorCode::kOutOfMemory,
                    concat("There is no room for ", needed_mib(n_bytes),
                           " MiB of memory that stays in its place for the GPU to read. Choose a smaller model, fewer "
                           "layers on the GPU, or the CPU."));
}

DeviceBytes::DeviceBytes(size_t n, const char* what, PlannedMemory* plan) {
  void* data = nullptr;
  const gpu::Error error = gpu::allocate(data, std::max<size_t>(n, 1));
  if (error == gpu::Error::kOutOfMemory) fail_out_of_memory(n, what);
  check_gpu(error, "allocating memory");
  hold(data, n, plan);
}

DeviceBytes DeviceBytes::lent(const std::byte* data, size_t n, const char* what, PlannedMemory* plan) {
  bool is_lent = false;
  const gpu::Error error = gpu::lend(data, n, is_lent);
  if (error == gpu::Error::kOutOfMemory) fail_out_of_memory(n, what);
  check_gpu(error, "lending memory");
  DeviceBytes bytes;
  if (is_lent) bytes.hold(const_cast<std::byte*>(data), n, plan);
  return bytes;
}

bool GpuRope::reserve(int32_t pos, int32_t n_most, gpu::Stream stream) {
  if (pos < n_positions_) return false;
  const int32_t n = std::max(pos + 1, std::min(n_most, std::max(1024, 2 * n_positions_)));
  std::vector<float> table;
  table.reserve(2 * params_.frequencies.size() * static_cast<size_t>(n));
  for (int32_t position = 0; position < n; ++position) {
    for (const double frequency : params_.frequencies) {
      const double angle = frequency * position;
      table.push_back(static_cast<float>(std::cos(angle) * params_.magnitude));
      table.push_back(static_cast<float>(std::sin(angle) * params_.magnitude));
    }
  }
  // Not for all of the device: another model may be recording a pass, which that would end.
  check_gpu(gpu::synchronize(stream), "computing");
  n_positions_ = 0;
  memory_ = DeviceBytes();  // before the other is there: of a long context each is large
  memory_ = DeviceBytes(std::max<size_t>(1, table.size()) * sizeof(float), "the table of rotations");
  check_gpu(gpu::copy(memory_.data(), table.data(), table.size() * sizeof(float), gpu::Copy::kToDevice),
            "copying the table of rotations");
  wait_for_copies();
  n_positions_ = n;  // not before the device has them
  return true;
}

}  // namespace outpost
