// What launchers have to know of the current device, beside has_wgmma (launchers.h).
#pragma once

#include <cstdint>

namespace outpost::gpu {

/// Whether there is code that the current device runs: of sm_90a, say, only a device of 9.0.
bool has_code();
/// One at least.
int32_t n_multiprocessors();

}  // namespace outpost::gpu
