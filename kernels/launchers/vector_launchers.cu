#include "kernels/launchers/launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {
namespace {

uint32_t blocks_of(int64_t n, int64_t per_block) { return static_cast<uint32_t>((n + per_block - 1) / per_block); }
uint32_t element_blocks(int64_t n) { return blocks_of(n, kElementThreads); }
/// Of kernels that make an image of n rows.
uint32_t image_blocks(int32_t n) {
  const int64_t n_rows = int64_t{blocks_of(n, kImageTokens)} * kImageTokens;
  return static_cast<uint32_t>(n) + blocks_of(n_rows - n, kClearedRows);
}
uint32_t row_blocks(const RowParams& params) { return element_blocks(int64_t{params.n_rows} * params.width); }

}  // namespace

Error launch_quantize(Stream stream, const float* x, const QuantizedOutput& codes, const QuantizeParams& params) {
  if (params.is_super && params.n_groups % 8 != 0) return Error::kInvalidValue;
  if (params.n_groups == 0) return Error::kNone;  // an empty grid is an error
  const OverlappedLaunch launch(stream, Grid(blocks_of(params.n_groups, kQuantizeThreads / 4)), kQuantizeThreads);
  return launch(quantize_activations, x, codes.codes, codes.scales, codes.sums, codes.pairs, params);
}

Error launch_residual_norm(Stream stream, float* y, float* x, const float* addend, const float* weight,
                           const QuantizedOutput& codes, int32_t n_rows, const ResidualNormParams& params) {
  if (params.width % (params.is_super ? 256 : 32) != 0) return Error::kInvalidValue;
  if (n_rows == 0) return Error::kNone;
  const OverlappedLaunch launch(stream, Grid(n_rows), kNormThreads);
  return launch(residual_norm, y, x, addend, weight, codes.codes, codes.scales, codes.sums, codes.pairs, params);
}

Error launch_widen(Stream stream, TensorType type, const void* narrow, void* wide, int64_t n_elements) {
  if (n_elements % 256 != 0) return Error::kInvalidValue;
  const WidenParams params{static_cast<int64_t>(device_bytes({type, true}, n_elements) / sizeof(uint16_t))};
  const uint32_t n_blocks = blocks_of(params.n_words, kWidenThreads);
  const auto* from = static_cast<const uint16_t*>(narrow);
  auto* to = static_cast<uint16_t*>(wide);
  if (n_elements == 0) return Error::kNone;
  if (type == TensorType::kQ8_0) return Launch(stream, n_blocks, kWidenThreads)(widen_q8_0, from, to, params);
  if (type == TensorType::kQ6_K) return Launch(stream, n_blocks, kWidenThreads)(widen_q6_k, from, to, params);
  return Error::kInvalidValue;
}

namespace {

const float* x_beside(const float* y, const float* x) { return y == x ? nullptr : x; }
NormParams params_of(const float* y, const float* x, const NormParams& params) {
  return {params.width, params.eps, params.has_bias, y == x ? 1 : 0};
}

}  // namespace

Error launch_rms_norm(Stream stream, float* y, const float* x, const float* weight, int32_t n_rows,
                      const NormParams& params) {
  if (n_rows == 0) return Error::kNone;  // an empty grid is an error
  return OverlappedLaunch(stream, n_rows, kNormThreads)(rms_norm, y, x_beside(y, x), weight, params_of(y, x, params));
}

Error launch_layer_norm(Stream stream, float* y, const float* x, const float* weight, const float* bias, int32_t n_rows,
                        const NormParams& params) {
  if (n_rows == 0) return Error::kNone;  // an empty grid is an error
  return OverlappedLaunch(stream, n_rows, kNormThreads)(layer_norm, y, x_beside(y, x), weight, bias,
                                                        params_of(y, x, params));
}

Error launch_add(Stream stream, float* x, const float* y, const ElementParams& params) {
  if (params.n == 0) return Error::kNone;
  return OverlappedLaunch(stream, element_blocks(params.n), kElementThreads)(add, x, y, params);
}

Error launch_scale(Stream stream, float* x, const ElementParams& params) {
  if (params.n == 0) return Error::kNone;
  return OverlappedLaunch(stream, element_blocks(params.n), kElementThreads)(scale, x, params);
}

Error launch_softcap(Stream stream, float* x, const ElementParams& params) {
  if (params.n == 0) return Error::kNone;
  return OverlappedLaunch(stream, element_blocks(params.n), kElementThreads)(softcap, x, params);
}

Error launch_activate(Stream stream, float* x, const ElementParams& params) {
  if (params.n == 0) return Error::kNone;
  return OverlappedLaunch(stream, element_blocks(params.n), kElementThreads)(activate, x, params);
}

Error launch_gate(Stream stream, float* y, const float* up, const ElementParams& params) {
  if (params.n == 0) return Error::kNone;
  return OverlappedLaunch(stream, element_blocks(params.n), kElementThreads)(gate, y, up, params);
}

Error launch_add_gated(Stream stream, float* x, const float* y, const float* logits, const RowParams& params) {
  if (params.n_rows == 0) return Error::kNone;
  return OverlappedLaunch(stream, row_blocks(params), kElementThreads)(add_gated, x, y, logits, params);
}

Error launch_copy_columns(Stream stream, float* y, const float* x, const RowParams& params) {
  if (params.n_rows == 0) return Error::kNone;
  return OverlappedLaunch(stream, row_blocks(params), kElementThreads)(copy_columns, y, x, params);
}

Error launch_gather_rows(Stream stream, float* y, const float* x, const int32_t* rows, const RowParams& params) {
  if (params.n_rows == 0) return Error::kNone;
  return OverlappedLaunch(stream, row_blocks(params), kElementThreads)(gather_rows, y, x, rows, params);
}

Error launch_rope_and_store_kv(Stream stream, float* q, const float* k, const float* v, const float* turns,
                               const int32_t* positions, const int32_t* slots, uint16_t* pages, int32_t n_tokens,
                               const RopeKvParams& params) {
  if (n_tokens == 0) return Error::kNone;  // an empty grid is an error
  const OverlappedLaunch launch(stream, Grid(params.n_head + 2 * params.kv.n_head_kv, n_tokens), kRopeThreads);
  return launch(rope_and_store_kv, q, k, v, turns, positions, slots, pages, params);
}

Error launch_shortlist(Stream stream, const float* logits, float* groups, float* lists, int32_t n_rows,
                       const ShortlistParams& params) {
  if (n_rows == 0) return Error::kNone;  // an empty grid is an error
  if (params.n_groups > kMostGroups || params.n_least > kShortlistMost) return Error::kInvalidValue;
  float* sums = groups + int64_t{n_rows} * params.n_groups;
  const Grid grid(blocks_of(params.n_groups, kGroupsPerBlock), n_rows);
  if (const Error error =
          OverlappedLaunch(stream, grid, kGroupBestThreads)(best_of_groups, logits, groups, sums, params);
      error != Error::kNone)
    return error;
  return OverlappedLaunch(stream, n_rows, kShortlistThreads)(shortlist, logits, groups, sums, lists, params);
}

Error launch_route_experts(Stream stream, const float* logits, const float* bias, int32_t* experts, float* weights,
                           int32_t n_tokens, const RouterKernelParams& params) {
  if (n_tokens == 0) return Error::kNone;  // an empty grid is an error
  if (params.n_expert > kMaxExperts || params.n_used > kMaxExpertsUsed) return Error::kInvalidValue;
  return OverlappedLaunch(stream, n_tokens, 32)(route_experts, logits, bias, experts, weights, params);
}

Error launch_group_experts(Stream stream, const int32_t* experts, int32_t* order, int32_t* tiles, int32_t* n_tiles,
                           const GroupParams& params) {
  if (params.n_expert > kMaxExperts) return Error::kInvalidValue;
  return OverlappedLaunch(stream, 1, kGroupThreads)(group_experts, experts, order, tiles, n_tiles, params);
}

Error launch_arrange_choices(Stream stream, const int32_t* experts, int32_t* rows, int32_t* tiles,
                             const ArrangeParams& params) {
  if (params.n_expert > kMaxExperts) return Error::kInvalidValue;
  return OverlappedLaunch(stream, params.n_expert, kArrangeThreads)(arrange_choices, experts, rows, tiles, params);
}

Error launch_halve(Stream stream, const float* x, const float* up, uint32_t* image, float* scales,
                   const HalveParams& params) {
  if (params.n_cols % 32 != 0) return Error::kInvalidValue;
  if (params.n_tokens == 0) return Error::kNone;
  return Launch(stream, Grid(image_blocks(params.n_tokens)), kHalveThreads)(halve_activations, x, up, image, scales,
                                                                            params);
}

Error launch_halve_normed(Stream stream, float* x, const float* addend, const float* weight, uint32_t* image,
                          float* scales, const HalveNormedParams& params) {
  if (params.n_cols % 32 != 0) return Error::kInvalidValue;
  if (params.n_tokens == 0) return Error::kNone;
  return Launch(stream, Grid(image_blocks(params.n_tokens)), kHalveThreads)(halve_normed, x, addend, weight, image,
                                                                            scales, params);
}

Error launch_halve_choices(Stream stream, const float* x, const float* up, const int32_t* rows, uint32_t* image,
                           float* scales, const HalveChoicesParams& params) {
  if (params.n_cols % 32 != 0) return Error::kInvalidValue;
  return Launch(stream, Grid(image_blocks(params.n_rows)), kHalveThreads)(halve_choices, x, up, rows, image, scales,
                                                                          params);
}

Error launch_combine_experts(Stream stream, const float* x, const float* weights, float* y,
                             const CombineParams& params) {
  const uint32_t n_blocks = blocks_of(int64_t{params.n_tokens} * params.width, kCombineThreads);
  return OverlappedLaunch(stream, n_blocks, kCombineThreads)(combine_experts, x, weights, y, params);
}

}  // namespace outpost::gpu
