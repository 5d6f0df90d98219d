// The block behind a model's layers that predicts one token more (multi-token prediction, arXiv:2412.19437, section
// 2.2): x = eh_proj [enorm(embedding of the next token), hnorm(hidden state)], one layer on that, a norm, the head.
#pragma once

#include <memory>
#include <string>

#include "model/pre_norm_decoder.h"

namespace outpost {

class MtpHead final : public NextTokenHead {
 public:
  /// What it takes from the model where the file gives it none of its own. All must outlive it.
  struct Shared {
    WeightView table;  // [n_vocab, n_embd]
    const Norm& norm;
    const Linear& output;  // [n_vocab, n_embd]
    const ModelRope& rope;
  };

  /// Reads the nextn tensors of `blk`. @param block the layer of the same blk @pre one stage computes the model
  MtpHead(WeightLoader& loader, const Hparams& hp, const std::string& blk, PreNormLayer block, const Shared& shared);

  KvShape kv_shape() const override { return {1, hp_.n_head_kv, hp_.head_dim_k, hp_.head_dim_v}; }
  void forward(const Batch& batch, std::span<const float> hidden, KvStorage& kv, std::span<float> logits) override;
  void read_logits(int32_t i, std::span<float> logits) override;

 private:
  DeviceSpan<const float> run(Pass& pass, std::span<const float> hidden) const;

  const Hparams hp_;
  const Shared shared_;
  Backend& backend_;
  Scratch scratch_;
  DeviceSpan<const float> logits_;  // of the last pass
  Norm enorm_, hnorm_;
  Linear eh_proj_;  // [n_embd, 2 * n_embd]
  PreNormLayer block_;
  WeightView table_;
  std::unique_ptr<Norm> own_norm_;
  std::unique_ptr<Linear> own_output_;
};

}  // namespace outpost
