#include "model/decoder.h"

namespace outpost {

namespace {

/// Members are loaded in the order of their declaration: first it has to be known which layers go where.
Stages& shared_out(Stages& stages, int32_t n_layer) {
  stages.set_layers(n_layer);
  return stages;
}

}  // namespace

Decoder::Decoder(const Hparams& hp, WeightLoader& loader)
    : hp_(hp),
      stages_(shared_out(loader.stages(), hp.n_layer)),
      token_embd_(loader.table("token_embd.weight", hp.n_vocab, hp.n_embd)),
      output_norm_(load_norm(loader, hp, "output_norm", hp.n_embd)),
      output_(load_linear(loader, loader.has("output.weight") ? "output" : "token_embd", hp.n_vocab, hp.n_embd)) {
  for (size_t i = 0; i < stages_.size(); ++i) scratch_.emplace_back(stages_.backend(i));
}

std::vector<ExpertUsage> Decoder::expert_usage() const {
  std::vector<ExpertUsage> usage;
  for (const Experts* experts : experts_) usage.push_back(experts->usage());
  return usage;
}

void Decoder::forward(const Batch& batch, KvStorage& kv, std::span<float> logits) {
  on_devices([&] { run_stages(batch, kv, logits); });
}

void Decoder::read_logits(int32_t i, std::span<float> logits) {
  on_devices([&] { read_row(stages_.last(), logits_, i, logits); });
}

void Decoder::on_devices(const std::function<void()>& work) {
  if (device_loss_) throw *device_loss_;
  try {
    work();
  } catch (const EngineError& error) {
    if (error.code() == ErrorCode::kDeviceLost) device_loss_ = error;
    throw;
  }
}

void Decoder::run_stages(const Batch& batch, KvStorage& kv, std::span<float> logits) {
  const auto n_tokens = static_cast<int32_t>(batch.tokens.size());
  for (size_t i = 0; i < stages_.size(); ++i) {
    Backend& backend = stages_.backend(i);
    KvStorage& stage_kv = stages_.size() == 1 ? kv : static_cast<StagedKv&>(kv).stage(i);
    const std::span<const float> stream = i == 0 ? std::span<const float>{} : stream_;
    const PassInputs inputs{.network = this,
                            .kv = stage_kv,
                            .tokens = batch.tokens,
                            .runs = batch.runs,
                            .logit_rows = batch.logit_rows,
                            .n_ctx = batch.n_ctx,
                            .wants_hidden = batch.wants_hidden,
                            .activations = stream,
                            .wants_all_hidden = !batch.hidden.empty(),
                            .wants_shortlists = !batch.shortlists.empty()};
    const auto y = scratch_[i].run_pass(inputs, [&] {
      Pass pass{backend, scratch_[i], stage_kv, batch, n_tokens, i, stages_.first_layer(i)};
      return run_stage(pass, stream);
    });
    if (i + 1 < stages_.size()) {
      stream_.resize(y.size);
      backend.read(stream_, y);
    } else if (!batch.wants_hidden) {
      logits_ = read_results(backend, y, batch, logits);
    } else if (!batch.logit_rows.empty()) {
      backend.read(logits, y);
    }
  }
}

DeviceSpan<const float> Decoder::run_stage(Pass& pass, std::span<const float> stream) {
  const auto x = pass.scratch.take(pass.n_tokens, hp_.n_embd);
  if (pass.stage == 0) {
    embed(pass, x);
  } else {
    pass.backend.write(x, stream);
  }
  for (int32_t il = pass.first_layer; il < stages_.end_layer(pass.stage); ++il) {
    pass.backend.begin_layer();
    const auto& goes_on = pass.batch.goes_on;
    if (goes_on && !goes_on()) throw EngineError(ErrorCode::kCancelled, "The pass was given up.");
    layer(pass, il, x);
  }
  if (pass.stage + 1 < stages_.size()) return x;
  return unembed(pass, x);
}

void Decoder::embed(Pass& pass, DeviceSpan<float> x) {
  pass.backend.embed(x, token_embd_, pass.batch.tokens);
  if (embedding_scale_ != 1.0f) pass.backend.scale(x, embedding_scale_);
}

DeviceSpan<const float> Decoder::unembed(Pass& pass, DeviceSpan<const float> x) {
  const auto n_rows = static_cast<int32_t>(pass.batch.logit_rows.size());
  if (pass.batch.wants_hidden) {
    if (n_rows == 0) return {};
    const auto last = pass.scratch.take(n_rows, hp_.n_embd);
    pass.backend.gather_rows(last, x, pass.batch.logit_rows, hp_.n_embd);
    output_norm_.forward(pass, last, last);
    return last;
  }
  return compute_results(pass, x, output_norm_, output_, {logit_scale_, logit_softcap_});
}

}  // namespace outpost
