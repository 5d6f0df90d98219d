#include "model/device_layers.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "backend/backend.h"
#include "core/strings.h"
#include "engine.h"
#include "model/hparams.h"
#include "model/model_keys.h"

namespace outpost {
namespace {

/// Of a context whose length nobody said.
constexpr int32_t kUsualContext = 8192;
constexpr uint64_t kContexts = 2;
/// Tokens in one pass: with all layers on a device those that suit it, otherwise those that suit the processor.
constexpr uint64_t kPassOfDevice = 2048, kPassOfBoth = 64;
/// Kept free for what is not counted one by one: codes of activations, inputs and recorded passes.
constexpr uint64_t kHeadroom = uint64_t{256} << 20;

/// A GPU keeps weights as they are in the file; those of q6_K are widened from 210 to 224 bytes per block, and a matrix
/// that is taken apart before it is loaded (model/architectures/deepseek2.cpp) becomes f32.
uint64_t bytes_on_device(const TensorInfo& tensor) {
  if (tensor.name.ends_with("attn_kv_b.weight")) return tensor.n_elements * sizeof(float);
  const uint64_t n_bytes = tensor.bytes.size();
  return tensor.type == TensorType::kQ6_K ? n_bytes / 15 * 16 + 16 : n_bytes;
}

/// Elements of keys and values that a layer keeps of a position.
uint64_t kv_elements(const ModelKeys& keys, const Hparams& hp) {
  // The latent vector with the rotated key, and the latent vector again as the value.
  if (const int32_t n_latent = keys.get("attention.kv_lora_rank", 0, kMaxHeadDim, 0); n_latent > 0)
    return 2 * static_cast<uint64_t>(n_latent) + static_cast<uint64_t>(hp.n_rot);
  return static_cast<uint64_t>(hp.n_head_kv) * static_cast<uint64_t>(hp.head_dim_k + hp.head_dim_v);
}

std::string mib(uint64_t n_bytes) { return concat((n_bytes + (1 << 20) - 1) >> 20, " MiB"); }

}  // namespace

std::optional<int32_t> layer_of_tensor(std::string_view name) {
  constexpr std::string_view kLayer = "blk.";
  if (!name.starts_with(kLayer)) return std::nullopt;
  int32_t il = 0;
  const char* last = name.data() + name.size();
  const auto [end, error] = std::from_chars(name.data() + kLayer.size(), last, il);
  if (error != std::errc() || il < 0 || end == last || *end != '.') return std::nullopt;
  return il;
}

LayerBytes read_layer_bytes(const GgufFile& file) {
  const ModelKeys keys(file);
  const auto pieces = file.get_strings("tokenizer.ggml.tokens");
  const auto n_vocab = static_cast<int32_t>(pieces.has_value() ? pieces->size() : 0);
  const NormKind norm = keys.has("attention.layer_norm_epsilon") ? NormKind::kLayer : NormKind::kRms;
  const Hparams hp = read_hparams(keys, n_vocab, norm);

  // Its own keys and values are a fraction of the headroom: 64 MiB of GLM-4.5-Air.
  const bool has_mtp_head = hp.n_predict_layer > 0 && hp.architecture == "glm4moe";

  LayerBytes bytes;
  bytes.layers.resize(static_cast<size_t>(hp.n_layer));
  uint64_t embedding_bytes = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    const uint64_t n_bytes = bytes_on_device(tensor);
    if (const auto il = layer_of_tensor(tensor.name); il.has_value()) {
      if (*il < hp.n_layer) bytes.layers[static_cast<size_t>(*il)] += n_bytes;
      if (*il == hp.n_layer && has_mtp_head) bytes.table += n_bytes;
    } else if (tensor.name.starts_with("output")) {
      bytes.output += n_bytes;
    } else if (tensor.name.starts_with("token_embd") || tensor.name.starts_with("position_embd")) {
      bytes.table += n_bytes;
      embedding_bytes += n_bytes;
    }
  }
  // Tied: the embeddings are the head as well, and where the device has both it has them once.
  if (file.find_tensor("output.weight") == nullptr) {
    bytes.output += embedding_bytes;
    bytes.table -= embedding_bytes;
  }
  bytes.n_ctx_train = hp.n_ctx_train;
  bytes.kv_per_position = sizeof(uint16_t) * kv_elements(keys, hp);
  const auto n_wide = static_cast<uint64_t>(8 * int64_t{hp.n_embd} + 2 * int64_t{hp.n_ff});
  bytes.workspace_per_token = sizeof(float) * n_wide;
  bytes.workspace = 2 * sizeof(float) * static_cast<uint64_t>(n_vocab) + kHeadroom;
  return bytes;
}

DeviceNeed device_need(const LayerBytes& bytes, int32_t n_layers, uint64_t n_positions) {
  const bool is_all = n_layers >= bytes.n_layer();
  n_layers = std::min(n_layers, bytes.n_layer());
  DeviceNeed need;
  need.weights = bytes.output + (is_all ? bytes.table : 0);
  for (int32_t il = bytes.n_layer() - n_layers; il < bytes.n_layer(); ++il)
    need.weights += bytes.layers[static_cast<size_t>(il)];
  const uint64_t n_padded = (n_positions + kKvPageSize - 1) / kKvPageSize * kKvPageSize;
  need.kv = bytes.kv_per_position * static_cast<uint64_t>(n_layers) * n_padded;
  need.workspace = bytes.workspace + bytes.workspace_per_token * (is_all ? kPassOfDevice : kPassOfBoth);
  return need;
}

int32_t count_fitting_layers(const LayerBytes& bytes, uint64_t n_positions, uint64_t free_bytes) {
  for (int32_t n = bytes.n_layer(); n > 0; --n) {
    if (device_need(bytes, n, n_positions).total() <= free_bytes) return n;
  }
  return 0;
}

int32_t choose_device_layers(const GgufFile& file, const std::string& device, int32_t wanted, uint64_t n_positions,
                             uint64_t free_bytes) {
  if (wanted < kAllLayers) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("n_device_layers is ", wanted, "; expected ", kAllLayers, " for all layers, ",
                             kFittingLayers, " for those that fit, or their number."));
  }
  if (wanted == kAllLayers) return kAllLayers;  // what has no room says so when it is loaded
  const LayerBytes bytes = read_layer_bytes(file);
  const bool is_free = wanted == kFittingLayers;
  if (is_free && n_positions == 0)
    n_positions = kContexts * static_cast<uint64_t>(std::min(kUsualContext, bytes.n_ctx_train));
  const int32_t n_fitting = count_fitting_layers(bytes, n_positions, free_bytes);
  const int32_t n_layers = is_free ? std::max(1, n_fitting) : std::min(wanted, bytes.n_layer());
  if (n_layers <= n_fitting) return n_layers == bytes.n_layer() ? kAllLayers : n_layers;
  const DeviceNeed need = device_need(bytes, n_layers, n_positions);
  throw EngineError(
      ErrorCode::kOutOfMemory,
      concat(n_layers, n_layers == 1 ? " layer" : " layers", " of ", file.path(), " and its output take ",
             mib(need.total()), " on ", device, ": ", mib(need.weights), " of weights, ", mib(need.kv),
             " of keys and values, ", mib(need.workspace), " to compute. ", mib(free_bytes), " are free",
             n_fitting > 0 ? concat(", which is room for ", n_fitting, n_fitting == 1 ? " layer." : " layers.")
                           : ", which is too little for one layer. Choose a shorter context, a smaller file or the "
                             "processor."));
}

}  // namespace outpost
