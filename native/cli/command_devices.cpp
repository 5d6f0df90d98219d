#include <cstdio>

#include "cli/command.h"

namespace outpost::cli {

int run_devices(const std::vector<std::string>& words) {
  const Arguments arguments(words, {}, {}, 0);
  std::string reason;
  for (const DeviceInfo& device : list_devices(reason)) {
    if (!device.unusable.empty()) {
      std::printf("%-8s %-32s cannot be used: %s\n", device.id.c_str(), device.name.c_str(), device.unusable.c_str());
      continue;
    }
    std::printf("%-8s %-32s %llu of %llu MiB free\n", device.id.c_str(), device.name.c_str(),
                static_cast<unsigned long long>(device.free_bytes >> 20),
                static_cast<unsigned long long>(device.total_bytes >> 20));
  }
  if (!reason.empty()) std::printf("no GPU: %s\n", reason.c_str());
  return 0;
}

}  // namespace outpost::cli
