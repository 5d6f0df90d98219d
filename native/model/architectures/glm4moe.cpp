// GLM-4.5, GLM-4.5-Air and GLM-4.6 (arXiv:2508.06471): biases of queries, keys and values, in the largest head norms,
// a partial rotation, leading dense layers, then experts that a sigmoid chooses and one that sees every token.
#include <memory>

#include "model/architectures/architectures.h"
#include "model/mtp_head.h"

namespace outpost {
namespace {

class Glm4Moe final : public PreNormDecoder {
 public:
  Glm4Moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab), loader) {
    rope_ = load_rope(keys, loader, read_rope_scaling(keys, hp_.n_ctx_train), hp_.n_rot, RopePairing::kHalves);
    n_dense_ = keys.get("leading_dense_block_count", 0, hp_.n_layer + hp_.n_predict_layer, 0);
    for (int32_t il = 0; il < hp_.n_layer; ++il)
      add_layer(loader, block_prefix(il), kFfnNorm).ffn = load_ffn(keys, loader, il);
    load_head(keys, loader);
  }

  NextTokenHead* head() const override { return head_.get(); }

 private:
  static constexpr const char* kFfnNorm = "post_attention_norm";

  std::unique_ptr<FeedForward> load_ffn(const ModelKeys& keys, WeightLoader& loader, int32_t il) const {
    if (il < n_dense_) return load_gated_ffn(loader, hp_, block_prefix(il), hp_.n_ff, Gate::kSwiGlu);
    return load_moe_ffn_with_shared(keys, loader, hp_, il, RouterParams::Gating::kSigmoid);
  }

  /// The first block that predicts; it goes on from its own output for further tokens. Files may come without the
  /// tensors. Where devices share the layers it is left out: what it drafts from would be on two of them.
  void load_head(const ModelKeys& keys, WeightLoader& loader) {
    const std::string blk = block_prefix(hp_.n_layer);
    const bool is_there = loader.has(blk + "attn_norm.weight") || loader.has(blk + "nextn.eh_proj.weight");
    if (hp_.n_predict_layer > 0 && is_there && stages_.size() == 1) {
      PreNormLayer block = load_pre_norm_layer(loader, hp_, blk, kFfnNorm);
      block.ffn = load_ffn(keys, loader, hp_.n_layer);
      const MtpHead::Shared shared{token_embd_, output_norm_, output_, rope_};
      head_ = std::make_unique<MtpHead>(loader, hp_, blk, std::move(block), shared);
    }
    for (int32_t i = head_ == nullptr ? 0 : 1; i < hp_.n_predict_layer; ++i) loader.skip(block_prefix(hp_.n_layer + i));
  }

  int32_t n_dense_ = 0;
  std::unique_ptr<MtpHead> head_;
};

}  // namespace

std::unique_ptr<Decoder> load_glm4moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<Glm4Moe>(keys, n_vocab, loader);
}

}  // namespace outpost
