#include "kernels/launchers/launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {
namespace {

template <int kMaxDimK, int kMaxDimV>
Error launch_dims(Stream stream, const AttentionArrays& a, int32_t n_tiles, int32_t n_splits,
                  const AttentionKernelParams& params) {
  if (a.partial == nullptr) {
    const OverlappedLaunch launch(stream, Grid(n_tiles, params.kv.n_head_kv), kAttentionThreads);
    return launch(attention<kAttentionRows, kMaxDimK, kMaxDimV, false>, a.q, a.pages, a.page_tables, a.tiles, a.sinks,
                  a.y, a.partial, a.states, params);
  }
  const OverlappedLaunch launch(stream, Grid(n_tiles, params.kv.n_head_kv, n_splits), kAttentionThreads);
  if (const Error error = launch(attention<kAttentionRows, kMaxDimK, kMaxDimV, true>, a.q, a.pages, a.page_tables,
                                 a.tiles, a.sinks, a.y, a.partial, a.states, params);
      error != Error::kNone) {
    return error;
  }
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

}  // namespace

bool can_merge_codes(int32_t n_splits, bool is_super, const AttentionKernelParams& params) {
  // A lane has eight columns of all splits: with many, attention_merge's more threads are worth a launch of their own.
  constexpr int32_t kMaxSplits = 16;
  const int32_t n_columns = params.n_head * params.kv.head_dim_v;
  return n_splits <= kMaxSplits && params.kv.head_dim_v % 8 == 0 && n_columns % (is_super ? 256 : 32) == 0;
}

Error launch_attention(Stream stream, const AttentionArrays& arrays, int32_t n_tiles, int32_t n_splits,
                       const AttentionKernelParams& params) {
  const int32_t dim_k = params.kv.head_dim_k, dim_v = params.kv.head_dim_v;
  if (arrays.codes != nullptr && (arrays.partial == nullptr || !can_merge_codes(n_splits, arrays.is_super, params)))
    return Error::kInvalidValue;
  if (dim_k % 4 != 0 || dim_v % 4 != 0) return Error::kInvalidValue;
  if (dim_k <= 128 && dim_v <= 128) return launch_dims<128, 128>(stream, arrays, n_tiles, n_splits, params);
  if (dim_k <= 256 && dim_v <= 256) return launch_dims<256, 256>(stream, arrays, n_tiles, n_splits, params);
  if (dim_k <= 576 && dim_v <= 512) return launch_dims<576, 512>(stream, arrays, n_tiles, n_splits, params);
  return Error::kInvalidValue;
}

}  // namespace outpost::gpu
