// Calls of the kernels of kernels/metal/instances.h under the SIMT emulator, by their names.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "kernels/emulator/memory.h"

namespace outpost::emulator {

/// What a dispatch gives to a parameter of a kernel.
struct BoundArgument {
  Region* region = nullptr;  ///< null: an array that is not there
  int64_t offset = 0;
  const std::byte* bytes = nullptr;
  size_t n_bytes = 0;  ///< of a value; 0: it is an array
};

bool is_kernel(const std::string& name);
/// What each thread does. @throws Fault if the arguments are not those of the kernel
std::function<void()> kernel_call(const std::string& name, std::span<const BoundArgument> arguments);

}  // namespace outpost::emulator
