#include "kernels/launchers/launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {
namespace {

Grid tile_grid(const AttentionArrays& a, int32_t n_tiles, int32_t n_splits, const AttentionKernelParams& params) {
  return Grid(n_tiles, params.kv.n_head_kv, a.partial != nullptr ? n_splits : 1);
}

template <int kMaxDimK, int kMaxDimV>
Error launch_tiles(Stream stream, const AttentionArrays& a, int32_t n_tiles, int32_t n_splits,
                   const AttentionKernelParams& params) {
  const OverlappedLaunch launch(stream, tile_grid(a, n_tiles, n_splits, params), kAttentionThreads);
  if (a.partial == nullptr) {
    return launch(attention<kAttentionRows, kMaxDimK, kMaxDimV, false>, a.q, a.pages, a.page_tables, a.tiles, a.sinks,
                  a.y, a.partial, a.states, params);
  }
  return launch(attention<kAttentionRows, kMaxDimK, kMaxDimV, true>, a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y,
                a.partial, a.states, params);
}

template <int kMaxDim>
Error launch_rope_tiles(Stream stream, const AttentionArrays& a, const RopeKvArrays& rope, int32_t n_tiles,
                        int32_t n_splits, const RopeAttentionParams& params) {
  const OverlappedLaunch launch(stream, tile_grid(a, n_tiles, n_splits, params.attention), kAttentionThreads);
  if (a.partial == nullptr) {
    return launch(rope_and_attention<kAttentionRows, kMaxDim, kMaxDim, false>, a.q, rope.k, rope.v, rope.turns,
                  rope.pages, a.page_tables, a.tiles, a.sinks, a.y, a.partial, a.states, params);
  }
  return launch(rope_and_attention<kAttentionRows, kMaxDim, kMaxDim, true>, a.q, rope.k, rope.v, rope.turns, rope.pages,
                a.page_tables, a.tiles, a.sinks, a.y, a.partial, a.states, params);
}

/// The splits of tiles, where those had blocks of their own.
Error launch_merge(Stream stream, const AttentionArrays& a, const AttentionKernelParams& params) {
  if (a.partial == nullptr) return Error::kNone;
  if (a.codes != nullptr) {
    const int32_t n_columns = params.n_head * params.kv.head_dim_v, n_of_block = 8 * kAttentionThreads;
    const OverlappedLaunch merge(stream, Grid((n_columns + n_of_block - 1) / n_of_block, params.n_tokens),
                                 kAttentionThreads);
    return merge(attention_merge_codes<kKvSplit>, a.partial, a.states, a.positions, a.sinks, a.y, a.codes->codes,
                 a.codes->scales, a.codes->sums, a.codes->pairs, MergeCodesParams{params, a.is_super ? 1 : 0});
  }
  const OverlappedLaunch merge(stream, Grid(params.n_head, params.n_tokens), kAttentionThreads);
  return merge(attention_merge<kKvSplit>, a.partial, a.states, a.positions, a.sinks, a.y, params);
}

bool has_merge(const AttentionArrays& a, int32_t n_splits, const AttentionKernelParams& params) {
  return a.codes == nullptr || (a.partial != nullptr && can_merge_codes(n_splits, a.is_super, params));
}

}  // namespace

bool can_merge_codes(int32_t n_splits, bool is_super, const AttentionKernelParams& params) {
  // A lane has eight columns of all splits: with many, attention_merge's more threads are worth a launch of their own.
  constexpr int32_t kMaxSplits = 16;
  const int32_t n_columns = params.n_head * params.kv.head_dim_v;
  return n_splits <= kMaxSplits && params.kv.head_dim_v % 8 == 0 && n_columns % (is_super ? 256 : 32) == 0;
}

bool can_rope_and_attend(int32_t head_dim_k, int32_t head_dim_v) {
  return head_dim_k % 4 == 0 && head_dim_v % 4 == 0 && head_dim_k <= 256 && head_dim_v <= 256;
}

Error launch_attention(Stream stream, const AttentionArrays& arrays, int32_t n_tiles, int32_t n_splits,
                       const AttentionKernelParams& params) {
  const int32_t dim_k = params.kv.head_dim_k, dim_v = params.kv.head_dim_v;
  if (!has_merge(arrays, n_splits, params) || dim_k % 4 != 0 || dim_v % 4 != 0) return Error::kInvalidValue;
  Error error = Error::kInvalidValue;
  if (dim_k <= 128 && dim_v <= 128)
    error = launch_tiles<128, 128>(stream, arrays, n_tiles, n_splits, params);
  else if (dim_k <= 256 && dim_v <= 256)
    error = launch_tiles<256, 256>(stream, arrays, n_tiles, n_splits, params);
  else if (dim_k <= 576 && dim_v <= 512)
    error = launch_tiles<576, 512>(stream, arrays, n_tiles, n_splits, params);
  return error == Error::kNone ? launch_merge(stream, arrays, params) : error;
}

Error launch_rope_and_attention(Stream stream, const AttentionArrays& arrays, const RopeKvArrays& rope, int32_t n_tiles,
                                int32_t n_splits, const RopeAttentionParams& params) {
  const int32_t dim_k = params.attention.kv.head_dim_k, dim_v = params.attention.kv.head_dim_v;
  if (!can_rope_and_attend(dim_k, dim_v) || !has_merge(arrays, n_splits, params.attention)) return Error::kInvalidValue;
  const Error error = dim_k <= 128 && dim_v <= 128
                          ? launch_rope_tiles<128>(stream, arrays, rope, n_tiles, n_splits, params)
                          : launch_rope_tiles<256>(stream, arrays, rope, n_tiles, n_splits, params);
  return error == Error::kNone ? launch_merge(stream, arrays, params.attention) : error;
}

}  // namespace outpost::gpu
