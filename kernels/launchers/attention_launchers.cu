#include "kernels/launchers/attention_arguments.h"
#include "kernels/portable/attention_tiles.h"

namespace outpost::gpu {
namespace {

template <int kMaxDimK, int kMaxDimV>
Error launch_tiles(const TilesLaunch& a) {
  return launch_tiles_by(a, a.is_split() ? attention<kAttentionRows, kMaxDimK, kMaxDimV, true>
                                         : attention<kAttentionRows, kMaxDimK, kMaxDimV, false>);
}

template <int kMaxDim>
Error launch_rope_tiles(const TilesLaunch& a) {
  return launch_rope_tiles_by(a, a.is_split() ? rope_and_attention<kAttentionRows, kMaxDim, kMaxDim, true>
                                              : rope_and_attention<kAttentionRows, kMaxDim, kMaxDim, false>);
}

/// @pre the dimensions are multiples of 4
Error launch_tiles_of_any_dim(const TilesLaunch& a) {
  const int32_t dim_k = a.params.attention.kv.head_dim_k, dim_v = a.params.attention.kv.head_dim_v;
  const int32_t n_rows = a.arrays.n_tile_rows;
  if (n_rows > (a.is_split() ? most_attention_rows(dim_k, dim_v) : kAttentionRows)) return Error::kInvalidValue;
  if (has_attention_units(dim_k, dim_v)) return launch_tiles_on_units(a);
  if (dim_k <= 128 && dim_v <= 128) return a.rope != nullptr ? launch_rope_tiles<128>(a) : launch_tiles<128, 128>(a);
  if (dim_k <= 256 && dim_v <= 256) return a.rope != nullptr ? launch_rope_tiles<256>(a) : launch_tiles<256, 256>(a);
  if (dim_k <= 576 && dim_v <= 512 && a.rope == nullptr) return launch_tiles<576, 512>(a);
  return Error::kInvalidValue;
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

Grid tile_grid(const AttentionArrays& a, int32_t n_tiles, int32_t n_splits, const AttentionKernelParams& params) {
  const int32_t n_visible = visible_splits(n_splits, kKvSplit, params.n_window, a.n_tile_rows);
  return Grid(n_tiles, params.kv.n_head_kv, a.partial != nullptr ? n_visible : 1);
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
  if (!has_merge(arrays, n_splits, params) || params.kv.head_dim_k % 4 != 0 || params.kv.head_dim_v % 4 != 0)
    return Error::kInvalidValue;
  const Error error = launch_tiles_of_any_dim(
      {stream, arrays, nullptr, tile_grid(arrays, n_tiles, n_splits, params), {params, 0, 0, 0}});
  return error == Error::kNone ? launch_merge(stream, arrays, params) : error;
}

Error launch_rope_and_attention(Stream stream, const AttentionArrays& arrays, const RopeKvArrays& rope, int32_t n_tiles,
                                int32_t n_splits, const RopeAttentionParams& params) {
  if (!can_rope_and_attend(params.attention.kv.head_dim_k, params.attention.kv.head_dim_v) ||
      !has_merge(arrays, n_splits, params.attention))
    return Error::kInvalidValue;
  const Error error =
      launch_tiles_of_any_dim({stream, arrays, &rope, tile_grid(arrays, n_tiles, n_splits, params.attention), params});
  return error == Error::kNone ? launch_merge(stream, arrays, params.attention) : error;
}

}  // namespace outpost::gpu
