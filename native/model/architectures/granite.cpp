// Granite 3 and 4 (dense), and Granite MoE: as Llama, with multipliers on embeddings, scores, residuals and logits
// (arXiv:2408.13359).
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class Granite final : public PreNormDecoder {
 public:
  Granite(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    embedding_scale_ = read_multiplier(keys, "embedding_scale", 1.0f);
    residual_scale_ = read_multiplier(keys, "residual_scale", 1.0f);
    logit_scale_ = 1.0f / read_multiplier(keys, "logit_scale", 1.0f);
    const float score_scale = read_multiplier(keys, "attention.scale", 0.0f);
    // Some models of the family have no positions at all, and say so with this key.
    if (keys.get_bool("rope.scaling.finetuned", true))
      rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kAdjacent);
    const bool has_experts = keys.get("expert_count", 0, kMaxExperts, 0) > 0;
    const int32_t n_ff_shared = keys.get("expert_shared_feed_forward_length", 0, kMaxWidth, 0);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      const std::string blk = block_prefix(il);
      PreNormLayer& layer = add_layer(loader, blk);
      if (score_scale > 0.0f) layer.attention.params.scale = score_scale;
      if (has_experts) {
        RouterParams router = read_router(keys);
        router.is_normalized = true;
        auto moe = load_moe_ffn(loader, hp_, il, hp_.n_ff, router);
        if (n_ff_shared > 0) moe->shared = load_gated_ffn(loader, hp_, blk, n_ff_shared, Gate::kSwiGlu, "_shexp");
        layer.ffn = std::move(moe);
      } else {
        layer.ffn = load_gated_ffn(loader, hp_, blk, hp_.n_ff, Gate::kSwiGlu);
      }
    }
  }

 private:
  /// 0 stands for "not set" in files.
  static float read_multiplier(const ModelKeys& keys, const char* name, float fallback) {
    const float value = keys.get_float(name, 0.0, 1e6, 0.0);
    return value > 0.0f ? value : fallback;
  }
};

}  // namespace

std::unique_ptr<Decoder> load_granite(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Granite>(keys, n_vocab, loader);
}

}  // namespace outpost
