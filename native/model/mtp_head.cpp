#include "model/mtp_head.h"

#include <utility>

namespace outpost {

MtpHead::MtpHead(WeightLoader& loader, const Hparams& hp, const std::string& blk, PreNormLayer block,
                 const Shared& shared)
    : hp_(hp),
      shared_(shared),
      backend_(loader.stages().last()),
      scratch_(backend_),
      enorm_(load_norm(loader, hp, blk + "nextn.enorm", hp.n_embd)),
      hnorm_(load_norm(loader, hp, blk + "nextn.hnorm", hp.n_embd)),
      eh_proj_(load_linear(loader, blk + "nextn.eh_proj", hp.n_embd, 2 * int64_t{hp.n_embd})),
      block_(std::move(block)),
      table_(shared.table) {
  if (const std::string name = blk + "nextn.embed_tokens.weight"; loader.has(name))
    table_ = loader.table(name, hp.n_vocab, hp.n_embd);
  if (const std::string name = blk + "nextn.shared_head_norm"; loader.has(name + ".weight"))
    own_norm_ = std::make_unique<Norm>(load_norm(loader, hp, name, hp.n_embd));
  if (const std::string name = blk + "nextn.shared_head_head"; loader.has(name + ".weight"))
    own_output_ = std::make_unique<Linear>(load_linear(loader, name, hp.n_vocab, hp.n_embd));
}

void MtpHead::forward(const Batch& batch, std::span<const float> hidden, KvStorage& kv, std::span<float> logits) {
  const PassInputs inputs{.network = this,
                          .kv = kv,
                          .tokens = batch.tokens,
                          .runs = batch.runs,
                          .logit_rows = batch.logit_rows,
                          .n_ctx = batch.n_ctx,
                          .wants_hidden = false,
                          .activations = hidden,
                          .wants_all_hidden = !batch.hidden.empty(),
                          .wants_shortlists = !batch.shortlists.empty()};
  const auto results = scratch_.run_pass(inputs, [&] {
    Pass pass{backend_, scratch_, kv, batch, static_cast<int32_t>(batch.tokens.size()), 0, 0};
    return run(pass, hidden);
  });
  logits_ = read_results(backend_, results, batch, logits);
}

void MtpHead::read_logits(int32_t i, std::span<float> logits) { read_row(backend_, logits_, i, logits); }

DeviceSpan<const float> MtpHead::run(Pass& pass, std::span<const float> hidden) const {
  const int32_t n_embd = hp_.n_embd, n_tokens = pass.n_tokens;
  const auto both = pass.scratch.take(n_tokens, 2 * int64_t{n_embd});
  const auto half = pass.scratch.take(n_tokens, n_embd), x = pass.scratch.take(n_tokens, n_embd);
  backend_.embed(half, table_, pass.batch.tokens);
  enorm_.forward(pass, half, half);
  backend_.copy_columns(both, 2 * n_embd, 0, half, n_embd, 0, n_embd, n_tokens);
  backend_.write(half, hidden);
  hnorm_.forward(pass, half, half);
  backend_.copy_columns(both, 2 * n_embd, n_embd, half, n_embd, 0, n_embd, n_tokens);
  eh_proj_.forward(pass, x, both);
  block_.forward(pass, 0, x, shared_.rope.at(pass));
  return compute_results(pass, x, own_norm_ != nullptr ? *own_norm_ : shared_.norm,
                         own_output_ != nullptr ? *own_output_ : shared_.output);
}

}  // namespace outpost
