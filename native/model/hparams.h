// Hyperparameters of a decoder-only transformer, read from metadata and checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gguf/gguf_file.h"

namespace outpost {

struct Hparams {
  std::string architecture;
  int32_t n_vocab;
  int32_t n_ctx_train;
  int32_t n_layer;
  int32_t n_embd;
  int32_t n_head;
  int32_t n_head_kv;
  int32_t head_dim;
  int32_t n_ff;
  int32_t n_rot;  ///< dimensions of a head that RoPE turns
  float rms_eps;
  float rope_freq_base;
  float rope_freq_scale;

  int32_t group() const { return n_head / n_head_kv; }  ///< query heads that share a KV head
};

/// @param n_vocab rows of the embedding: the tokenizer's vocabulary
/// @throws EngineError kModelInvalid naming the key, kModelUnsupported for features that are not built in
Hparams read_hparams(const GgufFile& file, int32_t n_vocab);

}  // namespace outpost
