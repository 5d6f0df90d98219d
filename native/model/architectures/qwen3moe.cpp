// Qwen 3 MoE and Qwen3-Coder (arXiv:2505.09388): head norms as in Qwen 3, experts with normalized weights, none shared.
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class Qwen3Moe final : public PreNormDecoder {
 public:
  Qwen3Moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    RouterParams router = read_router(keys);
    router.is_normalized = true;
    const int32_t n_ff_expert = keys.get("expert_feed_forward_length", 1, kMaxWidth, hp_.n_ff / router.n_used);
    for (int32_t il = 0; il < hp_.n_layer; ++il)
      add_layer(loader, block_prefix(il)).ffn = load_moe_ffn(loader, hp_, il, n_ff_expert, router);
  }
};

}  // namespace

std::unique_ptr<Decoder> load_qwen3moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Qwen3Moe>(keys, n_vocab, loader);
}

}  // namespace outpost
