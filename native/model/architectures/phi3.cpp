// Phi-3, Phi-3.5 and Phi-4 mini (arXiv:2404.14219): as Llama, with q, k, v stacked in one tensor, gate and up in
// another, and LongRoPE for long contexts. The sliding window that some files name is not applied, as in llama.cpp,
// which found their metadata unreliable (src/models/phi3.cpp).
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class Phi3 final : public PreNormDecoder {
 public:
  Phi3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    add_gated_layers(loader, Gate::kSwiGlu);
  }
};

}  // namespace

std::unique_ptr<Decoder> load_phi3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Phi3>(keys, n_vocab, loader);
}

}  // namespace outpost
