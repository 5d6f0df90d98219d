// The layer that most architectures have since GPT-2: x += attention(norm(x)), x += ffn(norm(x)).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "model/rope_scaling.h"

namespace outpost {

class PreNormDecoder : public Decoder {
 protected:
  struct Layer {
    Norm attn_norm;
    SelfAttention attention;
    Norm ffn_norm;
    std::unique_ptr<FeedForward> ffn;
  };

  using Decoder::Decoder;

  /// Appends a layer with blk's attn_norm, attention and ffn_norm; its `ffn` is the caller's.
  Layer& add_layer(WeightLoader& loader, const std::string& blk, const char* ffn_norm = "ffn_norm") {
    layers_.push_back({load_norm(loader, hp_, blk + "attn_norm", hp_.n_embd), load_attention(loader, hp_, blk),
                       load_norm(loader, hp_, blk + ffn_norm, hp_.n_embd), nullptr});
    return layers_.back();
  }

  /// Appends all layers, with feed-forward parts of one kind.
  void add_gated_layers(WeightLoader& loader, Gate gate) {
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      const std::string blk = block_prefix(il);
      add_layer(loader, blk).ffn = load_gated_ffn(loader, hp_, blk, hp_.n_ff, gate);
    }
  }
  void add_mlp_layers(WeightLoader& loader, Activation activation) {
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      const std::string blk = block_prefix(il);
      add_layer(loader, blk).ffn = load_mlp(loader, hp_, blk, activation);
    }
  }

  ModelRope rope_;  ///< without one, positions are not rotated
  float residual_scale_ = 1.0f;

 private:
  void layer(Pass& pass, int32_t il, DeviceSpan<float> x) override {
    const Layer& layer = layers_[static_cast<size_t>(il)];
    const Scratch::Frame frame(pass.scratch);
    const auto h = pass.scratch.take(pass.n_tokens, hp_.n_embd), y = pass.scratch.take(pass.n_tokens, hp_.n_embd);

    layer.attn_norm.forward(pass, h, x);
    layer.attention.forward(pass, il, y, h, rope_.at(pass));
    pass.backend.add(x, y, residual_scale_);

    layer.ffn_norm.forward(pass, h, x);
    layer.ffn->forward(pass, y, h);
    pass.backend.add(x, y, residual_scale_);
  }

  std::vector<Layer> layers_;
};

}  // namespace outpost
