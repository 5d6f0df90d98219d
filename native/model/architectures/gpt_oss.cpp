// gpt-oss (arXiv:2508.10925): a learned sink in every head's softmax, biases everywhere, a sliding window in every
// other layer, YaRN, and experts whose weights are a softmax over the chosen ones.
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class GptOss final : public PreNormDecoder {
 public:
  GptOss(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    const int32_t n_window = keys.get("attention.sliding_window", 1, 1 << 28);
    const auto has_window = keys.get_layer_pattern("attention.sliding_window_pattern", hp_.n_layer, 2);
    const int32_t n_ff_expert = keys.get("expert_feed_forward_length", 1, kMaxWidth);
    RouterParams router = read_router(keys);
    router.gating = RouterParams::Gating::kSoftmaxOfChosen;
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      PreNormLayer& layer = add_layer(loader, block_prefix(il), /*ffn_norm=*/"post_attention_norm");
      layer.attention.params.n_window = has_window[static_cast<size_t>(il)] ? n_window : 0;
      layer.ffn = load_moe_ffn(loader, hp_, il, n_ff_expert, router, Gate::kSwiGluOai);
    }
  }
};

}  // namespace

std::unique_ptr<Decoder> load_gpt_oss(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<GptOss>(keys, n_vocab, loader);
}

}  // namespace outpost
