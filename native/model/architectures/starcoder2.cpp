// StarCoder 2 (arXiv:2402.19173): LayerNorm, biases everywhere, GQA with rotary positions, and an MLP without a gate.
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class StarCoder2 final : public PreNormDecoder {
 public:
  StarCoder2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab, NormKind::kLayer), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    add_mlp_layers(loader, Activation::kGelu);
  }
};

}  // namespace

std::unique_ptr<Decoder> load_starcoder2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<StarCoder2>(keys, n_vocab, loader);
}

}  // namespace outpost
