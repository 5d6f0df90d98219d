// What launchers have to know of the current device, beside has_wgmma (launchers.h).
#pragma once

#include <cstdint>

#include "kernels/runtime/runtime.h"

namespace outpost::gpu {

/// @param has_code whether there is code that the current device runs: of sm_90a, say, only a device of 9.0
/// @return an error that says nothing of that, as of a device without memory for the process: to be asked again
Error find_code(bool& has_code);
/// One at least.
int32_t n_multiprocessors();

}  // namespace outpost::gpu
