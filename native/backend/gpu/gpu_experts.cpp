#include "backend/gpu/gpu_backend.h"

namespace outpost {
namespace {

const float* data_of(const std::unique_ptr<GpuBuffer>& buffer) {
  return buffer == nullptr ? nullptr : buffer->span().data;
}

}  // namespace

void GpuBackend::resolve(GpuExpertPass& pass) {
  if (pass.layer.slots == nullptr) return;
  const gpu::SlotParams& params = pass.layer.slots->params();
  const auto n_words = 2 * static_cast<size_t>(params.n_expert);
  pass.plan = {reinterpret_cast<int32_t*>(reserve(expert_places_, n_words)),
               reinterpret_cast<int32_t*>(reserve(expert_copies_, n_words)),
               reinterpret_cast<int32_t*>(reserve(n_expert_copies_, 2))};
  pass.n_rounds = gpu::expert_rounds(pass.lists.n_choices, params);
  launched(gpu::launch_resolve_experts(stream_, pass.lists, pass.layer.slots->table(), pass.plan, params),
           "resolve_experts");
  pass.lists.places = pass.rows.places = pass.plan.places;
  if (pass.are_copied()) copy_experts(pass, {pass.layer.gate.get(), pass.layer.up.get(), pass.layer.down.get()}, 0);
}

void GpuBackend::copy_experts(const GpuExpertPass& pass, std::initializer_list<const GpuMatrix*> matrices,
                              int32_t round) {
  const gpu::SlotParams& params = pass.layer.slots->params();
  std::vector<gpu::ExpertCopy> copies;
  for (const GpuMatrix* matrix : matrices) {
    const int64_t n_elements = int64_t{matrix->n_rows()} / params.n_expert * matrix->n_cols();
    copies.push_back(
        {matrix->host(), matrix->slots(), static_cast<int64_t>(gpu::device_bytes(matrix->type(), n_elements))});
  }
  launched(gpu::launch_copy_experts(stream_, copies.data(), int_of(copies.size()), pass.plan, pass.lists.n_choices,
                                    params.n_slots, round),
           "copy_experts");
}

gpu::ArrangedChoices GpuBackend::arrange(const int32_t* choices, int32_t n_choices, int32_t n_expert) {
  gpu::ArrangedChoices all{};
  all.tile_rows = gpu::expert_tile_rows(n_choices, n_expert);
  all.n_rows = gpu::expert_rows(n_choices, n_expert);
  all.n_tiles = gpu::expert_tiles(n_choices, n_expert, all.tile_rows);
  auto* rows = reinterpret_cast<int32_t*>(reserve(expert_rows_, static_cast<size_t>(all.n_rows)));
  auto* tiles = reinterpret_cast<int32_t*>(reserve(row_tiles_, 3 * static_cast<size_t>(all.n_tiles)));
  launched(gpu::launch_arrange_choices(stream_, choices, rows, tiles, {n_expert, n_choices, all.tile_rows}),
           "arrange_choices");
  all.rows = rows;
  all.tiles = tiles;
  return all;
}

gpu::HalvedInput GpuBackend::halve_choices(const ExpertInput& x, GpuExpertPass& pass, int32_t n_cols) {
  const int32_t n_rows = pass.rows.n_rows;
  auto* image = reinterpret_cast<uint32_t*>(reserve(image_, gpu::image_words(n_rows, n_cols)));
  float* scales = reserve(image_scales_, static_cast<size_t>(n_rows));
  if (pass.halved != x.values.data) {
    const bool is_gated = x.up.data != nullptr;
    launched(gpu::launch_halve_choices(stream_, x.values.data, x.up.data, pass.rows.rows, image, scales,
                                       {n_rows, n_cols, x.n_used, is_gated ? 1 : 0, x.gate}),
             "halve_choices");
    pass.halved = x.values.data;
    halved_ = {};
  }
  return {image, scales};
}

void GpuBackend::multiply_experts(const GpuMatrix& matrix, DeviceSpan<float> y, const ExpertInput& x, const float* bias,
                                  GpuExpertPass& pass) {
  const int32_t n_rows = matrix.n_rows() / pass.layer.router.n_expert, has_bias = bias != nullptr ? 1 : 0;
  const int32_t has_slots = pass.layer.slots != nullptr ? 1 : 0;
  const bool is_halved = pass.is_halved(matrix), has_codes = !is_halved && matrix.has_blocks();
  const gpu::HalvedInput image = is_halved ? halve_choices(x, pass, matrix.n_cols()) : gpu::HalvedInput{};
  const gpu::QuantizedInput input = has_codes ? quantize(x.values, matrix.type()) : gpu::QuantizedInput{};
  float* result = write(y);
  for (int32_t round = 0; round < pass.n_rounds; ++round) {
    if (!pass.are_copied()) copy_experts(pass, {&matrix}, round);
    if (is_halved) {
      const gpu::ExpertGemmParams params{{n_rows, matrix.n_cols() / 32, pass.rows.n_rows, has_bias}, has_slots, round};
      launched(gpu::launch_experts_gemm(stream_, matrix.type(), matrix.data(), image, bias, pass.rows, result, params),
               "a product with experts");
      continue;
    }
    if (has_codes) {
      const gpu::ExpertParams params{{n_rows, matrix.n_cols() / 32, 0, has_bias, 0}, x.n_used, has_slots, round};
      launched(
          gpu::launch_experts_matvec(stream_, matrix.type(), matrix.data(), input, bias, pass.lists, result, params),
          "experts_matvec");
      continue;
    }
    const gpu::FloatExpertParams params{
        {n_rows, matrix.n_cols(), pass.lists.n_choices, has_bias}, x.n_used, has_slots, round};
    launched(gpu::launch_float_experts(stream_, matrix.type().type, matrix.data(), x.values.data, bias, pass.choices,
                                       pass.lists.places, result, params),
             "float_experts");
  }
}

void GpuBackend::expert_ffn(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> logits,
                            int32_t n_tokens, Experts& layer) {
  settle({x, logits});
  if (n_tokens == 0) return;
  const auto& experts = static_cast<const GpuExperts&>(layer);
  const RouterParams& router = experts.router;
  const int32_t n_expert = router.n_expert, n_used = router.n_used, n_choices = n_tokens * n_used;
  const auto count = static_cast<size_t>(n_choices);
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
  GpuExpertPass pass{experts, choices, {order, tiles, n_tiles, n_choices, n_expert}};
  if (n_tokens > gpu::kMatvecMaxTokens) pass.rows = arrange(choices, n_choices, n_expert);
  // Slots are chosen by these lists, too.
  if (pass.rows.n_rows == 0 || experts.slots != nullptr)
    launched(gpu::launch_group_experts(stream_, choices, order, tiles, n_tiles, {n_expert, n_choices}),
             "group_experts");
  try {
    resolve(pass);
    compute_experts(y, x, weights, pass);
  } catch (...) {
    // Copies that the tables count on were perhaps not issued.
    if (experts.slots != nullptr) experts.slots->clear(stream_);
    throw;
  }
}

void GpuBackend::compute_experts(DeviceSpan<float> y, DeviceSpan<const float> x, const float* weights,
                                 GpuExpertPass& pass) {
  const GpuExperts& experts = pass.layer;
  const int32_t n_expert = experts.router.n_expert, n_used = experts.router.n_used, n_choices = pass.lists.n_choices;
  const auto count = static_cast<size_t>(n_choices);
  const GpuMatrix &gate = *experts.gate, &up = *experts.up;
  const int32_t n_ff = gate.n_rows() / n_expert;
  const auto n_hidden = count * static_cast<size_t>(n_ff);
  const DeviceSpan<float> hidden = {reserve(hidden_, n_hidden), n_hidden};
  const float *gate_bias = data_of(experts.gate_bias), *up_bias = data_of(experts.up_bias);
  const bool is_alike = gate.type().type == up.type().type && gate.type().is_wide == up.type().is_wide &&
                        (gate_bias == nullptr) == (up_bias == nullptr);
  const auto gate_kind = static_cast<int32_t>(experts.gate_kind);
  ExpertInput inner = {hidden, 1};
  if (gate.has_blocks() && is_alike && !pass.is_halved(gate)) {
    const gpu::QuantizedInput input = quantize(x, gate.type());
    float* result = write(hidden);
    for (int32_t round = 0; round < pass.n_rounds; ++round) {
      if (!pass.are_copied()) copy_experts(pass, {&gate, &up}, round);
      const gpu::ExpertParams params{{n_ff, gate.n_cols() / 32, 0, gate_bias != nullptr ? 1 : 0, gate_kind},
                                     n_used,
                                     experts.slots != nullptr ? 1 : 0,
                                     round};
      launched(gpu::launch_experts_gated(stream_, gate.type(), gate.data(), up.data(), input, gate_bias, up_bias,
                                         pass.lists, result, params),
               "experts_gated");
    }
  } else {
    const DeviceSpan<float> other = {reserve(other_hidden_, n_hidden), n_hidden};
    multiply_experts(gate, hidden, {x, n_used}, gate_bias, pass);
    multiply_experts(up, other, {x, n_used}, up_bias, pass);
    if (pass.is_halved(*experts.down)) {
      inner = {hidden, 1, other, gate_kind};
    } else {
      launched(gpu::launch_gate(stream_, write(hidden), other.data, {int_of(n_hidden), 0, gate_kind}), "gate");
    }
  }
  const int32_t n_embd = experts.down->n_rows() / n_expert;
  const auto n_results = count * static_cast<size_t>(n_embd);
  const DeviceSpan<float> results = {reserve(expert_results_, n_results), n_results};
  multiply_experts(*experts.down, results, inner, data_of(experts.down_bias), pass);
  launched(gpu::launch_combine_experts(stream_, results.data, weights, write(y), {n_choices / n_used, n_used, n_embd}),
           "combine_experts");
}

}  // namespace outpost
