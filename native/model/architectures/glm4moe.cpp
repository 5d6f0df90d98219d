// GLM-4.5, GLM-4.5-Air and GLM-4.6 (arXiv:2508.06471): biases of queries, keys and values, in the largest head norms,
// a partial rotation, leading dense layers, then experts that a sigmoid chooses and one that sees every token.
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class Glm4Moe final : public PreNormDecoder {
 public:
  Glm4Moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    const int32_t n_dense = keys.get("leading_dense_block_count", 0, hp_.n_layer + hp_.n_predict_layer, 0);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      Layer& layer = add_layer(loader, block_prefix(il), kFfnNorm);
      if (il < n_dense) {
        layer.ffn = load_gated_ffn(loader, hp_, block_prefix(il), hp_.n_ff, Gate::kSwiGlu);
      } else {
        layer.ffn = load_moe_ffn_with_shared(keys, loader, hp_, il, RouterParams::Gating::kSigmoid);
      }
    }
    for (int32_t i = 0; i < hp_.n_predict_layer; ++i) loader.skip(block_prefix(hp_.n_layer + i));
  }

 private:
  static constexpr const char* kFfnNorm = "post_attention_norm";
};

}  // namespace

std::unique_ptr<Decoder> load_glm4moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Glm4Moe>(keys, n_vocab, loader);
}

}  // namespace outpost
