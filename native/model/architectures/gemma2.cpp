// Gemma 2 (arXiv:2408.00118): norms before and after each part, soft-capped scores and logits, and a sliding window in
// every other layer.
#include <cmath>
#include <memory>

#include "model/architectures/architectures.h"
#include "model/sandwich_norm_decoder.h"

namespace outpost {
namespace {

class Gemma2 final : public SandwichNormDecoder {
 public:
  Gemma2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : SandwichNormDecoder(read_hparams(keys, n_vocab), loader) {
    constexpr int32_t kLayersOf27B = 46;
    embedding_scale_ = std::sqrt(static_cast<float>(hp_.n_embd));
    logit_softcap_ = read_softcap(keys, "final_logit_softcapping", 30.0f);
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    const float softcap = read_softcap(keys, "attn_logit_softcapping", 50.0f);
    const int32_t n_window = keys.get("attention.sliding_window", 1, 1 << 28, 4096);
    const auto has_window = keys.get_layer_pattern("attention.sliding_window_pattern", hp_.n_layer, 2);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      SelfAttention& attention = add_layer(loader, block_prefix(il)).attention;
      attention.params.softcap = softcap;
      attention.params.n_window = has_window[static_cast<size_t>(il)] ? n_window : 0;
      // The paper's largest model scales by its width per head, which is not its head's width; no key tells.
      if (hp_.n_layer == kLayersOf27B)
        attention.params.scale = 1.0f / std::sqrt(static_cast<float>(hp_.n_embd / hp_.n_head));
    }
  }
};

}  // namespace

std::unique_ptr<Decoder> load_gemma2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Gemma2>(keys, n_vocab, loader);
}

}  // namespace outpost
