#include "model/hparams.h"

#include "backend/backend.h"

namespace outpost {

Hparams read_hparams(const ModelKeys& keys, int32_t n_vocab, NormKind norm_kind) {
  Hparams hp{};
  hp.architecture = keys.architecture();
  hp.n_vocab = n_vocab;
  hp.n_ctx_train = keys.get("context_length", 1, 1 << 28);
  hp.n_layer = keys.get("block_count", 1, 4096);
  hp.n_predict_layer = keys.get("nextn_predict_layers", 0, hp.n_layer - 1, 0);
  hp.n_layer -= hp.n_predict_layer;
  hp.n_embd = keys.get("embedding_length", 1, kMaxWidth);
  hp.n_ff = keys.get("feed_forward_length", 0, kMaxWidth, 0);
  hp.n_head = keys.get("attention.head_count", 1, kMaxHeads);
  hp.n_head_kv = keys.get("attention.head_count_kv", 1, kMaxHeads, hp.n_head);
  if (hp.n_head % hp.n_head_kv != 0) {
    keys.fail("attention.head_count", " is ", hp.n_head, ", which is no multiple of head_count_kv, ", hp.n_head_kv);
  }
  if (!keys.has("attention.key_length") && hp.n_embd % hp.n_head != 0) {
    keys.fail("embedding_length", " is ", hp.n_embd, ", which is no multiple of head_count, ", hp.n_head);
  }
  hp.head_dim_k = keys.get("attention.key_length", 2, kMaxHeadDim, hp.n_embd / hp.n_head);
  if (hp.head_dim_k > kMaxHeadDim)
    keys.fail("embedding_length", " / head_count is ", hp.head_dim_k, "; expected at most ", kMaxHeadDim);
  hp.head_dim_v = keys.get("attention.value_length", 2, kMaxHeadDim, hp.head_dim_k);
  hp.n_rot = keys.get("rope.dimension_count", 2, hp.head_dim_k, hp.head_dim_k);
  if (hp.n_rot % 2 != 0) keys.fail("rope.dimension_count", " is ", hp.n_rot, "; expected an even number");
  hp.norm_kind = norm_kind;
  hp.norm_eps = norm_kind == NormKind::kRms ? keys.get_float("attention.layer_norm_rms_epsilon", 0.0, 1.0, 1e-5)
                                            : keys.get_float("attention.layer_norm_epsilon", 0.0, 1.0);
  return hp;
}

}  // namespace outpost
