// The names by which Metal finds kernels. A launcher names a kernel by its C++ function, which is compiled as for the
// emulator, and which nobody calls.
#pragma once

#include <vector>

namespace outpost::metal {

/// A kernel's function, whatever its arguments.
using KernelFunction = void (*)();

struct KernelName {
  const char* name;
  KernelFunction function;
};

/// All of instances.h.
const std::vector<KernelName>& kernel_names();
/// Null if it has none.
const char* name_of(KernelFunction function);

}  // namespace outpost::metal
