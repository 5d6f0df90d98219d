// How much memory the system could give to this process now without swapping.
#pragma once

#include <cstdint>
#include <optional>

namespace outpost {

/// Counts what the system would take back from file caches. Limits of a container are not looked at.
/// @return nothing if the system does not say
std::optional<uint64_t> available_memory_bytes();

}  // namespace outpost
