// Which device computes.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace outpost {

/// The backend of options.device. @param expert_cache_bytes of the CPU's
/// @throws EngineError kInvalidArgument for a device that cannot be used, saying which can
std::unique_ptr<Backend> create_backend(const LoadOptions& options, uint64_t expert_cache_bytes);

}  // namespace outpost
