#include "model/layers.h"

#include <cmath>
#include <utility>

namespace outpost {
namespace {

DeviceSpan<const float> span_or_empty(const std::unique_ptr<Buffer>& buffer) {
  return buffer == nullptr ? DeviceSpan<const float>{} : buffer->span();
}

}  // namespace

std::string block_prefix(int32_t il) { return "blk." + std::to_string(il) + "."; }

// ---- Linear

DeviceSpan<const float> Linear::bias_span() const { return span_or_empty(bias); }

void Linear::forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const {
  const MatmulTask product = task(y);
  pass.backend.matmul({&product, 1}, x, pass.n_tokens);
}

Linear load_linear(WeightLoader& loader, const std::string& name, int64_t n_rows, int64_t n_cols) {
  return {loader.matrix(name + ".weight", n_rows, n_cols), loader.optional_vector(name + ".bias", n_rows)};
}

// ---- Norm

void Norm::forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const {
  const auto n_rows = static_cast<int32_t>(x.size / weight->span().size);
  if (kind == NormKind::kRms) {
    pass.backend.rms_norm(y, x, weight->span(), n_rows, eps);
  } else {
    pass.backend.layer_norm(y, x, weight->span(), span_or_empty(bias), n_rows, eps);
  }
}

Norm load_norm(WeightLoader& loader, const Hparams& hp, const std::string& name, int64_t width) {
  Norm norm{hp.norm_kind, hp.norm_eps, loader.vector(name + ".weight", width), nullptr};
  if (norm.kind == NormKind::kLayer) norm.bias = loader.optional_vector(name + ".bias", width);
  return norm;
}

// ---- SelfAttention

void SelfAttention::forward(Pass& pass, int32_t il, DeviceSpan<float> y, DeviceSpan<const float> x, Rope* rope) const {
  const Scratch::Frame frame(pass.scratch);
  const auto heads = [&](int32_t n, int32_t dim) { return pass.scratch.take(pass.n_tokens, int64_t{n} * dim); };
  const auto q_heads = heads(params.n_head, params.head_dim_k), k_heads = heads(params.n_head_kv, params.head_dim_k);
  const auto v_heads = heads(params.n_head_kv, params.head_dim_v), attended = heads(params.n_head, params.head_dim_v);

  const MatmulTask qkv[] = {q.task(q_heads), k.task(k_heads), v.task(v_heads)};
  pass.backend.matmul(qkv, x, pass.n_tokens);
  if (q_norm != nullptr) q_norm->forward(pass, q_heads, q_heads);
  if (k_norm != nullptr) k_norm->forward(pass, k_heads, k_heads);
  pass.backend.rope_and_store_kv(q_heads, k_heads, v_heads, pass.kv, pass.kv_layer(il), pass.batch.runs, params, rope);
  pass.backend.attention(attended, q_heads, pass.kv, pass.kv_layer(il), pass.batch.runs, params);
  output.forward(pass, y, attended);
}

SelfAttention load_attention(WeightLoader& loader, const Hparams& hp, const std::string& blk) {
  const int64_t n_q = int64_t{hp.n_head} * hp.head_dim_k;
  const int64_t n_k = int64_t{hp.n_head_kv} * hp.head_dim_k, n_v = int64_t{hp.n_head_kv} * hp.head_dim_v;
  SelfAttention attention{};
  attention.params = {hp.n_head, hp.n_head_kv, hp.head_dim_k, hp.head_dim_v,
                      1.0f / std::sqrt(static_cast<float>(hp.head_dim_k))};
  if (loader.has(blk + "attn_qkv.weight")) {
    auto weights = loader.stacked(blk + "attn_qkv.weight", {n_q, n_k, n_v}, hp.n_embd);
    auto biases = loader.optional_stacked_vector(blk + "attn_qkv.bias", {n_q, n_k, n_v});
    attention.q = {std::move(weights[0]), std::move(biases[0])};
    attention.k = {std::move(weights[1]), std::move(biases[1])};
    attention.v = {std::move(weights[2]), std::move(biases[2])};
  } else {
    attention.q = load_linear(loader, blk + "attn_q", n_q, hp.n_embd);
    attention.k = load_linear(loader, blk + "attn_k", n_k, hp.n_embd);
    attention.v = load_linear(loader, blk + "attn_v", n_v, hp.n_embd);
  }
  attention.output = load_linear(loader, blk + "attn_output", hp.n_embd, int64_t{hp.n_head} * hp.head_dim_v);
  const auto head_norm = [&](const char* name) -> std::unique_ptr<Norm> {
    if (!loader.has(blk + name + ".weight")) return nullptr;
    return std::make_unique<Norm>(load_norm(loader, hp, blk + name, hp.head_dim_k));
  };
  attention.q_norm = head_norm("attn_q_norm");
  attention.k_norm = head_norm("attn_k_norm");
  attention.sinks = loader.optional_vector(blk + "attn_sinks.weight", hp.n_head);
  attention.params.sinks = span_or_empty(attention.sinks);
  return attention;
}

// ---- GatedFfn

void GatedFfn::forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const {
  const Scratch::Frame frame(pass.scratch);
  const auto hidden = pass.scratch.take(pass.n_tokens, gate.weight->n_rows());
  const GatedPair pair{gate.weight.get(), up.weight.get(), gate.bias_span(), up.bias_span()};
  pass.backend.matmul_gated(hidden, pair, x, pass.n_tokens, kind);
  down.forward(pass, y, hidden);
  pass.backend.discard(hidden);
}

std::unique_ptr<GatedFfn> load_gated_ffn(WeightLoader& loader, const Hparams& hp, const std::string& blk, int64_t n_ff,
                                         Gate kind, const std::string& suffix) {
  auto ffn = std::make_unique<GatedFfn>();
  ffn->kind = kind;
  const std::string gate = blk + "ffn_gate" + suffix, up = blk + "ffn_up" + suffix;
  if (!loader.has(gate + ".weight") && loader.has(up + ".weight") && loader.n_rows(up + ".weight") == 2 * n_ff) {
    auto halves = loader.stacked(up + ".weight", {n_ff, n_ff}, hp.n_embd);
    ffn->gate.weight = std::move(halves[0]);
    ffn->up.weight = std::move(halves[1]);
  } else {
    ffn->gate = load_linear(loader, gate, n_ff, hp.n_embd);
    ffn->up = load_linear(loader, up, n_ff, hp.n_embd);
  }
  ffn->down = load_linear(loader, blk + "ffn_down" + suffix, hp.n_embd, n_ff);
  return ffn;
}

// ---- Mlp

void Mlp::forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const {
  const Scratch::Frame frame(pass.scratch);
  const auto hidden = pass.scratch.take(pass.n_tokens, up.weight->n_rows());
  up.forward(pass, hidden, x);
  pass.backend.activate(hidden, activation);
  down.forward(pass, y, hidden);
}

std::unique_ptr<Mlp> load_mlp(WeightLoader& loader, const Hparams& hp, const std::string& blk, Activation activation) {
  auto mlp = std::make_unique<Mlp>();
  mlp->up = load_linear(loader, blk + "ffn_up", hp.n_ff, hp.n_embd);
  mlp->down = load_linear(loader, blk + "ffn_down", hp.n_embd, hp.n_ff);
  mlp->activation = activation;
  return mlp;
}

// ---- MoeFfn

void MoeFfn::forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const {
  const Scratch::Frame frame(pass.scratch);
  const auto logits = pass.scratch.take(pass.n_tokens, n_expert);
  router.forward(pass, logits, x);
  if (shared == nullptr) return pass.backend.expert_ffn(y, x, logits, pass.n_tokens, *experts);

  const int64_t n_embd = router.weight->n_cols();
  const auto common = pass.scratch.take(pass.n_tokens, n_embd);
  shared->forward(pass, common, x);
  const auto weight = pass.scratch.take(pass.n_tokens, 1);
  const MatmulTask gate{shared_gate.get(), weight};
  if (shared_gate != nullptr) pass.backend.matmul({&gate, 1}, x, pass.n_tokens);
  pass.backend.expert_ffn(y, x, logits, pass.n_tokens, *experts);
  if (shared_gate != nullptr) {
    pass.backend.add_gated(y, common, weight, pass.n_tokens);
  } else {
    pass.backend.add(y, common);
  }
}

RouterParams read_router(const ModelKeys& keys) {
  RouterParams router;
  router.n_expert = keys.get("expert_count", 1, kMaxExperts);
  router.n_used = keys.get("expert_used_count", 1, router.n_expert);
  router.n_groups = keys.get("expert_group_count", 0, router.n_expert, 1);
  if (router.n_groups == 0) router.n_groups = 1;
  router.n_groups_used = keys.get("expert_group_used_count", 0, router.n_expert, 1);
  if (router.n_groups == 1) router.n_groups_used = 1;  // whatever the key says: there is nothing to choose from
  if (router.n_groups_used < 1 || router.n_groups_used > router.n_groups)
    keys.fail("expert_group_used_count", " is ", router.n_groups_used, "; expected 1 to ", router.n_groups);
  if (router.n_expert % router.n_groups != 0)
    keys.fail("expert_group_count", " is ", router.n_groups, ", which does not divide expert_count, ", router.n_expert);
  if (int64_t{router.n_used} * router.n_groups > int64_t{router.n_expert} * router.n_groups_used)
    keys.fail("expert_used_count", " is ", router.n_used, ", more experts than the groups in use have");
  // 0 stands for "not set" in files.
  const float scale = keys.get_float("expert_weights_scale", 0.0, 1e6, 1.0);
  if (scale > 0.0f) router.scale = scale;
  return router;
}

std::unique_ptr<MoeFfn> load_moe_ffn(WeightLoader& loader, const Hparams& hp, int32_t il, int64_t n_ff,
                                     const RouterParams& router, Gate kind) {
  auto moe = std::make_unique<MoeFfn>();
  moe->router = load_linear(loader, block_prefix(il) + "ffn_gate_inp", router.n_expert, hp.n_embd);
  moe->experts = loader.experts(il, hp.n_embd, n_ff, router, kind);
  moe->n_expert = router.n_expert;
  return moe;
}

std::unique_ptr<MoeFfn> load_moe_ffn_with_shared(const ModelKeys& keys, WeightLoader& loader, const Hparams& hp,
                                                 int32_t il, RouterParams::Gating gating) {
  constexpr int32_t kUnset = 0, kSoftmax = 1, kSigmoid = 2;  // GGUF's expert_gating_func
  RouterParams router = read_router(keys);
  router.is_normalized = keys.get_bool("expert_weights_norm", false);
  const int32_t named = keys.get("expert_gating_func", kUnset, kSigmoid, kUnset);
  if (named == kSoftmax) gating = RouterParams::Gating::kSoftmax;
  if (named == kSigmoid) gating = RouterParams::Gating::kSigmoid;
  router.gating = gating;
  const int32_t n_ff = keys.get("expert_feed_forward_length", 1, kMaxWidth);
  const int32_t n_shared = keys.get("expert_shared_count", 0, 1024, 0);
  auto moe = load_moe_ffn(loader, hp, il, n_ff, router);
  if (n_shared > 0)
    moe->shared = load_gated_ffn(loader, hp, block_prefix(il), int64_t{n_ff} * n_shared, Gate::kSwiGlu, "_shexp");
  return moe;
}

// ---- results

namespace {

size_t whole_lines(size_t n) { return (n + 15) / 16 * 16; }
// Hidden states lie first, then shortlists, then logits, each from a whole cache line on.
size_t lists_begin(const Batch& batch) { return whole_lines(batch.hidden.size()); }
size_t logits_begin(const Batch& batch) { return lists_begin(batch) + whole_lines(batch.shortlists.size()); }

}  // namespace

DeviceSpan<const float> compute_results(Pass& pass, DeviceSpan<const float> x, const Norm& norm, const Linear& output,
                                        const LogitShape& shape) {
  const Batch& batch = pass.batch;
  const int64_t n_embd = output.weight->n_cols(), n_vocab = output.weight->n_rows();
  const auto n_rows = static_cast<int32_t>(batch.logit_rows.size());
  const size_t n_logits = static_cast<size_t>(n_rows * n_vocab), begin = logits_begin(batch);
  if (begin + n_logits == 0) return {};
  const auto results = pass.scratch.take(1, static_cast<int64_t>(begin + n_logits));
  if (!batch.hidden.empty()) norm.forward(pass, {results.data, batch.hidden.size()}, x);
  if (n_rows == 0) return results;
  pass.n_tokens = n_rows;
  const auto last = pass.scratch.take(n_rows, n_embd), normed = pass.scratch.take(n_rows, n_embd);
  pass.backend.gather_rows(last, x, batch.logit_rows, n_embd);
  norm.forward(pass, normed, last);
  const DeviceSpan<float> logits{results.data + begin, n_logits};
  output.forward(pass, logits, normed);
  pass.backend.discard(normed);
  if (shape.scale != 1.0f) pass.backend.scale(logits, shape.scale);
  if (shape.softcap > 0.0f) pass.backend.softcap(logits, shape.softcap);
  if (const size_t n = batch.shortlists.size(); n > 0)
    pass.backend.shortlist({results.data + lists_begin(batch), n}, logits, n_rows);
  return results;
}

DeviceSpan<const float> read_results(Backend& backend, DeviceSpan<const float> results, const Batch& batch,
                                     std::span<float> logits) {
  if (!batch.hidden.empty()) backend.read(batch.hidden, {results.data, batch.hidden.size()});
  if (batch.logit_rows.empty()) return {};
  const DeviceSpan<const float> all{results.data + logits_begin(batch), results.size - logits_begin(batch)};
  if (batch.shortlists.empty()) {
    backend.read(logits, all);
  } else {
    backend.read(batch.shortlists, {results.data + lists_begin(batch), batch.shortlists.size()});
  }
  return all;
}

void read_row(Backend& backend, DeviceSpan<const float> rows, int32_t i, std::span<float> logits) {
  backend.read(logits, {rows.data + static_cast<size_t>(i) * logits.size(), logits.size()});
}

}  // namespace outpost
