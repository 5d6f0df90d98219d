#include "model/device_layers.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "backend/kv_format.h"
#include "kv/kv_pages.h"
#include "model/hparams.h"
#include "model/model_keys.h"

namespace outpost {
namespace {

/// Tokens in one pass: with all layers on devices those that suit them, otherwise those that suit the processor.
constexpr uint64_t kPassOfDevice = 2048, kPassOfBoth = 64;
/// Tokens of a pass whose attention is split by positions, a page to each split, or some pages of codes
/// (kernels/portable/attention_codes.h).
constexpr uint64_t kTokensInSplits = 16, kPagesOfCodesSplit = 4;
/// Free when a model is loaded, for what is not counted one by one: codes of activations, inputs and recorded passes of
/// all models.
constexpr uint64_t kHeadroom = uint64_t{256} << 20;
/// Rows of an image past the last expert's: those of the largest tile, and to the next multiple of 256.
constexpr uint64_t kExpertRowsBeyond = 128 + 256;

/// A GPU keeps weights as they are in the file; those of q6_K are widened from 210 to 224 bytes per block, and a matrix
/// that is taken apart before it is loaded (model/architectures/deepseek2.cpp) becomes f32.
uint64_t bytes_on_device(const TensorInfo& tensor) {
  if (tensor.name.ends_with("attn_kv_b.weight")) return tensor.n_elements * sizeof(float);
  const uint64_t n_bytes = tensor.bytes.size();
  return tensor.type == TensorType::kQ6_K ? n_bytes / 15 * 16 + 16 : n_bytes;
}

/// Of keys and values as a layer keeps them.
KvShape kv_shape(const ModelKeys& keys, const Hparams& hp) {
  // The latent vector with the rotated key, and the latent vector again as the value.
  if (const int32_t n_latent = keys.get("attention.kv_lora_rank", 0, kMaxHeadDim, 0); n_latent > 0)
    return {hp.n_layer, 1, n_latent + hp.n_rot, n_latent};
  return {hp.n_layer, hp.n_head_kv, hp.head_dim_k, hp.head_dim_v};
}

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

LayerBytes read_layer_bytes(const GgufFile& file, const std::string& kv) {
  const ModelKeys keys(file);
  const auto pieces = file.get_strings("tokenizer.ggml.tokens");
  const auto n_vocab = static_cast<int32_t>(pieces.has_value() ? pieces->size() : 0);
  const NormKind norm = keys.has("attention.layer_norm_epsilon") ? NormKind::kLayer : NormKind::kRms;
  const Hparams hp = read_hparams(keys, n_vocab, norm);

  // Its own keys and values are a fraction of the headroom: 64 MiB of GLM-4.5-Air.
  const bool has_mtp_head = hp.n_predict_layer > 0 && hp.architecture == "glm4moe";

  LayerBytes bytes;
  bytes.layers.resize(static_cast<size_t>(hp.n_layer));
  bytes.experts.resize(bytes.layers.size());
  uint64_t n_ff_exp = 0;  // of an expert
  for (const TensorInfo& tensor : file.tensors()) {
    const uint64_t n_bytes = bytes_on_device(tensor);
    if (tensor.name.find("ffn_down_exps.weight") != std::string_view::npos)
      n_ff_exp = std::max(n_ff_exp, static_cast<uint64_t>(tensor.shape.back()));
    if (const auto il = layer_of_tensor(tensor.name); il.has_value()) {
      if (*il < hp.n_layer) {
        bytes.layers[static_cast<size_t>(*il)] += n_bytes;
        if (tensor.name.find("_exps.") != std::string_view::npos) bytes.experts[static_cast<size_t>(*il)] += n_bytes;
      }
      if (*il == hp.n_layer && has_mtp_head) bytes.table += n_bytes;
    } else if (tensor.name.starts_with("output")) {
      bytes.output += n_bytes;
    } else if (tensor.name.starts_with("token_embd") || tensor.name.starts_with("position_embd")) {
      bytes.embeddings += n_bytes;
    }
  }
  // Tied: the embeddings are the head as well, and where the device has both it has them once.
  (file.find_tensor("output.weight") == nullptr ? bytes.output : bytes.table) += bytes.embeddings;
  bytes.n_ctx_train = hp.n_ctx_train;
  bytes.n_expert = keys.get("expert_count", 0, INT32_MAX, 0);
  bytes.n_expert_used = keys.get("expert_used_count", 0, INT32_MAX, 0);
  const KvShape shape = kv_shape(keys, hp);
  const KvFormat format = parse_kv_format(kv, hp.n_layer);
  for (const KvBits& bits : format.layers) bytes.kv.push_back(device_kv_bytes(shape, bits));
  if (!format.is_exact()) bytes.kv_unpacked = device_kv_bytes(shape, {}).fresh;
  const auto n_wide = static_cast<uint64_t>(8 * int64_t{hp.n_embd} + 2 * int64_t{hp.n_ff});
  bytes.workspace_per_token = sizeof(float) * n_wide;
  if (keys.has("attention.kv_lora_rank")) {
    // Queries of all heads, the same absorbed, what they attend to, and values: twice, as room is made in doubling
    // steps.
    const auto n_of_head = static_cast<uint64_t>(hp.head_dim_k + shape.head_dim_k + shape.head_dim_v + hp.head_dim_v);
    bytes.workspace_per_token += 2 * sizeof(float) * static_cast<uint64_t>(hp.n_head) * n_of_head;
  }
  const uint64_t n_pages_of_split = format.is_exact() ? 1 : kPagesOfCodesSplit;
  bytes.workspace_per_page = kTokensInSplits * sizeof(float) * static_cast<uint64_t>(hp.n_head) *
                             static_cast<uint64_t>(shape.head_dim_v) / n_pages_of_split;
  bytes.workspace = 2 * sizeof(float) * static_cast<uint64_t>(n_vocab);
  bytes.headroom = kHeadroom;
  if (n_ff_exp > 0) {
    // What gate and up make of a token and the results, for each expert that it uses; and the wider as f16, of which a
    // pass has rows besides (kernels/portable/expert_rows.h).
    const auto n_embd = static_cast<uint64_t>(hp.n_embd), n_widest = std::max(n_embd, n_ff_exp);
    const uint64_t per_choice = sizeof(float) * (2 * n_ff_exp + n_embd) + sizeof(uint16_t) * n_widest;
    bytes.workspace_per_token += static_cast<uint64_t>(bytes.n_expert_used) * per_choice;
    bytes.workspace += sizeof(uint16_t) * n_widest * (8 * static_cast<uint64_t>(bytes.n_expert) + kExpertRowsBeyond);
  }
  return bytes;
}

LayerSum& LayerSum::operator+=(const LayerSum& other) {
  weights += other.weights;
  experts += other.experts;
  kv += other.kv;
  return *this;
}

LayerSum layer_sum(const LayerBytes& bytes, int32_t il) {
  const auto i = static_cast<size_t>(il);
  return {bytes.layers[i], bytes.experts[i], bytes.kv[i]};
}

DeviceNeed device_need(const LayerBytes& bytes, LayerRange range, bool has_processor, uint64_t n_positions) {
  LayerSum layers;
  for (int32_t il = range.first; il < range.end; ++il) layers += layer_sum(bytes, il);
  return device_need(bytes, range, layers, has_processor, n_positions);
}

DeviceNeed device_need(const LayerBytes& bytes, LayerRange range, const LayerSum& layers, bool has_processor,
                       uint64_t n_positions) {
  const bool has_first = range.first == 0, has_last = range.end == bytes.n_layer();
  const uint64_t n_pass = has_processor ? kPassOfBoth : kPassOfDevice;
  const auto pages_for = [](uint64_t n) { return (n + kKvPageSize - 1) / kKvPageSize; };
  DeviceNeed need;
  need.weights = layers.weights;
  need.experts = layers.experts;
  need.headroom = bytes.headroom;
  need.workspace = bytes.workspace + bytes.workspace_per_token * n_pass + need.headroom;
  if (has_last) need.weights += bytes.output;
  if (has_first) need.weights += has_last ? bytes.table : bytes.embeddings;
  const uint64_t n_pages = pages_for(n_positions);
  // Attention over codes has no other way than splits.
  const uint64_t n_split = n_pages / kDeviceContexts * bytes.workspace_per_page;
  need.workspace += (bytes.kv_unpacked == 0 ? std::min(kMostSplitBytes, n_split) : n_split) * 3 / 2;
  if (bytes.kv_unpacked == 0) {
    need.kv = n_pages * layers.kv.fresh;
  } else if (n_positions > 0) {
    need.kv = n_pages * layers.kv.packed + pages_for(n_pass) * layers.kv.fresh +
              kDeviceContexts * (kKvFreshPages * layers.kv.fresh + layers.kv.sinks);
    need.workspace += n_pages * bytes.kv_unpacked;
  }
  return need;
}

}  // namespace outpost
