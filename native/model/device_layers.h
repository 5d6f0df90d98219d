// What the layers of a model and what is around them take in the memory of a device, from the head of the file alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/device_kv_bytes.h"
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
  uint64_t table = 0;  ///< where all layers are: embeddings that are no head too, the head for further tokens
  std::vector<DeviceKvBytes> kv;  ///< of a page of each layer
  uint64_t kv_unpacked = 0;       ///< of a page of one layer in f16, where pages are packed: long passes read that
  uint64_t workspace_per_token = 0, workspace = 0;  ///< activations of a pass, and what does not grow with it
  uint64_t workspace_per_page = 0;                  ///< of one text, for attention of few tokens
  uint64_t headroom = 0;                            ///< kept free while a model is loaded, for what is not counted
  int32_t n_ctx_train = 0;
  int32_t n_expert = 0, n_expert_used = 0;  ///< of a layer, and of these per token; 0 without experts

  int32_t n_layer() const { return static_cast<int32_t>(layers.size()); }
};

/// @param kv how keys and values are going to be kept, as parse_kv_format reads it
/// @throws EngineError kModelInvalid, kInvalidArgument
LayerBytes read_layer_bytes(const GgufFile& file, const std::string& kv);

/// Texts at once that a device holds keys and values of, unless somebody says otherwise.
inline constexpr uint64_t kDeviceContexts = 2;

/// The layers [first, end).
struct LayerRange {
  int32_t first, end;
  int32_t size() const { return end - first; }
};

/// What layers take by themselves, added up.
struct LayerSum {
  uint64_t weights = 0;
  uint64_t experts = 0;  ///< of the weights
  DeviceKvBytes kv;      ///< of a page

  LayerSum& operator+=(const LayerSum& other);
  friend LayerSum operator-(const LayerSum& a, const LayerSum& b) {
    return {a.weights - b.weights, a.experts - b.experts, a.kv - b.kv};
  }
};
LayerSum layer_sum(const LayerBytes& bytes, int32_t il);

/// Bytes of these layers and what belongs to them, with keys and values of n_positions, by what they are for.
struct DeviceNeed {
  uint64_t weights = 0, kv = 0, workspace = 0;
  uint64_t experts = 0;   ///< of the weights
  uint64_t headroom = 0;  ///< of the workspace: has to be free for the model to be loaded, and nobody takes it
  uint64_t total() const { return weights + kv + workspace; }
};
/// @param has_processor whether the processor computes other layers: a pass has as many tokens then as suit that
DeviceNeed device_need(const LayerBytes& bytes, LayerRange range, bool has_processor, uint64_t n_positions);
/// The same where it is known what the layers of the range take: in a time that does not depend on how many they are.
DeviceNeed device_need(const LayerBytes& bytes, LayerRange range, const LayerSum& layers, bool has_processor,
                       uint64_t n_positions);

}  // namespace outpost
