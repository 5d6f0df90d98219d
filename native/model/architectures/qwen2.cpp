// Qwen 1.5, 2 and 2.5 (arXiv:2407.10671): as Llama, with biases on q, k and v.
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class Qwen2 final : public PreNormDecoder {
 public:
  Qwen2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    add_gated_layers(loader, Gate::kSwiGlu);
  }
};

}  // namespace

std::unique_ptr<Decoder> load_qwen2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Qwen2>(keys, n_vocab, loader);
}

}  // namespace outpost
