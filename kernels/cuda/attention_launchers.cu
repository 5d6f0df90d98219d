#include "kernels/cuda/launchers.h"
#include "kernels/cuda/overlapped_launch.h"

namespace outpost::gpu {
namespace {

template <int kMaxDimK, int kMaxDimV>
cudaError_t launch_dims(cudaStream_t stream, const AttentionArrays& a, int32_t n_tiles, int32_t n_splits,
                        const AttentionKernelParams& params) {
  if (a.partial == nullptr) {
    const OverlappedLaunch launch(stream, dim3(n_tiles, params.kv.n_head_kv), kAttentionThreads);
    return launch(attention<kAttentionRows, kMaxDimK, kMaxDimV, false>, a.q, a.pages, a.page_tables, a.tiles, a.sinks,
                  a.y, a.partial, a.states, params);
  }
  const OverlappedLaunch launch(stream, dim3(n_tiles, params.kv.n_head_kv, n_splits), kAttentionThreads);
  if (const cudaError_t error = launch(attention<kAttentionRows, kMaxDimK, kMaxDimV, true>, a.q, a.pages,
                                       a.page_tables, a.tiles, a.sinks, a.y, a.partial, a.states, params);
      error != cudaSuccess) {
    return error;
  }
  const OverlappedLaunch merge(stream, dim3(params.n_head, params.n_tokens), kAttentionThreads);
  return merge(attention_merge, a.partial, a.states, a.positions, a.sinks, a.y, params);
}

}  // namespace

cudaError_t launch_attention(cudaStream_t stream, const AttentionArrays& arrays, int32_t n_tiles, int32_t n_splits,
                             const AttentionKernelParams& params) {
  const int32_t dim_k = params.kv.head_dim_k, dim_v = params.kv.head_dim_v;
  if (dim_k % 4 != 0 || dim_v % 4 != 0) return cudaErrorInvalidValue;
  if (dim_k <= 128 && dim_v <= 128) return launch_dims<128, 128>(stream, arrays, n_tiles, n_splits, params);
  if (dim_k <= 256 && dim_v <= 256) return launch_dims<256, 256>(stream, arrays, n_tiles, n_splits, params);
  if (dim_k <= 576 && dim_v <= 512) return launch_dims<576, 512>(stream, arrays, n_tiles, n_splits, params);
  return cudaErrorInvalidValue;
}

}  // namespace outpost::gpu
