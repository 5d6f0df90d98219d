#include "kernels/cuda/launchers.h"
#include "kernels/cuda/overlapped_launch.h"

namespace outpost::gpu {
namespace {

uint32_t ceil_div(int32_t a, int32_t b) { return static_cast<uint32_t>((a + b - 1) / b); }

bool has_kernel(int32_t dim_k, int32_t dim_v) {
  return dim_k % 4 == 0 && dim_v % 4 == 0 && dim_k <= kMaxKvDim && dim_v <= 512;
}

template <int kMaxDim>
cudaError_t launch_store(cudaStream_t stream, float* q, const float* k, const float* v, const float* turns,
                         const int32_t* positions, const int32_t* slots, const CodesMemory& memory,
                         const TurnMatrices& turn, const RopeCodesParams& params) {
  const dim3 grid(params.n_head + 2 * params.kv.n_head_kv, ceil_div(params.n_tokens, TurnShape<kMaxDim>::kTokens));
  const OverlappedLaunch launch(stream, grid, kRopeThreads);
  return launch(rope_and_store_codes<kMaxDim>, q, k, v, turns, positions, slots, memory.forms, turn.matrices,
                turn.means, memory.arena, params);
}

template <int kMaxDim>
cudaError_t launch_back(cudaStream_t stream, float* y, const TurnMatrices& turn, const RopeCodesParams& params) {
  const dim3 grid(params.n_head, ceil_div(params.n_tokens, TurnShape<kMaxDim>::kTokens));
  const OverlappedLaunch launch(stream, grid, kRopeThreads);
  return launch(turn_back<kMaxDim>, y, turn.matrices, turn.means, params);
}

template <int kMaxDimK>
cudaError_t launch_dims(cudaStream_t stream, const CodesAttentionArrays& a, int32_t n_tiles, int32_t n_spans,
                        const CodesLayout& codes, const AttentionKernelParams& params) {
  const OverlappedLaunch launch(stream, dim3(n_tiles, codes.n_head_kv, n_spans), kAttentionThreads);
  if (const cudaError_t error = launch(attention_codes<kAttentionRows, kMaxDimK>, a.q, a.memory.arena, a.memory.forms,
                                       a.page_tables, a.tiles, a.partial, a.states, codes, params);
      error != cudaSuccess) {
    return error;
  }
  const OverlappedLaunch merge(stream, dim3(params.n_head, params.n_tokens), kAttentionThreads);
  return merge(attention_merge<kCodesSpan>, a.partial, a.states, a.positions, a.sinks, a.y, params);
}

}  // namespace

cudaError_t launch_rope_and_store_codes(cudaStream_t stream, float* q, const float* k, const float* v,
                                        const float* turns, const int32_t* positions, const int32_t* slots,
                                        const CodesMemory& memory, const TurnMatrices& turn,
                                        const RopeCodesParams& params) {
  const int32_t dim_k = params.kv.head_dim_k, dim_v = params.kv.head_dim_v;
  if (!has_kernel(dim_k, dim_v)) return cudaErrorInvalidValue;
  if (params.n_tokens == 0) return cudaSuccess;  // an empty grid is an error
  if (dim_k <= 128 && dim_v <= 128)
    return launch_store<128>(stream, q, k, v, turns, positions, slots, memory, turn, params);
  if (dim_k <= 256 && dim_v <= 256)
    return launch_store<256>(stream, q, k, v, turns, positions, slots, memory, turn, params);
  return launch_store<kMaxKvDim>(stream, q, k, v, turns, positions, slots, memory, turn, params);
}

cudaError_t launch_turn_back(cudaStream_t stream, float* y, const TurnMatrices& turn, const RopeCodesParams& params) {
  const int32_t dim_v = params.kv.head_dim_v;
  if (!has_kernel(params.kv.head_dim_k, dim_v)) return cudaErrorInvalidValue;
  if (params.n_tokens == 0) return cudaSuccess;
  if (dim_v <= 128) return launch_back<128>(stream, y, turn, params);
  if (dim_v <= 256) return launch_back<256>(stream, y, turn, params);
  return launch_back<kMaxKvDim>(stream, y, turn, params);
}

cudaError_t launch_pack_pages(cudaStream_t stream, const int32_t* pages, int32_t n_pages, const CodesMemory& memory,
                              const CodesLayout& kv) {
  if (!has_kernel(kv.head_dim_k, kv.head_dim_v)) return cudaErrorInvalidValue;
  if (n_pages == 0) return cudaSuccess;
  return Launch(stream, dim3(2 * n_pages, 2 * kv.n_head_kv), kPackThreads)(pack_pages, pages, memory.forms,
                                                                           memory.arena, kv);
}

cudaError_t launch_unpack_pages(cudaStream_t stream, const UnpackedPage* entries, int32_t n_entries,
                                const CodesMemory& memory, uint16_t* pages, const CodesLayout& kv,
                                const KvLayout& result) {
  if (!has_kernel(kv.head_dim_k, kv.head_dim_v)) return cudaErrorInvalidValue;
  if (n_entries == 0) return cudaSuccess;
  return Launch(stream, dim3(n_entries, 2 * kv.n_head_kv), kPackThreads)(unpack_pages, entries, memory.forms,
                                                                         memory.arena, pages, kv, result);
}

cudaError_t launch_attention_codes(cudaStream_t stream, const CodesAttentionArrays& arrays, int32_t n_tiles,
                                   int32_t n_spans, const CodesLayout& codes, const AttentionKernelParams& params) {
  const int32_t dim_k = codes.head_dim_k, dim_v = codes.head_dim_v;
  if (!has_kernel(dim_k, dim_v)) return cudaErrorInvalidValue;
  if (dim_k <= 128) return launch_dims<128>(stream, arrays, n_tiles, n_spans, codes, params);
  if (dim_k <= 256) return launch_dims<256>(stream, arrays, n_tiles, n_spans, codes, params);
  return launch_dims<kMaxKvDim>(stream, arrays, n_tiles, n_spans, codes, params);
}

}  // namespace outpost::gpu
