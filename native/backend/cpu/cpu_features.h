// Which kernels this processor can run, and how many threads it should run them on.
#pragma once

#include <cstdint>

#include "backend/cpu/cpu_kernels.h"
#include "engine.h"

namespace outpost {

/// The table for `choice`; kAuto takes the fastest that this processor has.
/// @throws EngineError kInvalidArgument if the processor lacks the instructions
const CpuKernelTable& select_cpu_kernels(CpuKernels choice);

/// Physical cores that this process may use, at least 1: two hyperthreads of a core share the units that
/// these kernels saturate.
int32_t count_physical_cores();

}  // namespace outpost
