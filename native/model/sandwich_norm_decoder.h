// The layer of Gemma 2 and 3: x += norm(attention(norm(x))), x += norm(ffn(norm(x))).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "model/rope_scaling.h"

namespace outpost {

class SandwichNormDecoder : public Decoder {
 protected:
  struct Layer {
    Norm attn_norm;
    SelfAttention attention;
    Norm post_attention_norm, ffn_norm;
    std::unique_ptr<FeedForward> ffn;
    Norm post_ffw_norm;
  };

  using Decoder::Decoder;

  /// Appends the layer that blk's tensors make, with a GeGLU.
  Layer& add_layer(WeightLoader& loader, const std::string& blk) {
    layers_.push_back({load_norm(loader, hp_, blk + "attn_norm", hp_.n_embd), load_attention(loader, hp_, blk),
                       load_norm(loader, hp_, blk + "post_attention_norm", hp_.n_embd),
                       load_norm(loader, hp_, blk + "ffn_norm", hp_.n_embd),
                       load_gated_ffn(loader, hp_, blk, hp_.n_ff, Gate::kGeGlu),
                       load_norm(loader, hp_, blk + "post_ffw_norm", hp_.n_embd)});
    return layers_.back();
  }

  /// 0 is none. Caps far below any score would only overflow.
  static float read_softcap(const ModelKeys& keys, const char* name, float fallback) {
    constexpr float kLeast = 1e-3f;
    const float cap = keys.get_float(name, 0.0, 1e6, fallback);
    if (cap > 0.0f && cap < kLeast) keys.fail(name, " is ", cap, "; expected 0 or ", kLeast, " to 1e+06");
    return cap;
  }

  ModelRope rope_;
  StageRopes local_rope_;  ///< of layers with a window; those use rope_ too if it is empty

 private:
  void layer(Pass& pass, int32_t il, DeviceSpan<float> x) override {
    const Layer& layer = layers_[static_cast<size_t>(il)];
    const bool is_local = layer.attention.params.n_window > 0 && !local_rope_.is_empty();
    const Scratch::Frame frame(pass.scratch);
    const auto h = pass.scratch.take(pass.n_tokens, hp_.n_embd), y = pass.scratch.take(pass.n_tokens, hp_.n_embd);

    layer.attn_norm.forward(pass, h, x);
    layer.attention.forward(pass, il, y, h, is_local ? local_rope_.at(pass.stage) : rope_.at(pass));
    pass.backend.discard(h);
    layer.post_attention_norm.forward(pass, y, y);
    pass.backend.add(x, y);

    layer.ffn_norm.forward(pass, h, x);
    layer.ffn->forward(pass, y, h);
    pass.backend.discard(h);
    layer.post_ffw_norm.forward(pass, y, y);
    pass.backend.add(x, y);
  }

  std::vector<Layer> layers_;
};

}  // namespace outpost
