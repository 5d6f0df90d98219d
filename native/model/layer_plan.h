// Which devices compute which layers of a model: chosen before anything is loaded, so that what has no room is said at
// once, and with figures.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/devices.h"
#include "model/device_layers.h"

namespace outpost {

/// Refuses what is wrong whatever the model is: a GPU that is named twice, the processor beside one, numbers of layers
/// that are none or not as many as there are devices.
/// @param devices,wanted LoadOptions.devices and .n_device_layers. @throws EngineError kInvalidArgument
void check_devices(std::span<const std::string> devices, std::span<const int32_t> wanted);

/// Positions to count with where nobody says how many: two contexts of a usual length.
uint64_t usual_positions(const LayerBytes& bytes);

/// How many layers each device computes, one at least: the last ones of the model, in the order of the devices. The
/// processor computes those before them, if there are any.
/// - {kAllLayers}: all, so that the devices become equally full as far as whole layers allow it.
/// - {kFittingLayers}: the same if there is room; otherwise as many as there is room for on each, from the last one on.
/// - else a number for each device; of a single one at most as many as the model has.
/// @param path of the model, for messages. @param n_positions as LoadOptions has them
/// @param expert_budget LoadOptions.device_expert_bytes: of a device's experts so much counts, or those of one token if
///        they take more. With 0 all count; if that leaves no way, those of one token, but for devices that share the
///        host's memory: what they had no room for would be there all the same
/// @pre check_devices has no objection
/// @throws EngineError kOutOfMemory with the figures, kInvalidArgument for more devices or layers than the model has
std::vector<int32_t> plan_layers(const LayerBytes& bytes, const std::string& path, std::span<const DeviceRoom> devices,
                                 std::span<const int32_t> wanted, uint64_t n_positions, uint64_t expert_budget);

}  // namespace outpost
