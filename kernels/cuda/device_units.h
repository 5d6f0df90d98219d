// What launchers have to know of the current device, beside has_wgmma (launchers.h).
#pragma once

#include <cstdint>

namespace outpost::gpu {

/// One at least.
int32_t n_multiprocessors();

}  // namespace outpost::gpu
