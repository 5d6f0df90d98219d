#include "backend/cuda/cuda_backend.h"

namespace outpost {

void CudaBackend::multiply_experts(const CudaMatrix& matrix, DeviceSpan<float> y, DeviceSpan<const float> x,
                                   const float* bias, const gpu::ExpertLists& lists, const int32_t* choices,
                                   int32_t n_expert, int32_t n_used) {
  const int32_t n_rows = matrix.n_rows() / n_expert, has_bias = bias != nullptr ? 1 : 0;
  if (!matrix.has_blocks()) {
    const gpu::FloatExpertParams params{{n_rows, matrix.n_cols(), lists.n_choices, has_bias}, n_used, 0, 0};
    launched(gpu::launch_float_experts(stream_, matrix.type().type, matrix.data(), x.data, bias, choices, nullptr,
                                       write(y), params),
             "float_experts");
    return;
  }
  const gpu::QuantizedInput input = quantize(x, matrix.type());
  const gpu::ExpertParams params{{n_rows, matrix.n_cols() / 32, 0, has_bias, 0}, n_used, 0, 0};
  launched(gpu::launch_experts_matvec(stream_, matrix.type(), matrix.data(), input, bias, lists, write(y), params),
           "experts_matvec");
}

void CudaBackend::expert_ffn(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> logits,
                             int32_t n_tokens, Experts& layer) {
  settle();
  if (n_tokens == 0) return;
  const auto& experts = static_cast<const CudaExperts&>(layer);
  const RouterParams& router = experts.router;
  const int32_t n_expert = router.n_expert, n_used = router.n_used, n_choices = n_tokens * n_used;
  const auto count = static_cast<size_t>(n_choices);
  const auto data_of = [](const std::unique_ptr<CudaBuffer>& buffer) {
    return buffer == nullptr ? nullptr : buffer->span().data;
  };
  auto* choices = reinterpret_cast<int32_t*>(reserve(choices_, count));
  float* weights = reserve(choice_weights_, count);
  auto* order = reinterpret_cast<int32_t*>(reserve(order_, count));
  auto* tiles = reinterpret_cast<int32_t*>(reserve(tiles_, 3 * count));
  auto* n_tiles = reinterpret_cast<int32_t*>(reserve(n_tiles_, 1));
  const gpu::RouterKernelParams router_params{static_cast<int32_t>(router.gating),
                                              n_expert,
                                              n_used,
                                              router.n_groups,
                                              router.n_groups_used,
                                              router.is_normalized ? 1 : 0,
                                              experts.selection_bias != nullptr ? 1 : 0,
                                              router.scale};
  launched(gpu::launch_route_experts(stream_, logits.data, data_of(experts.selection_bias), choices, weights, n_tokens,
                                     router_params),
           "route_experts");
  launched(gpu::launch_group_experts(stream_, choices, order, tiles, n_tiles, {n_expert, n_choices}), "group_experts");
  const gpu::ExpertLists lists{order, tiles, n_tiles, n_choices};

  const CudaMatrix &gate = *experts.gate, &up = *experts.up;
  const int32_t n_ff = gate.n_rows() / n_expert;
  const auto n_hidden = count * static_cast<size_t>(n_ff);
  const DeviceSpan<float> hidden = {reserve(hidden_, n_hidden), n_hidden};
  const float *gate_bias = data_of(experts.gate_bias), *up_bias = data_of(experts.up_bias);
  const bool is_alike = gate.type().type == up.type().type && gate.type().is_wide == up.type().is_wide &&
                        (gate_bias == nullptr) == (up_bias == nullptr);
  const auto gate_kind = static_cast<int32_t>(experts.gate_kind);
  if (gate.has_blocks() && is_alike) {
    const gpu::QuantizedInput input = quantize(x, gate.type());
    const gpu::ExpertParams params{
        {n_ff, gate.n_cols() / 32, 0, gate_bias != nullptr ? 1 : 0, gate_kind}, n_used, 0, 0};
    launched(gpu::launch_experts_gated(stream_, gate.type(), gate.data(), up.data(), input, gate_bias, up_bias, lists,
                                       write(hidden), params),
             "experts_gated");
  } else {
    const DeviceSpan<float> other = {reserve(other_hidden_, n_hidden), n_hidden};
    multiply_experts(gate, hidden, x, gate_bias, lists, choices, n_expert, n_used);
    multiply_experts(up, other, x, up_bias, lists, choices, n_expert, n_used);
    launched(gpu::launch_gate(stream_, write(hidden), hidden.data, other.data, {int_of(n_hidden), 0, gate_kind}),
             "gate");
  }
  const int32_t n_embd = experts.down->n_rows() / n_expert;
  const auto n_results = count * static_cast<size_t>(n_embd);
  const DeviceSpan<float> results = {reserve(expert_results_, n_results), n_results};
  multiply_experts(*experts.down, results, hidden, data_of(experts.down_bias), lists, choices, n_expert, 1);
  launched(gpu::launch_combine_experts(stream_, results.data, weights, write(y), {n_tokens, n_used, n_embd}),
           "combine_experts");
}

}  // namespace outpost
