// The CPU as a Backend.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "backend/cpu/cpu_kernels.h"
#include "engine.h"

namespace outpost {

/// @param n_threads compute threads; 0 takes the physical cores
/// @param expert_cache_bytes most memory for experts of mixtures that are prepared for the kernels
/// @throws EngineError kInvalidArgument if the processor lacks the kernels that were asked for
std::unique_ptr<Backend> create_cpu_backend(CpuKernels kernels, int32_t n_threads,
                                            uint64_t expert_cache_bytes = UINT64_MAX);
/// The same with kernels that the processor is known to run. They must outlive the backend.
std::unique_ptr<Backend> create_cpu_backend(const CpuKernelTable& kernels, int32_t n_threads,
                                            uint64_t expert_cache_bytes = UINT64_MAX);

}  // namespace outpost
