#include "kernels/cuda/launchers.h"
#include "kernels/cuda/overlapped_launch.h"

namespace outpost::gpu {
namespace {

uint32_t blocks_of(int64_t n, int64_t per_block) { return static_cast<uint32_t>((n + per_block - 1) / per_block); }
uint32_t element_blocks(int64_t n) { return blocks_of(n, kElementThreads); }
uint32_t row_blocks(const RowParams& params) { return element_blocks(int64_t{params.n_rows} * params.width); }

}  // namespace

cudaError_t launch_quantize(cudaStream_t stream, const float* x, const QuantizedOutput& codes,
                            const QuantizeParams& params) {
  if (params.is_super && params.n_groups % 8 != 0) return cudaErrorInvalidValue;
  if (params.n_groups == 0) return cudaSuccess;  // an empty grid is an error
  const OverlappedLaunch launch(stream, dim3(blocks_of(params.n_groups, kQuantizeThreads / 4)), kQuantizeThreads);
  return launch(quantize_activations, x, codes.codes, codes.scales, codes.sums, codes.pairs, params);
}

cudaError_t launch_residual_norm(cudaStream_t stream, float* y, float* x, const float* addend, const float* weight,
                                 const QuantizedOutput& codes, int32_t n_rows, const ResidualNormParams& params) {
  if (params.width % (params.is_super ? 256 : 32) != 0) return cudaErrorInvalidValue;
  if (n_rows == 0) return cudaSuccess;
  const OverlappedLaunch launch(stream, dim3(n_rows), kNormThreads);
  return launch(residual_norm, y, x, addend, weight, codes.codes, codes.scales, codes.sums, codes.pairs, params);
}

cudaError_t launch_widen(cudaStream_t stream, TensorType type, const void* narrow, void* wide, int64_t n_elements) {
  if (n_elements % 256 != 0) return cudaErrorInvalidValue;
  const WidenParams params{static_cast<int64_t>(device_bytes({type, true}, n_elements) / sizeof(uint16_t))};
  const uint32_t n_blocks = blocks_of(params.n_words, kWidenThreads);
  const auto* from = static_cast<const uint16_t*>(narrow);
  auto* to = static_cast<uint16_t*>(wide);
  if (n_elements == 0) return cudaSuccess;
  if (type == TensorType::kQ8_0)
    widen_q8_0<<<n_blocks, kWidenThreads, 0, stream>>>(from, to, params);
  else if (type == TensorType::kQ6_K)
    widen_q6_k<<<n_blocks, kWidenThreads, 0, stream>>>(from, to, params);
  else
    return cudaErrorInvalidValue;
  return cudaGetLastError();
}

cudaError_t launch_rms_norm(cudaStream_t stream, float* y, const float* x, const float* weight, int32_t n_rows,
                            const NormParams& params) {
  if (n_rows == 0) return cudaSuccess;  // an empty grid is an error
  rms_norm<<<n_rows, kNormThreads, 0, stream>>>(y, x, weight, params);
  return cudaGetLastError();
}

cudaError_t launch_layer_norm(cudaStream_t stream, float* y, const float* x, const float* weight, const float* bias,
                              int32_t n_rows, const NormParams& params) {
  if (n_rows == 0) return cudaSuccess;  // an empty grid is an error
  layer_norm<<<n_rows, kNormThreads, 0, stream>>>(y, x, weight, bias, params);
  return cudaGetLastError();
}

cudaError_t launch_add(cudaStream_t stream, float* x, const float* y, const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  add<<<element_blocks(params.n), kElementThreads, 0, stream>>>(x, y, params);
  return cudaGetLastError();
}

cudaError_t launch_scale(cudaStream_t stream, float* x, const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  scale<<<element_blocks(params.n), kElementThreads, 0, stream>>>(x, params);
  return cudaGetLastError();
}

cudaError_t launch_softcap(cudaStream_t stream, float* x, const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  softcap<<<element_blocks(params.n), kElementThreads, 0, stream>>>(x, params);
  return cudaGetLastError();
}

cudaError_t launch_activate(cudaStream_t stream, float* x, const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  activate<<<element_blocks(params.n), kElementThreads, 0, stream>>>(x, params);
  return cudaGetLastError();
}

cudaError_t launch_gate(cudaStream_t stream, float* y, const float* gates, const float* up,
                        const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  gate<<<element_blocks(params.n), kElementThreads, 0, stream>>>(y, gates, up, params);
  return cudaGetLastError();
}

cudaError_t launch_add_gated(cudaStream_t stream, float* x, const float* y, const float* logits,
                             const RowParams& params) {
  if (params.n_rows == 0) return cudaSuccess;
  add_gated<<<row_blocks(params), kElementThreads, 0, stream>>>(x, y, logits, params);
  return cudaGetLastError();
}

cudaError_t launch_copy_columns(cudaStream_t stream, float* y, const float* x, const RowParams& params) {
  if (params.n_rows == 0) return cudaSuccess;
  copy_columns<<<row_blocks(params), kElementThreads, 0, stream>>>(y, x, params);
  return cudaGetLastError();
}

cudaError_t launch_gather_rows(cudaStream_t stream, float* y, const float* x, const int32_t* rows,
                               const RowParams& params) {
  if (params.n_rows == 0) return cudaSuccess;
  gather_rows<<<row_blocks(params), kElementThreads, 0, stream>>>(y, x, rows, params);
  return cudaGetLastError();
}

cudaError_t launch_rope_and_store_kv(cudaStream_t stream, float* q, const float* k, const float* v, const float* turns,
                                     const int32_t* positions, const int32_t* slots, uint16_t* pages, int32_t n_tokens,
                                     const RopeKvParams& params) {
  if (n_tokens == 0) return cudaSuccess;  // an empty grid is an error
  const OverlappedLaunch launch(stream, dim3(params.n_head + 2 * params.kv.n_head_kv, n_tokens), kRopeThreads);
  return launch(rope_and_store_kv, q, k, v, turns, positions, slots, pages, params);
}

cudaError_t launch_top_k(cudaStream_t stream, const float* logits, int32_t* tokens, float* values, int32_t n_rows,
                         const SampleParams& params) {
  if (n_rows == 0) return cudaSuccess;  // an empty grid is an error
  top_k<<<n_rows, kSampleThreads, 0, stream>>>(logits, tokens, values, params);
  return cudaGetLastError();
}

cudaError_t launch_softmax_rows(cudaStream_t stream, float* y, const float* x, int32_t n_rows,
                                const SampleParams& params) {
  if (n_rows == 0) return cudaSuccess;  // an empty grid is an error
  softmax_rows<<<n_rows, kSampleThreads, 0, stream>>>(y, x, params);
  return cudaGetLastError();
}

cudaError_t launch_route_experts(cudaStream_t stream, const float* logits, const float* bias, int32_t* experts,
                                 float* weights, int32_t n_tokens, const RouterKernelParams& params) {
  if (n_tokens == 0) return cudaSuccess;  // an empty grid is an error
  if (params.n_expert > kMaxExperts || params.n_used > kMaxExpertsUsed) return cudaErrorInvalidValue;
  route_experts<<<n_tokens, 32, 0, stream>>>(logits, bias, experts, weights, params);
  return cudaGetLastError();
}

cudaError_t launch_group_experts(cudaStream_t stream, const int32_t* experts, int32_t* order, int32_t* tiles,
                                 int32_t* n_tiles, const GroupParams& params) {
  if (params.n_expert > kMaxExperts) return cudaErrorInvalidValue;
  group_experts<<<1, kGroupThreads, 0, stream>>>(experts, order, tiles, n_tiles, params);
  return cudaGetLastError();
}

cudaError_t launch_combine_experts(cudaStream_t stream, const float* x, const float* weights, float* y,
                                   const CombineParams& params) {
  const uint32_t n_blocks = blocks_of(int64_t{params.n_tokens} * params.width, kCombineThreads);
  combine_experts<<<n_blocks, kCombineThreads, 0, stream>>>(x, weights, y, params);
  return cudaGetLastError();
}

}  // namespace outpost::gpu
