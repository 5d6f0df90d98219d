// DeepSeek V2, V3 and R1, and what uses their shape (arXiv:2405.04434, arXiv:2412.19437).
//
// Multi-head latent attention: the cache holds one latent vector per position, [kv_lora_rank] and a rotated key
// [n_rot] that all heads share. Keys and values of a head are linear in the latent vector, so their matrices are
// applied to the query and to the result instead ("absorbed"), and attention is MQA with keys of kv_lora_rank + n_rot.
#include <cmath>
#include <memory>
#include <vector>

#include "model/architectures/architectures.h"
#include "model/rope_scaling.h"

namespace outpost {
namespace {

struct Layer {
  Norm attn_norm;
  std::unique_ptr<Linear> q_a;  // [q_lora_rank, n_embd]; null where q is a single product
  std::unique_ptr<Norm> q_a_norm;
  Linear q;                          // [n_head * key_length, q_lora_rank or n_embd]
  Linear kv_a;                       // [kv_lora_rank + n_rot, n_embd]
  Norm kv_a_norm;                    // [kv_lora_rank]
  std::unique_ptr<HeadWeights> k_b;  // [n_head, kv_lora_rank, key_length - n_rot]
  std::unique_ptr<HeadWeights> v_b;  // [n_head, value_length, kv_lora_rank]
  Linear output;                     // [n_embd, n_head * value_length]
  Norm ffn_norm;
  std::unique_ptr<FeedForward> ffn;
};

class DeepSeek2 final : public Decoder {
 public:
  DeepSeek2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : Decoder(read_hparams(keys, n_vocab), loader) {
    n_latent_ = keys.get("attention.kv_lora_rank", 1, kMaxHeadDim - hp_.n_rot);
    // The sizes of a head as the paper has them. Older files give them as key_length and value_length; newer ones keep
    // those for the absorbed form.
    n_key_ = keys.get("attention.key_length_mla", 2, kMaxHeadDim, hp_.head_dim_k);
    n_value_ = keys.get("attention.value_length_mla", 1, kMaxHeadDim, hp_.head_dim_v);
    if (n_key_ <= hp_.n_rot)
      keys.fail("attention.key_length", " is ", n_key_, "; expected more than rope.dimension_count, ", hp_.n_rot);
    load_positions(keys, loader);

    const int32_t n_dense = keys.get("leading_dense_block_count", 0, hp_.n_layer, 0);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      layers_.push_back(load_latent_attention(loader, il));
      const std::string blk = block_prefix(il);
      if (il < n_dense) {
        layers_.back().ffn = load_gated_ffn(loader, hp_, blk, hp_.n_ff, Gate::kSwiGlu);
      } else {
        layers_.back().ffn = load_moe_ffn_with_shared(keys, loader, hp_, il, RouterParams::Gating::kSoftmax);
      }
    }
    for (int32_t i = 0; i < hp_.n_predict_layer; ++i) loader.skip(block_prefix(hp_.n_layer + i));
  }

  KvShape kv_shape() const override { return {hp_.n_layer, 1, n_latent_ + hp_.n_rot, n_latent_}; }

 private:
  void load_positions(const ModelKeys& keys, WeightLoader& loader) {
    RopeScaling scaling = read_rope_scaling(keys, hp_.n_ctx_train);
    // YaRN's temperature is applied to the scores instead of the rotated parts, which are only some of the dimensions.
    // Files hold a tenth of mscale_all_dim; mscale itself is taken to be the same (llama.cpp, src/llama-context.cpp).
    if (scaling.log_multiplier > 0.0) scaling.magnitude = keys.get_float("rope.scaling.attn_factor", 1e-6, 1e6, 1.0);
    const double temperature = double{scaling.magnitude} * (1.0 + scaling.log_multiplier * std::log(scaling.factor));
    attention_ = {hp_.n_head, 1, n_latent_ + hp_.n_rot, n_latent_,
                  static_cast<float>(temperature * temperature / std::sqrt(static_cast<double>(n_key_)))};
    rope_ = load_rope(keys, loader, scaling, hp_.n_rot, RopePairing::kAdjacent, /*offset=*/n_latent_);
  }

  Layer load_latent_attention(WeightLoader& loader, int32_t il) const {
    const std::string blk = block_prefix(il);
    const int64_t n_q = int64_t{hp_.n_head} * n_key_;
    Layer layer{};
    layer.attn_norm = load_norm(loader, hp_, blk + "attn_norm", hp_.n_embd);
    if (loader.has(blk + "attn_q_a.weight")) {
      const int64_t n_rank = loader.n_rows(blk + "attn_q_a.weight");
      layer.q_a = std::make_unique<Linear>(load_linear(loader, blk + "attn_q_a", n_rank, hp_.n_embd));
      layer.q_a_norm = std::make_unique<Norm>(load_norm(loader, hp_, blk + "attn_q_a_norm", n_rank));
      layer.q = load_linear(loader, blk + "attn_q_b", n_q, n_rank);
    } else {
      layer.q = load_linear(loader, blk + "attn_q", n_q, hp_.n_embd);
    }
    layer.kv_a = load_linear(loader, blk + "attn_kv_a_mqa", n_latent_ + hp_.n_rot, hp_.n_embd);
    layer.kv_a_norm = load_norm(loader, hp_, blk + "attn_kv_a_norm", n_latent_);
    load_head_matrices(loader, blk, layer);
    layer.output = load_linear(loader, blk + "attn_output", hp_.n_embd, int64_t{hp_.n_head} * n_value_);
    layer.ffn_norm = load_norm(loader, hp_, blk + "ffn_norm", hp_.n_embd);
    return layer;
  }

  /// Newer files hold k_b and v_b; older ones kv_b, which has both for each head, k_b transposed.
  void load_head_matrices(WeightLoader& loader, const std::string& blk, Layer& layer) const {
    const int64_t n_head = hp_.n_head, n_nope = n_key_ - hp_.n_rot;
    if (loader.has(blk + "attn_k_b.weight")) {
      layer.k_b = loader.heads(blk + "attn_k_b.weight", n_head, n_latent_, n_nope);
      layer.v_b = loader.heads(blk + "attn_v_b.weight", n_head, n_value_, n_latent_);
      return;
    }
    const std::string name = blk + "attn_kv_b.weight";
    const std::vector<float> kv_b = loader.values(name, {n_head * (n_nope + n_value_), n_latent_});
    const int64_t n_of_k = n_nope * n_latent_, n_of_v = n_value_ * n_latent_;
    std::vector<float> k_b(static_cast<size_t>(n_head * n_of_k)), v_b;
    for (int64_t h = 0; h < n_head; ++h) {
      const auto head = kv_b.begin() + h * (n_of_k + n_of_v);
      for (int64_t i = 0; i < n_nope; ++i) {
        for (int64_t j = 0; j < n_latent_; ++j)
          k_b[static_cast<size_t>(h * n_of_k + j * n_nope + i)] = head[i * n_latent_ + j];
      }
      v_b.insert(v_b.end(), head + n_of_k, head + n_of_k + n_of_v);
    }
    layer.k_b = loader.computed_heads(name, k_b, n_head, n_nope);
    layer.v_b = loader.computed_heads(name, v_b, n_head, n_latent_);
  }

  void layer(Pass& pass, int32_t il, DeviceSpan<float> x) override {
    const Layer& layer = layers_[static_cast<size_t>(il)];
    const Scratch::Frame frame(pass.scratch);
    const auto h = pass.scratch.take(pass.n_tokens, hp_.n_embd), y = pass.scratch.take(pass.n_tokens, hp_.n_embd);

    layer.attn_norm.forward(pass, h, x);
    latent_attention(pass, layer, il, y, h);
    pass.backend.add(x, y);

    layer.ffn_norm.forward(pass, h, x);
    layer.ffn->forward(pass, y, h);
    pass.backend.add(x, y);
  }

  void latent_attention(Pass& pass, const Layer& layer, int32_t il, DeviceSpan<float> y, DeviceSpan<const float> x) {
    Backend& backend = pass.backend;
    const Scratch::Frame frame(pass.scratch);
    const auto take = [&](int64_t width) { return pass.scratch.take(pass.n_tokens, width); };
    const int32_t n_head = hp_.n_head, n_rot = hp_.n_rot, n_nope = n_key_ - n_rot, n_cached = n_latent_ + n_rot;

    // Queries, and with k_b applied: [n_tokens, n_head, n_latent + n_rot].
    const auto q = take(int64_t{n_head} * n_key_), q_absorbed = take(int64_t{n_head} * n_cached);
    if (layer.q_a != nullptr) {
      const auto compressed = take(layer.q_a->weight->n_rows());
      layer.q_a->forward(pass, compressed, x);
      layer.q_a_norm->forward(pass, compressed, compressed);
      layer.q.forward(pass, q, compressed);
    } else {
      layer.q.forward(pass, q, x);
    }
    backend.matmul_heads(q_absorbed, n_cached, *layer.k_b, q, n_key_, pass.n_tokens);
    backend.copy_columns(q_absorbed, n_cached, n_latent_, q, n_key_, n_nope, n_rot, pass.n_tokens * n_head);

    // What is cached: the normalized latent vector, and with it the shared key that is rotated.
    const auto kv = take(n_cached), latent = take(n_latent_);
    layer.kv_a.forward(pass, kv, x);
    backend.copy_columns(latent, n_latent_, 0, kv, n_cached, 0, n_latent_, pass.n_tokens);
    layer.kv_a_norm.forward(pass, latent, latent);
    backend.copy_columns(kv, n_cached, 0, latent, n_latent_, 0, n_latent_, pass.n_tokens);

    const auto attended = take(int64_t{n_head} * n_latent_), values = take(int64_t{n_head} * n_value_);
    backend.rope_and_store_kv(q_absorbed, kv, latent, pass.kv, pass.kv_layer(il), pass.batch.runs, attention_,
                              rope_.at(pass));
    backend.attention(attended, q_absorbed, pass.kv, pass.kv_layer(il), pass.batch.runs, attention_);
    backend.matmul_heads(values, n_value_, *layer.v_b, attended, n_latent_, pass.n_tokens);
    layer.output.forward(pass, y, values);
  }

  int32_t n_latent_, n_key_, n_value_;
  AttentionParams attention_{};
  ModelRope rope_;
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Decoder> load_deepseek2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<DeepSeek2>(keys, n_vocab, loader);
}

}  // namespace outpost
