// Gemma 2 (arXiv:2408.00118): norms before and after each part, soft-capped scores and logits, and a sliding window in
// every other layer.
#include <cmath>
#include <memory>
#include <vector>

#include "model/architectures/architectures.h"
#include "model/rope_scaling.h"

namespace outpost {
namespace {

struct Layer {
  Norm attn_norm;
  SelfAttention attention;
  Norm post_attention_norm, ffn_norm;
  std::unique_ptr<GatedFfn> ffn;
  Norm post_ffw_norm;
};

class Gemma2 final : public Decoder {
 public:
  Gemma2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) : Decoder(read_hparams(keys, n_vocab), loader) {
    constexpr int32_t kLayersOf27B = 46;
    embedding_scale_ = std::sqrt(static_cast<float>(hp_.n_embd));
    logit_softcap_ = keys.get_float("final_logit_softcapping", 0.0, 1e6, 30.0);
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    const float softcap = keys.get_float("attn_logit_softcapping", 0.0, 1e6, 50.0);
    const int32_t n_window = keys.get("attention.sliding_window", 1, 1 << 28, 4096);
    const auto has_window = keys.get_layer_pattern("attention.sliding_window_pattern", hp_.n_layer, 2);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      const std::string blk = block_prefix(il);
      SelfAttention attention = load_attention(loader, hp_, blk);
      attention.params.softcap = softcap;
      attention.params.n_window = has_window[static_cast<size_t>(il)] ? n_window : 0;
      // The paper's largest model scales by its width per head, which is not its head's width; no key tells.
      if (hp_.n_layer == kLayersOf27B)
        attention.params.scale = 1.0f / std::sqrt(static_cast<float>(hp_.n_embd / hp_.n_head));
      layers_.push_back({load_norm(loader, hp_, blk + "attn_norm", hp_.n_embd), std::move(attention),
                         load_norm(loader, hp_, blk + "post_attention_norm", hp_.n_embd),
                         load_norm(loader, hp_, blk + "ffn_norm", hp_.n_embd),
                         load_gated_ffn(loader, hp_, blk, hp_.n_ff, Gate::kGeGlu),
                         load_norm(loader, hp_, blk + "post_ffw_norm", hp_.n_embd)});
    }
  }

 private:
  void layer(Pass& pass, int32_t il, DeviceSpan<float> x) override {
    const Layer& layer = layers_[static_cast<size_t>(il)];
    const Scratch::Frame frame(pass.scratch);
    const auto h = pass.scratch.take(pass.n_tokens, hp_.n_embd), y = pass.scratch.take(pass.n_tokens, hp_.n_embd);

    layer.attn_norm.forward(pass, h, x);
    layer.attention.forward(pass, il, y, h, rope_.at(pass.batch.n_ctx));
    layer.post_attention_norm.forward(pass, y, y);
    pass.backend.add(x, y);

    layer.ffn_norm.forward(pass, h, x);
    layer.ffn->forward(pass, y, h);
    layer.post_ffw_norm.forward(pass, y, y);
    pass.backend.add(x, y);
  }

  ModelRope rope_;
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Decoder> load_gemma2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Gemma2>(keys, n_vocab, loader);
}

}  // namespace outpost
