// The layers that architectures are put together from. Each holds its weights and runs on one batch; a result y may not
// be the input x, except that of a Norm.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "model/hparams.h"
#include "model/network.h"
#include "model/scratch.h"
#include "model/weight_loader.h"

namespace outpost {

/// A batch on its way through the layers of a network that one stage computes.
struct Pass {
  Backend& backend;
  Scratch& scratch;
  KvStorage& kv;  ///< of these layers alone
  const Batch& batch;
  int32_t n_tokens;
  size_t stage;
  int32_t first_layer;

  int32_t kv_layer(int32_t il) const { return il - first_layer; }
};

/// y = x * weight^T + bias, where the file has a bias.
struct Linear {
  std::unique_ptr<Weight> weight;  // [n_rows, n_cols]
  std::unique_ptr<Buffer> bias;    // [n_rows] or null

  MatmulTask task(DeviceSpan<float> y) const { return {weight.get(), y, bias_span()}; }
  DeviceSpan<const float> bias_span() const;
  void forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const;
};
/// Reads `name`.weight [n_rows, n_cols] and, if there is one, `name`.bias.
Linear load_linear(WeightLoader& loader, const std::string& name, int64_t n_rows, int64_t n_cols);

struct Norm {
  NormKind kind;
  float eps;
  std::unique_ptr<Buffer> weight;  // [width]
  std::unique_ptr<Buffer> bias;    // [width] or null; kLayer only

  void forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const;
};
/// Reads `name`.weight [width] and, for a LayerNorm that has one, `name`.bias.
Norm load_norm(WeightLoader& loader, const Hparams& hp, const std::string& name, int64_t width);

/// Self-attention with rotary positions, with as many KV heads as the file has (MHA, GQA: arXiv:2305.13245, MQA).
struct SelfAttention {
  Linear q, k, v, output;
  std::unique_ptr<Norm> q_norm, k_norm;  ///< of each head, before the rotation; may be null
  std::unique_ptr<Buffer> sinks;         ///< [n_head] or null
  AttentionParams params;

  void forward(Pass& pass, int32_t il, DeviceSpan<float> y, DeviceSpan<const float> x, Rope* rope) const;
};
/// Reads attn_q, attn_k and attn_v, or attn_qkv that stacks them, and attn_output, attn_q_norm, attn_k_norm and
/// attn_sinks as far as the file has them. Scores are scaled by 1 / sqrt(head_dim_k).
SelfAttention load_attention(WeightLoader& loader, const Hparams& hp, const std::string& blk);

/// The part of a layer that looks at one token at a time.
struct FeedForward {
  virtual ~FeedForward() = default;
  virtual void forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const = 0;
};

/// y = down(gate function of gate(x), up(x))
struct GatedFfn final : FeedForward {
  Linear gate, up, down;
  Gate kind;

  void forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const override;
};
/// Reads ffn_gate, ffn_up and ffn_down with `suffix`, such as "_shexp"; without ffn_gate, ffn_up stacks gate and up.
std::unique_ptr<GatedFfn> load_gated_ffn(WeightLoader& loader, const Hparams& hp, const std::string& blk, int64_t n_ff,
                                         Gate kind, const std::string& suffix = "");

/// y = down(activation of up(x))
struct Mlp final : FeedForward {
  Linear up, down;
  Activation activation;

  void forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const override;
};
std::unique_ptr<Mlp> load_mlp(WeightLoader& loader, const Hparams& hp, const std::string& blk, Activation activation);

/// A mixture of experts (arXiv:1701.06538), with an expert that sees every token where the file has one.
struct MoeFfn final : FeedForward {
  Linear router;
  std::unique_ptr<Experts> experts;
  int64_t n_expert;
  std::unique_ptr<GatedFfn> shared;     ///< or null
  std::unique_ptr<Weight> shared_gate;  ///< [1, n_embd], whose sigmoid weighs the shared expert; or null

  void forward(Pass& pass, DeviceSpan<float> y, DeviceSpan<const float> x) const override;
};
/// What the metadata say of the router: numbers of experts, groups, scale. Normalization and gating are the caller's.
RouterParams read_router(const ModelKeys& keys);
/// Reads ffn_gate_inp and the stacked experts; the shared ones are the caller's.
std::unique_ptr<MoeFfn> load_moe_ffn(WeightLoader& loader, const Hparams& hp, int32_t il, int64_t n_ff,
                                     const RouterParams& router, Gate kind = Gate::kSwiGlu);
/// The same as the keys of DeepSeek and its relatives describe it: gating, normalization, the experts' width and how
/// many of them are shared. @param gating where the file does not say
std::unique_ptr<MoeFfn> load_moe_ffn_with_shared(const ModelKeys& keys, WeightLoader& loader, const Hparams& hp,
                                                 int32_t il, RouterParams::Gating gating);

/// What some models do with their logits.
struct LogitShape {
  float scale = 1.0f;
  float softcap = 0.0f;  ///< 0: none
};
// What a pass gives: the hidden states of all tokens, if the batch wants them, and the logits of the wanted rows, or
// shortlists of them.
/// @param x the residual stream after the layers @return all of it, for `read_results`; empty if nothing is wanted
DeviceSpan<const float> compute_results(Pass& pass, DeviceSpan<const float> x, const Norm& norm, const Linear& output,
                                        const LogitShape& shape = {});
/// @param logits of the wanted rows; nothing is written there if the batch wants shortlists
/// @return the logits on the device, until the next pass
DeviceSpan<const float> read_results(Backend& backend, DeviceSpan<const float> results, const Batch& batch,
                                     std::span<float> logits);
/// Row i of logits that a pass has left there, [n_vocab].
void read_row(Backend& backend, DeviceSpan<const float> rows, int32_t i, std::span<float> logits);

/// "blk.<il>."
std::string block_prefix(int32_t il);

}  // namespace outpost
