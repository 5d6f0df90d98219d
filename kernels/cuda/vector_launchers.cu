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
  if (type == TensorType::kQ8_0) return Launch(stream, n_blocks, kWidenThreads)(widen_q8_0, from, to, params);
  if (type == TensorType::kQ6_K) return Launch(stream, n_blocks, kWidenThreads)(widen_q6_k, from, to, params);
  return cudaErrorInvalidValue;
}

cudaError_t launch_rms_norm(cudaStream_t stream, float* y, const float* x, const float* weight, int32_t n_rows,
                            const NormParams& params) {
  if (n_rows == 0) return cudaSuccess;  // an empty grid is an error
  return Launch(stream, n_rows, kNormThreads)(rms_norm, y, x, weight, params);
}

cudaError_t launch_layer_norm(cudaStream_t stream, float* y, const float* x, const float* weight, const float* bias,
                              int32_t n_rows, const NormParams& params) {
  if (n_rows == 0) return cudaSuccess;  // an empty grid is an error
  return Launch(stream, n_rows, kNormThreads)(layer_norm, y, x, weight, bias, params);
}

cudaError_t launch_add(cudaStream_t stream, float* x, const float* y, const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  return Launch(stream, element_blocks(params.n), kElementThreads)(add, x, y, params);
}

cudaError_t launch_scale(cudaStream_t stream, float* x, const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  return Launch(stream, element_blocks(params.n), kElementThreads)(scale, x, params);
}

cudaError_t launch_softcap(cudaStream_t stream, float* x, const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  return Launch(stream, element_blocks(params.n), kElementThreads)(softcap, x, params);
}

cudaError_t launch_activate(cudaStream_t stream, float* x, const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  return Launch(stream, element_blocks(params.n), kElementThreads)(activate, x, params);
}

cudaError_t launch_gate(cudaStream_t stream, float* y, const float* gates, const float* up,
                        const ElementParams& params) {
  if (params.n == 0) return cudaSuccess;
  return Launch(stream, element_blocks(params.n), kElementThreads)(gate, y, gates, up, params);
}

cudaError_t launch_add_gated(cudaStream_t stream, float* x, const float* y, const float* logits,
                             const RowParams& params) {
  if (params.n_rows == 0) return cudaSuccess;
  return Launch(stream, row_blocks(params), kElementThreads)(add_gated, x, y, logits, params);
}

cudaError_t launch_copy_columns(cudaStream_t stream, float* y, const float* x, const RowParams& params) {
  if (params.n_rows == 0) return cudaSuccess;
  return Launch(stream, row_blocks(params), kElementThreads)(copy_columns, y, x, params);
}

cudaError_t launch_gather_rows(cudaStream_t stream, float* y, const float* x, const int32_t* rows,
                               const RowParams& params) {
  if (params.n_rows == 0) return cudaSuccess;
  return Launch(stream, row_blocks(params), kElementThreads)(gather_rows, y, x, rows, params);
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
  return Launch(stream, n_rows, kSampleThreads)(top_k, logits, tokens, values, params);
}

cudaError_t launch_softmax_rows(cudaStream_t stream, float* y, const float* x, int32_t n_rows,
                                const SampleParams& params) {
  if (n_rows == 0) return cudaSuccess;  // an empty grid is an error
  return Launch(stream, n_rows, kSampleThreads)(softmax_rows, y, x, params);
}

cudaError_t launch_route_experts(cudaStream_t stream, const float* logits, const float* bias, int32_t* experts,
                                 float* weights, int32_t n_tokens, const RouterKernelParams& params) {
  if (n_tokens == 0) return cudaSuccess;  // an empty grid is an error
  if (params.n_expert > kMaxExperts || params.n_used > kMaxExpertsUsed) return cudaErrorInvalidValue;
  return Launch(stream, n_tokens, 32)(route_experts, logits, bias, experts, weights, params);
}

cudaError_t launch_group_experts(cudaStream_t stream, const int32_t* experts, int32_t* order, int32_t* tiles,
                                 int32_t* n_tiles, const GroupParams& params) {
  if (params.n_expert > kMaxExperts) return cudaErrorInvalidValue;
  return Launch(stream, 1, kGroupThreads)(group_experts, experts, order, tiles, n_tiles, params);
}

cudaError_t launch_combine_experts(cudaStream_t stream, const float* x, const float* weights, float* y,
                                   const CombineParams& params) {
  const uint32_t n_blocks = blocks_of(int64_t{params.n_tokens} * params.width, kCombineThreads);
  return Launch(stream, n_blocks, kCombineThreads)(combine_experts, x, weights, y, params);
}

}  // namespace outpost::gpu
