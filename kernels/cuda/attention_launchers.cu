#include "kernels/cuda/flash_prefill.h"
#include "kernels/cuda/launchers.h"

namespace outpost::gpu {
namespace {

template <int kMaxDimK, int kMaxDimV>
cudaError_t launch_dims(cudaStream_t stream, const AttentionArrays& a, int32_t n_tiles, int32_t n_splits,
                        const AttentionKernelParams& params) {
  if (a.partial == nullptr) {
    attention<kAttentionRows, kMaxDimK, kMaxDimV, false>
        <<<dim3(n_tiles, params.kv.n_head_kv), kAttentionThreads, 0, stream>>>(
            a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, a.partial, a.states, params);
    return cudaGetLastError();
  }
  attention<kAttentionRows, kMaxDimK, kMaxDimV, true>
      <<<dim3(n_tiles, params.kv.n_head_kv, n_splits), kAttentionThreads, 0, stream>>>(
          a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, a.partial, a.states, params);
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) return error;
  attention_merge<<<dim3(params.n_head, params.n_tokens), kAttentionThreads, 0, stream>>>(
      a.partial, a.states, a.positions, a.sinks, a.y, params);
  return cudaGetLastError();
}

static_assert(kPrefillRows == kFlashRows);

template <int kDim>
cudaError_t launch_flash_dim(cudaStream_t stream, const AttentionArrays& a, int32_t n_tiles,
                             const AttentionKernelParams& params) {
  constexpr int32_t kSharedBytes = 2 * PrefillShape<kDim>::kShared;
  const auto kernel = flash_prefill<kDim>;
  if (const cudaError_t error =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
      error != cudaSuccess)
    return error;
  kernel<<<dim3(n_tiles, params.kv.n_head_kv), kPrefillThreads, kSharedBytes, stream>>>(
      a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, params);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_flash(cudaStream_t stream, const AttentionArrays& arrays, int32_t n_tiles,
                         const AttentionKernelParams& params) {
  if (!has_flash(params.kv.head_dim_k, params.kv.head_dim_v)) return cudaErrorInvalidValue;
  if (n_tiles == 0) return cudaSuccess;  // an empty grid is an error
  switch (params.kv.head_dim_k) {
    case 64: return launch_flash_dim<64>(stream, arrays, n_tiles, params);
    case 80: return launch_flash_dim<80>(stream, arrays, n_tiles, params);
    case 96: return launch_flash_dim<96>(stream, arrays, n_tiles, params);
    case 128: return launch_flash_dim<128>(stream, arrays, n_tiles, params);
    default: return launch_flash_dim<256>(stream, arrays, n_tiles, params);
  }
}

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
