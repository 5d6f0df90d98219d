// Stands in for NVIDIA's management library in tests: one GPU at 0000:65:00.0, with numbers of its own, without a
// sensor for the memory's clock. It counts how often it was started and stopped.
#ifdef _WIN32
#define EXPORTED extern "C" __declspec(dllexport)
#else
#define EXPORTED extern "C" __attribute__((visibility("default")))
#endif

#include <cstring>

namespace {
constexpr int kSuccess = 0, kNotSupported = 3, kNoPermission = 4, kNotFound = 6;
int n_started = 0;
int gpu;  // its address is the handle
}  // namespace

EXPORTED int nvmlInit_v2() { return ++n_started > 0 ? kSuccess : kNotFound; }
EXPORTED int nvmlShutdown() { return --n_started >= 0 ? kSuccess : kNotFound; }
EXPORTED int fakeStarted() { return n_started; }

EXPORTED int nvmlDeviceGetHandleByPciBusId_v2(const char* id, void** handle) {
  *handle = &gpu;
  return std::strcmp(id, "0000:65:00.0") == 0 ? kSuccess : kNotFound;
}
EXPORTED int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;  // of which one is another user's
  return kSuccess;
}
EXPORTED int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** handle) {
  *handle = &gpu;
  return index == 1 ? kSuccess : kNoPermission;
}
EXPORTED int nvmlDeviceGetName(void*, char* name, unsigned length) {
  std::strncpy(name, "A GPU", length);
  return kSuccess;
}
EXPORTED int nvmlDeviceGetTemperature(void* device, unsigned sensor, unsigned* degrees) {
  *degrees = 71;
  return device == &gpu && sensor == 0 ? kSuccess : kNotFound;
}
EXPORTED int nvmlDeviceGetTemperatureThreshold(void*, unsigned which, unsigned* degrees) {
  *degrees = which == 1 ? 90 : 95;
  return kSuccess;
}
EXPORTED int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  *milliwatts = 212500;
  return kSuccess;
}
EXPORTED int nvmlDeviceGetEnforcedPowerLimit(void*, unsigned* milliwatts) {
  *milliwatts = 350000;
  return kSuccess;
}
EXPORTED int nvmlDeviceGetClockInfo(void*, unsigned which, unsigned* megahertz) {
  *megahertz = 1755;
  return which == 0 ? kSuccess : kNotSupported;
}
EXPORTED int nvmlDeviceGetUtilizationRates(void*, unsigned* percents) {
  percents[0] = 83;
  percents[1] = 40;
  return kSuccess;
}
EXPORTED int nvmlDeviceGetMemoryInfo(void*, unsigned long long* bytes) {
  bytes[0] = 8ull << 30;
  bytes[1] = 5ull << 30;
  bytes[2] = 3ull << 30;
  return kSuccess;
}
