// Qwen 1.5 MoE and Qwen 2 57B-A14B (arXiv:2407.10671): many small experts, whose weights are not normalized, and a
// shared one behind a sigmoid gate.
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class Qwen2Moe final : public PreNormDecoder {
 public:
  Qwen2Moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    const RouterParams router = read_router(keys);
    const int32_t n_ff_expert = keys.get("expert_feed_forward_length", 1, kMaxWidth, hp_.n_ff / router.n_used);
    const int32_t n_ff_shared = keys.get("expert_shared_feed_forward_length", 1, kMaxWidth, hp_.n_ff);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      const std::string blk = block_prefix(il);
      auto moe = load_moe_ffn(loader, hp_, il, n_ff_expert, router);
      moe->shared = load_gated_ffn(loader, hp_, blk, n_ff_shared, Gate::kSwiGlu, "_shexp");
      moe->shared_gate = loader.row(blk + "ffn_gate_inp_shexp.weight", hp_.n_embd);
      add_layer(loader, blk).ffn = std::move(moe);
    }
  }
};

}  // namespace

std::unique_ptr<Decoder> load_qwen2moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Qwen2Moe>(keys, n_vocab, loader);
}

}  // namespace outpost
