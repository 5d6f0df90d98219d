// The branch for macOS has not been built yet; that for Windows has run under Wine.
#include "core/available_memory.h"

#if defined(__linux__)
#include <fstream>
#include <string>
#elif defined(__APPLE__)
#include <mach/mach.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace outpost {

std::optional<uint64_t> available_memory_bytes() {
#if defined(__linux__)
  std::ifstream in("/proc/meminfo");  // "MemAvailable:   12345678 kB"
  for (std::string key; in >> key;) {
    uint64_t kib = 0;
    if (key == "MemAvailable:" && in >> kib) return kib * 1024;
    std::getline(in, key);
  }
#elif defined(__APPLE__)
  vm_statistics64_data_t pages{};
  mach_msg_type_number_t n = HOST_VM_INFO64_COUNT;
  if (host_statistics64(mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages), &n) == KERN_SUCCESS)
    return (uint64_t{pages.free_count} + pages.inactive_count + pages.purgeable_count) * vm_kernel_page_size;
#elif defined(_WIN32)
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof(status);
  if (GlobalMemoryStatusEx(&status)) return status.ullAvailPhys;
#endif
  return std::nullopt;
}

}  // namespace outpost
