#include "model/decoder.h"

namespace outpost {

Decoder::Decoder(const Hparams& hp, WeightLoader& loader)
    : hp_(hp),
      backend_(loader.backend()),
      scratch_(backend_),
      token_embd_(loader.table("token_embd.weight", hp.n_vocab, hp.n_embd)),
      output_norm_(load_norm(loader, hp, "output_norm", hp.n_embd)),
      output_(load_linear(loader, loader.has("output.weight") ? "output" : "token_embd", hp.n_vocab, hp.n_embd)) {}

std::vector<ExpertUsage> Decoder::expert_usage() const {
  std::vector<ExpertUsage> usage;
  for (const Experts* experts : experts_) usage.push_back(experts->usage());
  return usage;
}

void Decoder::forward(const Batch& batch, KvStorage& kv, std::span<float> logits) {
  const PassInputs inputs{this, kv, batch.tokens, batch.runs, batch.logit_rows, batch.n_ctx, batch.wants_hidden};
  const auto y = backend_.run_pass(inputs, [&]() -> DeviceSpan<const float> {
    const Scratch::Frame frame(scratch_);
    Pass pass{backend_, scratch_, kv, batch, static_cast<int32_t>(batch.tokens.size())};
    const auto x = scratch_.take(pass.n_tokens, hp_.n_embd);
    embed(pass, x);
    for (int32_t il = 0; il < hp_.n_layer; ++il) {
      if (batch.goes_on && !batch.goes_on()) throw EngineError(ErrorCode::kCancelled, "The pass was given up.");
      layer(pass, il, x);
    }
    if (batch.logit_rows.empty()) return {};
    return unembed(pass, x);
  });
  if (!batch.logit_rows.empty()) backend_.read(logits, y);
}

void Decoder::embed(Pass& pass, DeviceSpan<float> x) {
  backend_.embed(x, token_embd_, pass.batch.tokens);
  if (embedding_scale_ != 1.0f) backend_.scale(x, embedding_scale_);
}

DeviceSpan<const float> Decoder::unembed(Pass& pass, DeviceSpan<const float> x) {
  pass.n_tokens = static_cast<int32_t>(pass.batch.logit_rows.size());
  const auto last = scratch_.take(pass.n_tokens, hp_.n_embd);
  backend_.gather_rows(last, x, pass.batch.logit_rows, hp_.n_embd);
  output_norm_.forward(pass, last, last);
  if (pass.batch.wants_hidden) return last;
  const auto y = scratch_.take(pass.n_tokens, hp_.n_vocab);
  output_.forward(pass, y, last);
  if (logit_scale_ != 1.0f) backend_.scale(y, logit_scale_);
  if (logit_softcap_ > 0.0f) backend_.softcap(y, logit_softcap_);
  return y;
}

}  // namespace outpost
