// Gemma 1 and CodeGemma (arXiv:2403.08295): as Llama, with GeGLU and embeddings scaled by sqrt(n_embd). Files hold the
// norms' weights with the 1 already added that the paper adds.
#include <cmath>
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class Gemma final : public PreNormDecoder {
 public:
  Gemma(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    embedding_scale_ = std::sqrt(static_cast<float>(hp_.n_embd));
    add_gated_layers(loader, Gate::kGeGlu);
  }
};

}  // namespace

std::unique_ptr<Decoder> load_gemma(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Gemma>(keys, n_vocab, loader);
}

}  // namespace outpost
