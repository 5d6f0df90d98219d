// The operations of the tests on a real device.
#ifdef OUTPOST_ON_GPU

#include "kernels/launchers/launchers.h"
#include "kernels/tests/operations.h"

namespace outpost::test {

using namespace gpu;
using cuda::check_launch;

namespace {

constexpr Stream kStream = nullptr;

QuantizedInput input_of(DeviceActivations& x) { return {x.codes, x.scales, x.sums, x.pairs}; }
QuantizedOutput output_of(DeviceActivations& x) { return {x.codes, x.scales, x.sums, x.pairs}; }
const float* values_of(DeviceArray<float>* values) { return values == nullptr ? nullptr : values->pointer(); }
const int32_t* places_of(DeviceArray<int32_t>* places) { return places == nullptr ? nullptr : places->pointer(); }
ExpertLists lists_of(DeviceLists& lists) {
  return {lists.order, lists.tiles, lists.n_tiles, lists.n_choices, lists.n_expert, places_of(lists.places)};
}

/// @param codes has to live as long as the result
AttentionArrays arrays_of(const DeviceAttention& a, QuantizedOutput& codes, int32_t n_rows) {
  AttentionArrays arrays{a.q, a.pages, a.page_tables, a.tiles, a.positions, a.sinks, a.y, nullptr, nullptr};
  arrays.n_tile_rows = n_rows;
  if (a.is_split) {
    arrays.partial = a.partial;
    arrays.states = a.states;
  }
  if (a.codes != nullptr) {
    codes = output_of(*a.codes);
    arrays.codes = &codes;
    arrays.is_super = a.codes->is_super;
  }
  return arrays;
}

}  // namespace

int32_t tile_rows(int32_t) { return kAttentionRows; }
int32_t most_rows_on_units(int32_t dim_k, int32_t dim_v) { return most_attention_rows(dim_k, dim_v); }

void run_quantize(DeviceArray<float>& x, DeviceActivations& y) {
  check_launch(launch_quantize(kStream, x, output_of(y), {y.n_groups, y.is_super ? 1 : 0}), "quantize_activations");
}
void run_halve(DeviceArray<float>& x, DeviceArray<float>* up, DeviceArray<uint32_t>& image, DeviceArray<float>& scales,
               const HalveParams& params) {
  check_launch(launch_halve(kStream, x, values_of(up), image, scales, params), "halve_activations");
}
void run_halve_normed(DeviceArray<float>& x, DeviceArray<float>* addend, DeviceArray<float>& weight,
                      DeviceArray<uint32_t>& image, DeviceArray<float>& scales, const HalveNormedParams& params) {
  check_launch(launch_halve_normed(kStream, x, values_of(addend), weight, image, scales, params), "halve_normed");
}
void run_gemm(DeviceType type, const std::vector<GemmMatrix>& matrices, DeviceArray<uint32_t>& image,
              DeviceArray<float>& scales, const GemmSetParams& params, GemmUnits units, GemmTile tile, Schedule) {
  std::vector<MatrixProduct> products;
  for (size_t i = 0; i < matrices.size(); ++i) {
    const float* bias = (params.has_bias >> i & 1) != 0 ? matrices[i].bias.pointer() : nullptr;
    products.push_back({matrices[i].weight.pointer(), bias, matrices[i].y.pointer(), params.n_rows[i]});
  }
  check_launch(launch_gemm(kStream, type, products.data(), static_cast<int32_t>(products.size()), {image, scales},
                           params.n_groups, params.n_tokens, tile, units),
               "gemm");
}
std::vector<GemmUnits> gemm_units() {
  if (has_wgmma()) return {kUnitsBest, kUnitsMma};
  return {kUnitsMma};
}
void run_residual_norm(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<float>& addend,
                       DeviceArray<float>& weight, DeviceActivations& codes, int32_t n_rows,
                       const ResidualNormParams& params) {
  check_launch(launch_residual_norm(kStream, y, x, addend, weight, output_of(codes), n_rows, params), "residual_norm");
}
void run_rms_norm(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<float>& weight, int32_t n_rows,
                  const NormParams& params, Schedule) {
  check_launch(launch_rms_norm(kStream, y, x, weight, n_rows, params), "rms_norm");
}
void run_layer_norm(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<float>& weight, DeviceArray<float>& bias,
                    int32_t n_rows, const NormParams& params) {
  check_launch(launch_layer_norm(kStream, y, x, weight, bias, n_rows, params), "layer_norm");
}
void run_add(DeviceArray<float>& x, DeviceArray<float>& y, const ElementParams& params) {
  check_launch(launch_add(kStream, x, y, params), "add");
}
void run_scale(DeviceArray<float>& x, const ElementParams& params) {
  check_launch(launch_scale(kStream, x, params), "scale");
}
void run_softcap(DeviceArray<float>& x, const ElementParams& params) {
  check_launch(launch_softcap(kStream, x, params), "softcap");
}
void run_activate(DeviceArray<float>& x, const ElementParams& params) {
  check_launch(launch_activate(kStream, x, params), "activate");
}
void run_gate(DeviceArray<float>& y, DeviceArray<float>& up, const ElementParams& params) {
  check_launch(launch_gate(kStream, y, up, params), "gate");
}
void run_add_gated(DeviceArray<float>& x, DeviceArray<float>& y, DeviceArray<float>& logits, const RowParams& params) {
  check_launch(launch_add_gated(kStream, x, y, logits, params), "add_gated");
}
void run_copy_columns(DeviceArray<float>& y, DeviceArray<float>& x, const RowParams& params) {
  check_launch(launch_copy_columns(kStream, y, x, params), "copy_columns");
}
void run_gather_rows(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<int32_t>& rows,
                     const RowParams& params) {
  check_launch(launch_gather_rows(kStream, y, x, rows, params), "gather_rows");
}
void run_rope_and_store_kv(DeviceArray<float>& q, DeviceArray<float>& k, DeviceArray<float>& v,
                           DeviceArray<float>& turns, DeviceArray<int32_t>& positions, DeviceArray<int32_t>& slots,
                           DeviceArray<uint16_t>& pages, int32_t n_tokens, const RopeKvParams& params) {
  check_launch(launch_rope_and_store_kv(kStream, q, k, v, turns, positions, slots, pages, n_tokens, params),
               "rope_and_store_kv");
}
void run_attention(const DeviceAttention& a, const AttentionKernelParams& params, int32_t n_rows, Schedule) {
  QuantizedOutput codes{};
  const AttentionArrays arrays = arrays_of(a, codes, n_rows);
  check_launch(launch_attention(kStream, arrays, a.n_tiles, a.n_splits, params), "attention");
}
void run_rope_and_attention(const DeviceAttention& a, const DeviceNewKv& added, const RopeAttentionParams& params,
                            int32_t n_rows, Schedule) {
  QuantizedOutput codes{};
  const AttentionArrays arrays = arrays_of(a, codes, n_rows);
  check_launch(launch_rope_and_attention(kStream, arrays, {added.k, added.v, added.turns, a.pages}, a.n_tiles,
                                         a.n_splits, params),
               "rope_and_attention");
}
void run_flash(DeviceArray<float>& q, DeviceArray<uint16_t>& pages, DeviceArray<int32_t>& page_tables,
               DeviceArray<AttentionTile>& tiles, DeviceArray<float>& sinks, DeviceArray<float>& y, int32_t n_tiles,
               const AttentionKernelParams& params, Schedule) {
  const AttentionArrays arrays{q, pages, page_tables, tiles, nullptr, sinks, y, nullptr, nullptr};
  check_launch(launch_flash(kStream, arrays, n_tiles, params), "flash_prefill");
}
void run_shortlist(DeviceArray<float>& logits, DeviceArray<float>& groups, DeviceArray<float>& lists, int32_t n_rows,
                   const ShortlistParams& params, Schedule) {
  check_launch(launch_shortlist(kStream, logits, groups, lists, n_rows, params), "shortlist");
}
void run_widen(TensorType type, DeviceArray<std::byte>& narrow, DeviceArray<std::byte>& wide, int64_t n_elements) {
  check_launch(launch_widen(kStream, type, narrow.pointer(), wide.pointer(), n_elements), "widen");
}
void run_matvec(DeviceType type, DeviceArray<std::byte>& weight, DeviceActivations& x, DeviceArray<float>& bias,
                DeviceArray<float>& y, const MatvecParams& params, Schedule) {
  check_launch(launch_matvec(kStream, type, weight.pointer(), input_of(x), bias, y, params), "matvec");
}
bool has_stream_kernel() { return has_stream(); }
void run_matvec_set(DeviceType type, DeviceArray<std::byte>* (&weights)[3], DeviceActivations& x,
                    DeviceArray<float>* (&biases)[3], DeviceArray<float>* (&ys)[3], const SuperParams& params,
                    SuperPath path, Schedule) {
  MatrixProduct products[3];
  for (int32_t i = 0; i < 3; ++i) {
    const bool has_bias = ((params.has_bias >> i) & 1) != 0;
    products[i] = {weights[i]->pointer(), has_bias ? static_cast<const float*>(*biases[i]) : nullptr,
                   static_cast<float*>(*ys[i]), params.n_rows[i]};
  }
  check_launch(launch_matvec_set(kStream, type, products, 3, input_of(x), params.n_super * 8, params.n_tokens, path),
               "matvec_set");
}
void run_fused(DeviceType type, DeviceArray<std::byte>* (&weights)[3], DeviceActivations& x, const FusedArrays& arrays,
               DeviceArray<float>* (&biases)[3], DeviceArray<float>* (&ys)[3], const SuperParams& params,
               const SuperFusion& fusion, bool is_gated) {
  FusedInput fused;
  if (fusion.input != SuperFusion::kCodes) fused.values = arrays.values;
  if (fusion.input == SuperFusion::kNormed) fused = {arrays.values, arrays.norm_weight, fusion.eps};
  if (is_gated) {
    const MatvecParams pair{params.n_rows[0], params.n_super * 8, 1, params.has_bias != 0 ? 1 : 0, params.gate};
    check_launch(launch_fused_gated(kStream, type, weights[0]->pointer(), weights[1]->pointer(), fused, *biases[0],
                                    *biases[1], *ys[0], pair),
                 "fused_gated");
    return;
  }
  MatrixProduct products[3];
  for (int32_t i = 0; i < 3; ++i) {
    const bool has_bias = ((params.has_bias >> i) & 1) != 0;
    products[i] = {weights[i]->pointer(), has_bias ? static_cast<const float*>(*biases[i]) : nullptr,
                   static_cast<float*>(*ys[i]), params.n_rows[i]};
  }
  check_launch(
      launch_fused(kStream, type, products, 3, input_of(x), fused, params.n_super * 8, fusion.adds != 0, fusion.factor),
      "fused");
}
void run_matvec_gated(DeviceType type, DeviceArray<std::byte>& gate, DeviceArray<std::byte>& up, DeviceActivations& x,
                      DeviceArray<float>& gate_bias, DeviceArray<float>& up_bias, DeviceArray<float>& y,
                      const MatvecParams& params, SuperPath path) {
  check_launch(launch_matvec_gated(kStream, type, gate.pointer(), up.pointer(), input_of(x), gate_bias, up_bias, y,
                                   params, path),
               "matvec_gated");
}
void run_float_matvec(TensorType type, DeviceArray<std::byte>& weight, DeviceArray<float>& x, DeviceArray<float>& bias,
                      DeviceArray<float>& y, const FloatMatvecParams& params) {
  check_launch(launch_float_matvec(kStream, type, weight.pointer(), x, bias, y, params), "float_matvec");
}
void run_float_experts(TensorType type, DeviceArray<std::byte>& weight, DeviceArray<float>& x, DeviceArray<float>& bias,
                       DeviceArray<int32_t>& choices, DeviceArray<float>& y, const FloatExpertParams& params,
                       DeviceArray<int32_t>* places) {
  check_launch(launch_float_experts(kStream, type, weight.pointer(), x, bias, choices, places_of(places), y, params),
               "float_experts");
}
void run_embed(DeviceType type, DeviceArray<std::byte>& table, DeviceArray<int32_t>& tokens, DeviceArray<float>& y,
               const EmbedParams& params) {
  check_launch(launch_embed(kStream, type, table.pointer(), tokens, y, params), "embed");
}
void run_route_experts(DeviceArray<float>& logits, DeviceArray<float>& bias, DeviceArray<int32_t>& experts,
                       DeviceArray<float>& weights, int32_t n_tokens, const RouterKernelParams& params) {
  check_launch(launch_route_experts(kStream, logits, bias, experts, weights, n_tokens, params), "route_experts");
}
void run_group_experts(DeviceArray<int32_t>& experts, DeviceLists& lists, int32_t n_expert) {
  lists.n_expert = n_expert;
  check_launch(
      launch_group_experts(kStream, experts, lists.order, lists.tiles, lists.n_tiles, {n_expert, lists.n_choices}),
      "group_experts");
}
void run_experts_gated(DeviceType type, DeviceArray<std::byte>& gate, DeviceArray<std::byte>& up, DeviceActivations& x,
                       DeviceArray<float>& gate_bias, DeviceArray<float>& up_bias, DeviceLists& lists,
                       DeviceArray<float>& y, const ExpertParams& params) {
  check_launch(launch_experts_gated(kStream, type, gate.pointer(), up.pointer(), input_of(x), gate_bias, up_bias,
                                    lists_of(lists), y, params),
               "experts_gated");
}
void run_experts_matvec(DeviceType type, DeviceArray<std::byte>& weight, DeviceActivations& x, DeviceArray<float>& bias,
                        DeviceLists& lists, DeviceArray<float>& y, const ExpertParams& params) {
  check_launch(launch_experts_matvec(kStream, type, weight.pointer(), input_of(x), bias, lists_of(lists), y, params),
               "experts_matvec");
}
void run_arrange_choices(DeviceArray<int32_t>& experts, DeviceRows& rows) {
  check_launch(
      launch_arrange_choices(kStream, experts, rows.rows, rows.tiles, {rows.n_expert, rows.n_choices, rows.tile_rows}),
      "arrange_choices");
}
void run_halve_choices(DeviceArray<float>& x, DeviceArray<float>* up, DeviceRows& rows, DeviceArray<uint32_t>& image,
                       DeviceArray<float>& scales, const HalveChoicesParams& params) {
  check_launch(launch_halve_choices(kStream, x, values_of(up), rows.rows, image, scales, params), "halve_choices");
}
void run_experts_gemm(DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image,
                      DeviceArray<float>& scales, DeviceArray<float>& bias, DeviceRows& rows, DeviceArray<float>& y,
                      const ExpertGemmParams& params, GemmUnits units, Schedule) {
  const ArrangedChoices choices{rows.rows,    rows.tiles,     rows.n_rows,
                                rows.n_tiles, rows.tile_rows, places_of(rows.places)};
  check_launch(launch_experts_gemm(kStream, type, weight.pointer(), {image, scales}, bias, choices, y, params, units),
               "a product with experts");
}
void run_combine_experts(DeviceArray<float>& x, DeviceArray<float>& weights, DeviceArray<float>& y,
                         const CombineParams& params) {
  check_launch(launch_combine_experts(kStream, x, weights, y, params), "combine_experts");
}

}  // namespace outpost::test

#endif
