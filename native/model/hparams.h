// Hyperparameters that every decoder-only transformer has, read from metadata and checked. What only some have is
// read where they are loaded.
#pragma once

#include <cstdint>
#include <string>

#include "model/model_keys.h"

namespace outpost {

/// RMSNorm (arXiv:1910.07467) or LayerNorm (arXiv:1607.06450): they name their epsilon differently.
enum class NormKind { kRms, kLayer };

struct Hparams {
  std::string architecture;
  int32_t n_vocab;
  int32_t n_ctx_train;
  int32_t n_layer;
  int32_t n_predict_layer;  ///< blocks behind these that are no part of the forward pass: they predict further tokens
  int32_t n_embd;
  int32_t n_head;
  int32_t n_head_kv;
  int32_t head_dim_k;
  int32_t head_dim_v;
  int32_t n_ff;   ///< of a dense feed-forward layer; 0 if the file does not say
  int32_t n_rot;  ///< dimensions of a head that RoPE turns
  NormKind norm_kind;
  float norm_eps;
};

/// Bounds far above today's models, so that products of any two stay well inside 64 bits.
inline constexpr int64_t kMaxWidth = 1 << 20;
inline constexpr int64_t kMaxHeads = 65536;
inline constexpr int64_t kMaxExperts = 65536;

/// @param n_vocab rows of the embedding: the tokenizer's vocabulary
/// @throws EngineError kModelInvalid naming the key, kModelUnsupported for features that are not built in
Hparams read_hparams(const ModelKeys& keys, int32_t n_vocab, NormKind norm_kind = NormKind::kRms);

}  // namespace outpost
