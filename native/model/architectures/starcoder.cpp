// StarCoder and SantaCoder (gpt_bigcode, arXiv:2305.06161): learned positions, LayerNorm, biases everywhere, and one KV
// head for all query heads (MQA, arXiv:1911.02150).
#include <memory>

#include "model/architectures/architectures.h"
#include "model/pre_norm_decoder.h"

namespace outpost {
namespace {

class StarCoder final : public PreNormDecoder {
 public:
  StarCoder(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader)
      : PreNormDecoder(read_hparams(keys, n_vocab, NormKind::kLayer), loader) {
    position_embd_ = loader.table("position_embd.weight", hp_.n_ctx_train, hp_.n_embd);
    add_mlp_layers(loader, Activation::kGelu);
  }

 private:
  void embed(Pass& pass, DeviceSpan<float> x) override {
    PreNormDecoder::embed(pass, x);
    std::vector<int32_t> positions;
    for (const SequenceRun& run : pass.batch.runs) {
      for (int32_t i = 0; i < run.n_tokens; ++i) positions.push_back(run.n_past + i);
    }
    const Scratch::Frame frame(pass.scratch);
    const auto embedded = pass.scratch.take(pass.n_tokens, hp_.n_embd);
    pass.backend.embed(embedded, position_embd_, positions);
    pass.backend.add(x, embedded);
  }

  WeightView position_embd_{};  // [n_ctx_train, n_embd]
};

}  // namespace

std::unique_ptr<Decoder> load_starcoder(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader) {
  return std::make_unique<StarCoder>(keys, n_vocab, loader);
}

}  // namespace outpost
