// Gemma 3 (arXiv:2503.19786): norms as in Gemma 2 and on every head of q and k; five layers with a sliding window and a
// rotation of their own for each one that sees all.
#include <cmath>
#include <memory>

#include "model/architectures/architectures.h"
#include "model/sandwich_norm_decoder.h"

namespace outpost {
namespace {

class Gemma3 final : public SandwichNormDecoder {
 public:
  Gemma3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : SandwichNormDecoder(read_hparams(keys, n_vocab), loader) {
    constexpr int32_t kLayersOf27B = 62;
    embedding_scale_ = std::sqrt(static_cast<float>(hp_.n_embd));
    logit_softcap_ = read_softcap(keys, "final_logit_softcapping", 0.0f);
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    const double local_base = double{keys.get_float("rope.freq_base_swa", 1.0, 1e12, 10000.0)};
    local_rope_ = StageRopes(loader.stages(),
                             {RopePairing::kHalves, 0, rope_frequencies(hp_.n_rot, local_base, RopeScaling{}), 1.0f});
    const int32_t n_window = keys.get("attention.sliding_window", 0, 1 << 28, 0);
    const auto has_window = keys.get_layer_pattern("attention.sliding_window_pattern", hp_.n_layer, 6);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      SelfAttention& attention = add_layer(loader, block_prefix(il)).attention;
      attention.params.n_window = has_window[static_cast<size_t>(il)] ? n_window : 0;
      // The paper's largest model scales by its width per head, which is not its head's width; no key tells.
      if (hp_.n_layer == kLayersOf27B)
        attention.params.scale = 1.0f / std::sqrt(static_cast<float>(hp_.n_embd / hp_.n_head));
    }
  }
};

}  // namespace

std::unique_ptr<Decoder> load_gemma3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Gemma3>(keys, n_vocab, loader);
}

}  // namespace outpost
