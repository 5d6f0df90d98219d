// Qwen 3 (arXiv:2505.09388): as Llama, with a norm on every head of q and k before the rotation.
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class Qwen3 final : public PreNormDecoder {
 public:
  Qwen3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    add_gated_layers(loader, Gate::kSwiGlu);
  }
};

}  // namespace

std::unique_ptr<Decoder> load_qwen3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Qwen3>(keys, n_vocab, loader);
}

}  // namespace outpost
