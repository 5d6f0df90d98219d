// Llama 1 to 3 (arXiv:2302.13971, arXiv:2407.21783), Mistral, TinyLlama, SmolLM; with experts Mixtral
// (arXiv:2401.04088) and LLaMA-MoE.
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class Llama final : public PreNormDecoder {
 public:
  Llama(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    // llama files store q and k with each head's rows permuted for rotation of adjacent pairs.
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kAdjacent);
    const bool has_experts = keys.get("expert_count", 0, kMaxExperts, 0) > 0;
    const float score_scale = keys.get_float("attention.scale", 0.0, 1e6, 0.0);  // 0: not set
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      const std::string blk = block_prefix(il);
      PreNormLayer& layer = add_layer(loader, blk);
      if (score_scale > 0.0f) layer.attention.params.scale = score_scale;
      if (has_experts) {
        RouterParams router = read_router(keys);
        router.is_normalized = true;
        layer.ffn = load_moe_ffn(loader, hp_, il, hp_.n_ff, router);
      } else {
        layer.ffn = load_gated_ffn(loader, hp_, blk, hp_.n_ff, Gate::kSwiGlu);
      }
    }
  }
};

}  // namespace

std::unique_ptr<Decoder> load_llama(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Llama>(keys, n_vocab, loader);
}

}  // namespace outpost
