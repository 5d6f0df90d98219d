#include "model/llama.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "engine.h"
#include "model/weight_loader.h"

namespace outpost {
namespace {

/// Fields carry the GGUF tensor names.
struct Layer {
  std::unique_ptr<Buffer> attn_norm;    // [n_embd]
  std::unique_ptr<Weight> attn_q;       // [n_head * head_dim, n_embd]
  std::unique_ptr<Weight> attn_k;       // [n_head_kv * head_dim, n_embd]
  std::unique_ptr<Weight> attn_v;       // [n_head_kv * head_dim, n_embd]
  std::unique_ptr<Weight> attn_output;  // [n_embd, n_head * head_dim]
  std::unique_ptr<Buffer> ffn_norm;     // [n_embd]
  std::unique_ptr<Weight> ffn_gate;     // [n_ff, n_embd]
  std::unique_ptr<Weight> ffn_up;       // [n_ff, n_embd]
  std::unique_ptr<Weight> ffn_down;     // [n_embd, n_ff]
};

class Llama final : public Network {
 public:
  Llama(const Hparams& hp, WeightLoader& loader) : hp_(hp), backend_(loader.backend()) {
    const int64_t n_q = int64_t{hp.n_head} * hp.head_dim, n_kv = int64_t{hp.n_head_kv} * hp.head_dim;
    token_embd_ = loader.table("token_embd.weight", hp.n_vocab, hp.n_embd);
    for (int32_t il = 0; il < hp.n_layer; ++il) {
      const std::string blk = "blk." + std::to_string(il) + ".";
      Layer layer;
      layer.attn_norm = loader.vector(blk + "attn_norm.weight", hp.n_embd);
      layer.attn_q = loader.matrix(blk + "attn_q.weight", n_q, hp.n_embd);
      layer.attn_k = loader.matrix(blk + "attn_k.weight", n_kv, hp.n_embd);
      layer.attn_v = loader.matrix(blk + "attn_v.weight", n_kv, hp.n_embd);
      layer.attn_output = loader.matrix(blk + "attn_output.weight", hp.n_embd, n_q);
      layer.ffn_norm = loader.vector(blk + "ffn_norm.weight", hp.n_embd);
      layer.ffn_gate = loader.matrix(blk + "ffn_gate.weight", hp.n_ff, hp.n_embd);
      layer.ffn_up = loader.matrix(blk + "ffn_up.weight", hp.n_ff, hp.n_embd);
      layer.ffn_down = loader.matrix(blk + "ffn_down.weight", hp.n_embd, hp.n_ff);
      layers_.push_back(std::move(layer));
    }
    output_norm_ = loader.vector("output_norm.weight", hp.n_embd);
    // Tied embeddings: the head multiplies by the embedding table.
    output_ = loader.matrix(loader.has("output.weight") ? "output.weight" : "token_embd.weight", hp.n_vocab, hp.n_embd);
    std::unique_ptr<Buffer> factors;
    if (loader.has("rope_freqs.weight")) factors = loader.vector("rope_freqs.weight", hp.n_rot / 2);
    // llama files store q and k with each head's rows permuted for rotation of adjacent pairs.
    RopeParams rope;
    for (int32_t i = 0; i < hp.n_rot / 2; ++i) {
      const double divisor = factors == nullptr ? 1.0 : double{factors->span().data[i]};
      rope.frequencies.push_back(std::pow(double{hp.rope_freq_base}, -2.0 * i / hp.n_rot) * hp.rope_freq_scale /
                                 divisor);
    }
    rope_ = backend_.create_rope(rope);
    weight_bytes_ = loader.weight_bytes();
  }

  const Hparams& hparams() const override { return hp_; }
  size_t weight_bytes() const override { return weight_bytes_; }

  void forward(const Batch& batch, KvStorage& kv, std::span<float> logits) override {
    const auto n_tokens = static_cast<int32_t>(batch.tokens.size());
    const Activations a = reserve(n_tokens);
    const AttentionParams params{hp_.n_head, hp_.n_head_kv, hp_.head_dim, hp_.head_dim,
                                 1.0f / std::sqrt(static_cast<float>(hp_.head_dim))};

    backend_.embed(a.x, token_embd_, batch.tokens);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      const Layer& layer = layers_[static_cast<size_t>(il)];

      backend_.rms_norm(a.normed, a.x, layer.attn_norm->span(), n_tokens, hp_.rms_eps);
      const MatmulTask qkv[] = {{layer.attn_q.get(), a.q}, {layer.attn_k.get(), a.k}, {layer.attn_v.get(), a.v}};
      backend_.matmul(qkv, a.normed, n_tokens);
      backend_.rope_and_store_kv(a.q, a.k, a.v, kv, il, batch.runs, params, rope_.get());
      backend_.attention(a.attended, a.q, kv, il, batch.runs, params);
      multiply(a.normed, *layer.attn_output, a.attended, n_tokens);
      backend_.add(a.x, a.normed);

      backend_.rms_norm(a.normed, a.x, layer.ffn_norm->span(), n_tokens, hp_.rms_eps);
      backend_.matmul_gated(a.gated, {layer.ffn_gate.get(), layer.ffn_up.get()}, a.normed, n_tokens, Gate::kSwiGlu);
      multiply(a.normed, *layer.ffn_down, a.gated, n_tokens);
      backend_.add(a.x, a.normed);
    }

    const auto n_logits = static_cast<int32_t>(batch.logit_rows.size());
    if (n_logits == 0) return;
    backend_.gather_rows(a.normed, a.x, batch.logit_rows, hp_.n_embd);
    backend_.rms_norm(a.normed, a.normed, output_norm_->span(), n_logits, hp_.rms_eps);
    if (logits_ == nullptr || logits_->span().size < logits.size()) logits_ = backend_.alloc_f32(logits.size());
    multiply(logits_->span(), *output_, a.normed, n_logits);
    backend_.read(logits, logits_->span());
  }

 private:
  /// Views into one buffer for a batch of n_tokens.
  struct Activations {
    DeviceSpan<float> x;         // [n_tokens, n_embd], the residual stream
    DeviceSpan<float> normed;    // [n_tokens, n_embd]
    DeviceSpan<float> q;         // [n_tokens, n_head, head_dim]
    DeviceSpan<float> k, v;      // [n_tokens, n_head_kv, head_dim]
    DeviceSpan<float> attended;  // [n_tokens, n_head, head_dim]
    DeviceSpan<float> gated;     // [n_tokens, n_ff]
  };

  Activations reserve(int32_t n_tokens) {
    const auto n = static_cast<size_t>(n_tokens);
    const size_t n_embd = n * static_cast<size_t>(hp_.n_embd), n_ff = n * static_cast<size_t>(hp_.n_ff);
    const size_t n_q = n * static_cast<size_t>(hp_.n_head) * static_cast<size_t>(hp_.head_dim);
    const size_t n_kv = n * static_cast<size_t>(hp_.n_head_kv) * static_cast<size_t>(hp_.head_dim);
    const size_t n_total = 2 * n_embd + 2 * n_q + 2 * n_kv + n_ff;
    if (activations_ == nullptr || activations_->span().size < n_total) activations_ = backend_.alloc_f32(n_total);
    float* at = activations_->span().data;
    const auto take = [&](size_t size) { return DeviceSpan<float>{std::exchange(at, at + size), size}; };
    return {take(n_embd), take(n_embd), take(n_q), take(n_kv), take(n_kv), take(n_q), take(n_ff)};
  }

  void multiply(DeviceSpan<float> y, const Weight& weight, DeviceSpan<const float> x, int32_t n_tokens) {
    const MatmulTask task{&weight, y};
    backend_.matmul({&task, 1}, x, n_tokens);
  }

  Hparams hp_;
  Backend& backend_;
  WeightView token_embd_{};  // [n_vocab, n_embd]
  std::vector<Layer> layers_;
  std::unique_ptr<Buffer> output_norm_;  // [n_embd]
  std::unique_ptr<Weight> output_;       // [n_vocab, n_embd]
  std::unique_ptr<Rope> rope_;
  size_t weight_bytes_ = 0;
  std::unique_ptr<Buffer> activations_, logits_;
};

}  // namespace

std::unique_ptr<Network> load_llama(const Hparams& hparams, WeightLoader& loader) {
  return std::make_unique<Llama>(hparams, loader);
}

}  // namespace outpost
