// The layer that most architectures have since GPT-2: x += attention(norm(x)), x += ffn(norm(x)).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "model/rope_scaling.h"

namespace outpost {

struct PreNormLayer {
  Norm attn_norm;
  SelfAttention attention;
  Norm ffn_norm;
  std::unique_ptr<FeedForward> ffn;

  void forward(Pass& pass, int32_t il, DeviceSpan<float> x, Rope* rope, float residual_scale = 1.0f) const {
    const Scratch::Frame frame(pass.scratch);
    const auto n_embd = static_cast<int64_t>(attn_norm.weight->span().size);
    const auto h = pass.scratch.take(pass.n_tokens, n_embd), y = pass.scratch.take(pass.n_tokens, n_embd);

    attn_norm.forward(pass, h, x);
    attention.forward(pass, il, y, h, rope);
    pass.backend.discard(h);
    pass.backend.add(x, y, residual_scale);
    pass.backend.discard(y);

    ffn_norm.forward(pass, h, x);
    ffn->forward(pass, y, h);
    pass.backend.discard(h);
    pass.backend.add(x, y, residual_scale);
    pass.backend.discard(y);
  }
};

/// Reads blk's attn_norm, attention and ffn_norm; its `ffn` is the caller's.
inline PreNormLayer load_pre_norm_layer(WeightLoader& loader, const Hparams& hp, const std::string& blk,
                                        const char* ffn_norm = "ffn_norm") {
  return {load_norm(loader, hp, blk + "attn_norm", hp.n_embd), load_attention(loader, hp, blk),
          load_norm(loader, hp, blk + ffn_norm, hp.n_embd), nullptr};
}

class PreNormDecoder : public Decoder {
 protected:
  using Decoder::Decoder;

  /// Appends a layer whose `ffn` is the caller's.
  PreNormLayer& add_layer(WeightLoader& loader, const std::string& blk, const char* ffn_norm = "ffn_norm") {
    layers_.push_back(load_pre_norm_layer(loader, hp_, blk, ffn_norm));
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
    layers_[static_cast<size_t>(il)].forward(pass, il, x, rope_.at(pass), residual_scale_);
  }

  std::vector<PreNormLayer> layers_;
};

}  // namespace outpost
