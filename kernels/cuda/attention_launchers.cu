#include "kernels/cuda/flash_prefill.h"
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
  if (const cudaError_t error = launch(attention<kAttentionRows, kMaxDimK, kMaxDimV, true>, a.q, a.pages, a.page_tables,
                                       a.tiles, a.sinks, a.y, a.partial, a.states, params);
      error != cudaSuccess) {
    return error;
  }
  const OverlappedLaunch merge(stream, dim3(params.n_head, params.n_tokens), kAttentionThreads);
  return merge(attention_merge<kKvSplit>, a.partial, a.states, a.positions, a.sinks, a.y, params);
}

static_assert(kPrefillRows == kFlashRows);

template <int kDim>
constexpr int32_t kFlashBytes = 2 * PrefillShape<kDim>::kShared;

template <int kDim>
cudaError_t launch_flash_dim(cudaStream_t stream, const AttentionArrays& a, int32_t n_tiles,
                             const AttentionKernelParams& params) {
  const auto kernel = flash_prefill<kDim>;
  if (const cudaError_t error =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kFlashBytes<kDim>);
      error != cudaSuccess)
    return error;
  return Launch(stream, dim3(n_tiles, params.kv.n_head_kv), kPrefillThreads, kFlashBytes<kDim>)(
      kernel, a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, params);
}

}  // namespace

bool has_flash(int32_t head_dim_k, int32_t head_dim_v) {
  if (head_dim_k != head_dim_v) return false;
  if (head_dim_k != 256) return head_dim_k == 64 || head_dim_k == 80 || head_dim_k == 96 || head_dim_k == 128;
  // The largest needs more shared memory than blocks of most devices before 9.0 can have.
  int device = 0, n_bytes = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&n_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) == cudaSuccess &&
         n_bytes >= kFlashBytes<256> + 1024;
}

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
