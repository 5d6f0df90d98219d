// What all decoder-only transformers share: the embedding, a residual stream through the layers, the output head. Where
// backends share the layers the stream crosses from one to the next by the host.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "model/layers.h"
#include "model/model_keys.h"
#include "model/network.h"

namespace outpost {

class Decoder : public Network {
 public:
  const Hparams& hparams() const override { return hp_; }
  const std::vector<size_t>& weight_bytes() const override { return weight_bytes_; }
  size_t table_bytes() const override { return table_bytes_; }
  /// @param of_tables the bytes of embeddings among those of the first stage
  void set_weight_bytes(std::vector<size_t> of_stages, size_t of_tables) {
    weight_bytes_ = std::move(of_stages);
    table_bytes_ = of_tables;
  }
  std::vector<ExpertUsage> expert_usage() const override;
  /// @param experts of this network's layers, in their order
  void set_experts(std::vector<const Experts*> experts) { experts_ = std::move(experts); }
  KvShape kv_shape() const override { return {hp_.n_layer, hp_.n_head_kv, hp_.head_dim_k, hp_.head_dim_v}; }
  Pooling pooling() const override { return pooling_; }
  void set_pooling(Pooling pooling) { pooling_ = pooling; }
  void forward(const Batch& batch, KvStorage& kv, std::span<float> logits) final;
  void read_logits(int32_t i, std::span<float> logits) final;

 protected:
  /// Reads token_embd, output_norm and output, which is token_embd again where the file has none.
  Decoder(const Hparams& hp, WeightLoader& loader);

  /// Adds what layer `il` says to the residual stream x [n_tokens, n_embd].
  virtual void layer(Pass& pass, int32_t il, DeviceSpan<float> x) = 0;
  /// x = what the layers see of the batch's tokens.
  virtual void embed(Pass& pass, DeviceSpan<float> x);

  Hparams hp_;
  Stages& stages_;
  float embedding_scale_ = 1.0f;
  float logit_scale_ = 1.0f;
  float logit_softcap_ = 0.0f;  ///< 0: none
  WeightView token_embd_;       // [n_vocab, n_embd]
  Norm output_norm_;
  Linear output_;  // [n_vocab, n_embd]

 private:
  /// Remembers a lost device, after which nothing is asked of it any more.
  void on_devices(const std::function<void()>& work);
  void run_stages(const Batch& batch, KvStorage& kv, std::span<float> logits);
  /// Runs the layers of one stage. @return the residual stream after them; of the last one what `unembed` does
  DeviceSpan<const float> run_stage(Pass& pass, std::span<const float> stream);
  /// @return what `read_results` takes apart, or the hidden states of the wanted rows
  DeviceSpan<const float> unembed(Pass& pass, DeviceSpan<const float> x);

  std::vector<Scratch> scratch_;    // of each stage
  std::vector<float> stream_;       // between two stages, [n_tokens, n_embd]
  DeviceSpan<const float> logits_;  // of the last pass
  std::vector<size_t> weight_bytes_;
  size_t table_bytes_ = 0;
  Pooling pooling_ = Pooling::kMean;
  std::vector<const Experts*> experts_;  // owned by the layers
  std::optional<EngineError> device_loss_;
};

}  // namespace outpost
