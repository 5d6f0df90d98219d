// Gemma 3 (arXiv:2503.19786): norms as in Gemma 2 and on every head of q and k; five layers with a sliding window and a
// rotation of their own for each one that sees all.
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

class Gemma3 final : public Decoder {
 public:
  Gemma3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) : Decoder(read_hparams(keys, n_vocab), loader) {
    constexpr int32_t kLayersOf27B = 62;
    embedding_scale_ = std::sqrt(static_cast<float>(hp_.n_embd));
    logit_softcap_ = keys.get_float("final_logit_softcapping", 0.0, 1e6, 0.0);
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    const double local_base = double{keys.get_float("rope.freq_base_swa", 1.0, 1e12, 10000.0)};
    local_rope_ = loader.backend().create_rope(
        {RopePairing::kHalves, 0, rope_frequencies(hp_.n_rot, local_base, RopeScaling{}), 1.0f});
    const int32_t n_window = keys.get("attention.sliding_window", 0, 1 << 28, 0);
    const auto has_window = keys.get_layer_pattern("attention.sliding_window_pattern", hp_.n_layer, 6);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      const std::string blk = block_prefix(il);
      SelfAttention attention = load_attention(loader, hp_, blk);
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
    const bool is_local = layer.attention.params.n_window > 0;
    const Scratch::Frame frame(pass.scratch);
    const auto h = pass.scratch.take(pass.n_tokens, hp_.n_embd), y = pass.scratch.take(pass.n_tokens, hp_.n_embd);

    layer.attn_norm.forward(pass, h, x);
    layer.attention.forward(pass, il, y, h, is_local ? local_rope_.get() : rope_.at(pass.batch.n_ctx));
    layer.post_attention_norm.forward(pass, y, y);
    pass.backend.add(x, y);

    layer.ffn_norm.forward(pass, h, x);
    layer.ffn->forward(pass, y, h);
    layer.post_ffw_norm.forward(pass, y, y);
    pass.backend.add(x, y);
  }

  ModelRope rope_;                    // of layers that see all
  std::unique_ptr<Rope> local_rope_;  // of layers with a window
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Decoder> load_gemma3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Gemma3>(keys, n_vocab, loader);
}

}  // namespace outpost
