// How many layers of a model a device has room for, from the head of the file alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/gguf_file.h"

namespace outpost {

/// The layer that a tensor of that name belongs to: of "blk.<il>.".
std::optional<int32_t> layer_of_tensor(std::string_view name);

/// What parts of a model take in the memory of a GPU.
struct LayerBytes {
  std::vector<uint64_t> layers;  ///< weights of each, from the first one
  uint64_t output = 0;           ///< the last norm and the head
  uint64_t table = 0;            ///< embeddings and the head for further tokens: only where all layers are
  uint64_t kv_per_position = 0;  ///< keys and values of one layer in f16
  uint64_t workspace_per_token = 0, workspace = 0;  ///< activations of a pass, and what does not grow with it
  int32_t n_ctx_train = 0;

  int32_t n_layer() const { return static_cast<int32_t>(layers.size()); }
};

/// @throws EngineError kModelInvalid
LayerBytes read_layer_bytes(const GgufFile& file);

/// Bytes of the last n layers and the output with keys and values of n_positions, by what they are for.
struct DeviceNeed {
  uint64_t weights = 0, kv = 0, workspace = 0;
  uint64_t total() const { return weights + kv + workspace; }
};
DeviceNeed device_need(const LayerBytes& bytes, int32_t n_layers, uint64_t n_positions);

/// How many of the last layers fit into so many free bytes; 0 if not even one.
int32_t count_fitting_layers(const LayerBytes& bytes, uint64_t n_positions, uint64_t free_bytes);

/// The number of layers for a device that has so many free bytes, kAllLayers for all of them.
/// @param wanted,n_positions as LoadOptions has them. @throws EngineError kOutOfMemory with the figures
int32_t choose_device_layers(const GgufFile& file, const std::string& device, int32_t wanted, uint64_t n_positions,
                             uint64_t free_bytes);

}  // namespace outpost
