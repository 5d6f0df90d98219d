// How much memory the experts of a mixture may take when nobody says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/device_layers.h"

namespace outpost {

/// Of what is available once the other weights are loaded, three quarters if the experts fit into that: all of them
/// stay in memory, and the KV cache and other programs have the rest. Otherwise one half: experts that are not resident
/// are read through the system's file cache, which is many times faster than a disk and needs room as well.
/// @param expert_bytes,other_bytes of the model's tensors, in the file
/// @param available nothing: unknown, and then there is no limit
/// @return at least 1
uint64_t expert_cache_budget(uint64_t expert_bytes, uint64_t other_bytes, std::optional<uint64_t> available);

/// The same for the layers that a GPU computes: no limit where all that they need has room, otherwise what is left
/// beside everything but experts. @return at least 1
uint64_t device_expert_budget(const DeviceNeed& need, uint64_t free_bytes);

/// Where a GPU has a budget for less than all experts of its layers, all of them are in memory of the host as well, and
/// the system cannot take that back: of what is available an eighth has to be left.
/// @param available nothing: unknown, and then nothing is refused
/// @throws EngineError kOutOfMemory with the figures
void check_pinned_experts(const std::string& device, const DeviceNeed& need, uint64_t budget_bytes,
                          std::optional<uint64_t> available);

}  // namespace outpost
