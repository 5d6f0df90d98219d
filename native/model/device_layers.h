// What the layers of a model and what is around them take in the memory of a device, from the head of the file alone.
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
  std::vector<uint64_t> layers;   ///< weights of each, from the first one
  std::vector<uint64_t> experts;  ///< of these, what the experts of a mixture take
  uint64_t output = 0;            ///< the last norm and the head
  uint64_t embeddings = 0;        ///< the tables: where the first layer is
  uint64_t table = 0;            ///< where all layers are: embeddings that are no head too, the head for further tokens
  uint64_t kv_per_position = 0;  ///< keys and values of one layer in f16
  uint64_t workspace_per_token = 0, workspace = 0;  ///< activations of a pass, and what does not grow with it
  int32_t n_ctx_train = 0;

  int32_t n_layer() const { return static_cast<int32_t>(layers.size()); }
};

/// @throws EngineError kModelInvalid
LayerBytes read_layer_bytes(const GgufFile& file);

/// The layers [first, end).
struct LayerRange {
  int32_t first, end;
  int32_t size() const { return end - first; }
};

/// Bytes of these layers and what belongs to them, with keys and values of n_positions, by what they are for.
struct DeviceNeed {
  uint64_t weights = 0, kv = 0, workspace = 0;
  uint64_t experts = 0;  ///< of the weights
  uint64_t total() const { return weights + kv + workspace; }
};
/// @param has_processor whether the processor computes other layers: a pass has as many tokens then as suit that
DeviceNeed device_need(const LayerBytes& bytes, LayerRange range, bool has_processor, uint64_t n_positions);
/// The same but for the weights of the layers themselves, in a time that does not depend on how many they are.
DeviceNeed need_beside_layers(const LayerBytes& bytes, LayerRange range, bool has_processor, uint64_t n_positions);

}  // namespace outpost
