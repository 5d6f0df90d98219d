// How keys and values lie in the pages of the KV cache.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kPage = 64;

/// A page holds 64 positions of one layer: keys [n_head_kv, 64, head_dim_k], then values [n_head_kv, 64, head_dim_v],
/// all f16. A position of a head is contiguous, and the 64 of a page follow each other.
struct KvLayout {
  int32_t n_head_kv, head_dim_k, head_dim_v;
  int64_t page_stride;   ///< elements from a page of this layer to the next
  int64_t layer_offset;  ///< elements to this layer's part of page 0
};

GPU_FN int64_t key_at(GPU_PARAMS_REF(KvLayout) kv, int32_t page, int32_t head, int32_t slot) {
  return int64_t(page) * kv.page_stride + kv.layer_offset + (int64_t(head) * kPage + slot) * kv.head_dim_k;
}

GPU_FN int64_t value_at(GPU_PARAMS_REF(KvLayout) kv, int32_t page, int32_t head, int32_t slot) {
  return int64_t(page) * kv.page_stride + kv.layer_offset + int64_t(kv.n_head_kv) * kPage * kv.head_dim_k +
         (int64_t(head) * kPage + slot) * kv.head_dim_v;
}

OUTPOST_CONSTANT int kKvSplit = 64;  ///< positions of a softmax of its own; divides a page

/// Rows of attention that share keys and values: neighbouring tokens of one sequence, and neighbouring ones of the
/// query heads that share a KV head.
struct AttentionTile {
  int32_t first_token, n_tokens;  ///< rows of the batch
  int32_t first_position;         ///< of the first token in its sequence
  int32_t page_table;             ///< index of the sequence's first page in page_tables
  int32_t first_head, n_heads;    ///< n_tokens * n_heads is at most the rows of a tile
  int32_t n_before;               ///< tokens of this sequence in the batch before the first
};

}  // namespace gpu
}  // namespace outpost
