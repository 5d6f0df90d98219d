// The operations of the tests under the SIMT emulator.
#ifndef OUTPOST_ON_GPU

#include <doctest/doctest.h>

#include "kernels/common/visit_block.h"
#include "kernels/common/wide_blocks.h"
#include "kernels/cuda/flash_latent.h"
#include "kernels/cuda/superblock_mma.h"
#include "kernels/tests/operations.h"

namespace outpost::test {

using namespace gpu;
using emulator::launch;

// stream_emulator.cpp has it.
void run_stream(DeviceType type, DeviceArray<std::byte>* (&weights)[3], DeviceActivations& x,
                DeviceArray<float>* (&biases)[3], DeviceArray<float>* (&ys)[3], const SuperParams& params,
                bool is_gated, Schedule schedule);

namespace {

int32_t blocks_of(int64_t n, int32_t per_block) { return static_cast<int32_t>((n + per_block - 1) / per_block); }

int32_t image_blocks(int32_t n) { return n + blocks_of(image_rows(n) - n, kClearedRows); }

DevicePtr<const float> values_of(DeviceArray<float>* values) {
  if (values == nullptr) return {};
  return *values;
}

/// Bytes as what they hold.
template <typename T>
DevicePtr<T> as(DeviceArray<std::byte>& bytes) {
  return {bytes.pointer().region(), 0};
}

template <typename Visitor>
bool visit_type(DeviceType type, const Visitor& visitor) {
  if (!type.is_wide) return visit_block(type.type, visitor);
  if (type.type == TensorType::kQ8_0) visitor.template operator()<WideQ8_0>();
  if (type.type == TensorType::kQ6_K) visitor.template operator()<WideQ6_K>();
  return true;
}

template <typename Visitor>
void visit_element(TensorType type, const Visitor& visitor) {
  if (type == TensorType::kF32) visitor.template operator()<ElementF32>();
  if (type == TensorType::kF16) visitor.template operator()<ElementF16>();
  if (type == TensorType::kBF16) visitor.template operator()<ElementBF16>();
}

int32_t row_blocks(const MatvecParams& params) { return blocks_of(params.n_rows, kMatvecBlockRows); }
DevicePtr<const int32_t> places_of(DeviceArray<int32_t>* places) {
  if (places == nullptr) return {};
  return *places;
}
int32_t most_tiles(const DeviceLists& lists) {
  return most_expert_tiles(lists.n_choices, lists.n_expert, kExpertTileTokens);
}
int32_t element_blocks(int64_t n) { return blocks_of(n, kElementThreads); }
int32_t element_blocks(const RowParams& params) { return element_blocks(int64_t{params.n_rows} * params.width); }

}  // namespace

int32_t tile_rows(int32_t n) { return n; }

void run_quantize(DeviceArray<float>& x, DeviceActivations& y) {
  launch({{blocks_of(y.n_groups, kQuantizeThreads / 4)}, kQuantizeThreads}, [&] {
    quantize_activations(x, y.codes, y.scales, y.sums, y.pairs, {y.n_groups, y.is_super ? 1 : 0});
  });
}
void run_halve(DeviceArray<float>& x, DeviceArray<float>* up, DeviceArray<uint32_t>& image, DeviceArray<float>& scales,
               const HalveParams& params) {
  launch({{image_blocks(params.n_tokens)}, kHalveThreads, Schedule::kRandom, 1},
         [&] { halve_activations(x, values_of(up), image, scales, params); });
}
void run_halve_normed(DeviceArray<float>& x, DeviceArray<float>* addend, DeviceArray<float>& weight,
                      DeviceArray<uint32_t>& image, DeviceArray<float>& scales, const HalveNormedParams& params) {
  launch({{image_blocks(params.n_tokens)}, kHalveThreads, Schedule::kRandom, 1},
         [&] { halve_normed(x, values_of(addend), weight, image, scales, params); });
}
void run_residual_norm(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<float>& addend,
                       DeviceArray<float>& weight, DeviceActivations& codes, int32_t n_rows,
                       const ResidualNormParams& params) {
  launch({{n_rows}, kNormThreads, Schedule::kRandom, 1},
         [&] { residual_norm(y, x, addend, weight, codes.codes, codes.scales, codes.sums, codes.pairs, params); });
}
void run_rms_norm(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<float>& weight, int32_t n_rows,
                  const NormParams& params, Schedule schedule) {
  const NormParams own = {params.width, params.eps, params.has_bias, &y == &x ? 1 : 0};
  launch({{n_rows}, kNormThreads, schedule, 1}, [&] { rms_norm(y, values_of(&y == &x ? nullptr : &x), weight, own); });
}
void run_layer_norm(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<float>& weight, DeviceArray<float>& bias,
                    int32_t n_rows, const NormParams& params) {
  const NormParams own = {params.width, params.eps, params.has_bias, &y == &x ? 1 : 0};
  launch({{n_rows}, kNormThreads}, [&] { layer_norm(y, values_of(&y == &x ? nullptr : &x), weight, bias, own); });
}
void run_add(DeviceArray<float>& x, DeviceArray<float>& y, const ElementParams& params) {
  launch({{element_blocks(params.n)}, kElementThreads}, [&] { gpu::add(x, y, params); });
}
void run_scale(DeviceArray<float>& x, const ElementParams& params) {
  launch({{element_blocks(params.n)}, kElementThreads}, [&] { gpu::scale(x, params); });
}
void run_softcap(DeviceArray<float>& x, const ElementParams& params) {
  launch({{element_blocks(params.n)}, kElementThreads}, [&] { gpu::softcap(x, params); });
}
void run_activate(DeviceArray<float>& x, const ElementParams& params) {
  launch({{element_blocks(params.n)}, kElementThreads}, [&] { gpu::activate(x, params); });
}
void run_gate(DeviceArray<float>& y, DeviceArray<float>& up, const ElementParams& params) {
  launch({{element_blocks(params.n)}, kElementThreads}, [&] { gpu::gate(y, up, params); });
}
void run_add_gated(DeviceArray<float>& x, DeviceArray<float>& y, DeviceArray<float>& logits, const RowParams& params) {
  launch({{element_blocks(params)}, kElementThreads}, [&] { gpu::add_gated(x, y, logits, params); });
}
void run_copy_columns(DeviceArray<float>& y, DeviceArray<float>& x, const RowParams& params) {
  launch({{element_blocks(params)}, kElementThreads}, [&] { gpu::copy_columns(y, x, params); });
}
void run_gather_rows(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<int32_t>& rows,
                     const RowParams& params) {
  launch({{element_blocks(params)}, kElementThreads}, [&] { gpu::gather_rows(y, x, rows, params); });
}
void run_rope_and_store_kv(DeviceArray<float>& q, DeviceArray<float>& k, DeviceArray<float>& v,
                           DeviceArray<float>& turns, DeviceArray<int32_t>& positions, DeviceArray<int32_t>& slots,
                           DeviceArray<uint16_t>& pages, int32_t n_tokens, const RopeKvParams& params) {
  launch({{params.n_head + 2 * params.kv.n_head_kv, n_tokens}, kRopeThreads, Schedule::kRandom, 2},
         [&] { rope_and_store_kv(q, k, v, turns, positions, slots, pages, params); });
}

void run_flash(DeviceArray<float>& q, DeviceArray<uint16_t>& pages, DeviceArray<int32_t>& page_tables,
               DeviceArray<AttentionTile>& tiles, DeviceArray<float>& sinks, DeviceArray<float>& y, int32_t n_tiles,
               const AttentionKernelParams& params, Schedule schedule) {
  const auto run = [&]<int kDim>() {
    constexpr size_t kSharedBytes = 2 * PrefillShape<kDim>::kShared + sizeof(uint32_t) * kPage;
    launch({{n_tiles, params.kv.n_head_kv}, kPrefillThreads, schedule, 4, kSharedBytes},
           [&] { flash_prefill<kDim>(q, pages, page_tables, tiles, sinks, y, params); });
  };
  if (params.kv.head_dim_k == 576) {
    constexpr size_t kSharedBytes =
        2 * LatentShape<576, 512>::kShared + sizeof(uint32_t) * kLatentPositions + sizeof(float) * 2 * kPrefillRows;
    return launch({{n_tiles, params.kv.n_head_kv}, kLatentThreads, schedule, 4, kSharedBytes},
                  [&] { flash_latent<576, 512>(q, pages, page_tables, tiles, sinks, y, params); });
  }
  REQUIRE(params.kv.head_dim_k == params.kv.head_dim_v);
  switch (params.kv.head_dim_k) {
    case 64: return run.operator()<64>();
    case 80: return run.operator()<80>();
    case 96: return run.operator()<96>();
    case 128: return run.operator()<128>();
    case 256: return run.operator()<256>();
    default: FAIL("a dimension without a kernel");
  }
}

void run_shortlist(DeviceArray<float>& logits, DeviceArray<float>& groups, DeviceArray<float>& lists, int32_t n_rows,
                   const ShortlistParams& params, Schedule schedule) {
  const emulator::Pointer<float> best = groups, sums = best + int64_t{n_rows} * params.n_groups;
  launch({{blocks_of(params.n_groups, kGroupsPerBlock), n_rows}, kGroupBestThreads, schedule, 1},
         [&] { best_of_groups(logits, best, sums, params); });
  launch({{n_rows}, kShortlistThreads, schedule, 1}, [&] { shortlist(logits, best, sums, lists, params); });
}

void run_widen(TensorType type, DeviceArray<std::byte>& narrow, DeviceArray<std::byte>& wide, int64_t n_elements) {
  const WidenParams params{static_cast<int64_t>(device_bytes({type, true}, n_elements) / sizeof(uint16_t))};
  launch({{blocks_of(params.n_words, kWidenThreads)}, kWidenThreads}, [&] {
    if (type == TensorType::kQ8_0)
      widen_q8_0(as<const uint16_t>(narrow), as<uint16_t>(wide), params);
    else
      widen_q6_k(as<const uint16_t>(narrow), as<uint16_t>(wide), params);
  });
}

namespace {

/// As launch_super of the CUDA launchers. Arrays that a launch does not use are any.
template <bool kIsGated, typename Block>
void run_super_blocks(DevicePtr<const Block> (&weights)[3], DeviceActivations& x, DeviceArray<float>* (&biases)[3],
                      DeviceArray<float>* (&ys)[3], const SuperParams& params, Schedule schedule) {
  const int32_t rows_of_block = params.n_tokens > 1 ? kSuperMmaRows : kIsGated ? kSuperBlockRows / 2 : kSuperBlockRows;
  int32_t n_blocks = 0;
  for (const int32_t n_rows : params.n_rows) n_blocks += blocks_of(n_rows, rows_of_block);
  if (kIsGated) n_blocks /= 2;
  const auto run = [&](const auto& kernel) {
    kernel(weights[0], weights[1], weights[2], x.codes, x.scales, x.sums, x.pairs, *biases[0], *biases[1], *biases[2],
           *ys[0], *ys[1], *ys[2], params);
  };
  if (params.n_tokens == 1) {
    launch({{n_blocks}, kSuperThreads, schedule, 1}, [&] { run(superblock_matvec<Block, kIsGated>); });
  } else if (params.n_tokens <= 8) {
    launch({{n_blocks}, kSuperMmaThreads, schedule, 1}, [&] { run(superblock_mma<Block, 1, kIsGated>); });
  } else {
    launch({{n_blocks}, kSuperMmaThreads, schedule, 1}, [&] { run(superblock_mma<Block, 2, kIsGated>); });
  }
}

template <bool kIsGated>
void run_super(DeviceType type, DeviceArray<std::byte>* (&weights)[3], DeviceActivations& x,
               DeviceArray<float>* (&biases)[3], DeviceArray<float>* (&ys)[3], const SuperParams& params,
               Schedule schedule) {
  const auto with = [&]<typename Block>() {
    DevicePtr<const Block> blocks[] = {as<const Block>(*weights[0]), as<const Block>(*weights[1]),
                                       as<const Block>(*weights[2])};
    run_super_blocks<kIsGated>(blocks, x, biases, ys, params, schedule);
  };
  switch (type.type) {
    case TensorType::kQ4_K: return with.template operator()<BlockQ4_K>();
    case TensorType::kQ5_K: return with.template operator()<BlockQ5_K>();
    case TensorType::kQ6_K: return with.template operator()<WideQ6_K>();
    default: return with.template operator()<WideQ8_0>();
  }
}

}  // namespace

void run_matvec(DeviceType type, DeviceArray<std::byte>& weight, DeviceActivations& x, DeviceArray<float>& bias,
                DeviceArray<float>& y, const MatvecParams& params, Schedule schedule) {
  REQUIRE(params.n_tokens <= kMatvecMaxTokens);
  if (is_superblock(type)) {
    DeviceArray<std::byte>* weights[] = {&weight, &weight, &weight};
    DeviceArray<float>*biases[] = {&bias, &bias, &bias}, *ys[] = {&y, &y, &y};
    const SuperParams super{{params.n_rows, 0, 0}, params.n_groups / 8, params.n_tokens, params.has_bias, 0};
    return run_super<false>(type, weights, x, biases, ys, super, schedule);
  }
  const bool is_known = visit_type(type, [&]<typename Block>() {
    const auto blocks = as<const Block>(weight);
    launch({{row_blocks(params)}, kMatvecThreads, schedule, 1}, [&] {
      if (params.n_tokens == 1) return matvec<Block, 1>(blocks, x.codes, x.scales, x.sums, bias, y, params);
      if (params.n_tokens <= 4) return matvec<Block, 4>(blocks, x.codes, x.scales, x.sums, bias, y, params);
      matvec<Block, 16>(blocks, x.codes, x.scales, x.sums, bias, y, params);
    });
  });
  REQUIRE(is_known);
}

bool has_stream_kernel() { return true; }
void run_matvec_set(DeviceType type, DeviceArray<std::byte>* (&weights)[3], DeviceActivations& x,
                    DeviceArray<float>* (&biases)[3], DeviceArray<float>* (&ys)[3], const SuperParams& params,
                    SuperPath path, Schedule schedule) {
  if (path == kSuperBulkCopies) return run_stream(type, weights, x, biases, ys, params, false, schedule);
  run_super<false>(type, weights, x, biases, ys, params, schedule);
}

void run_matvec_gated(DeviceType type, DeviceArray<std::byte>& gate, DeviceArray<std::byte>& up, DeviceActivations& x,
                      DeviceArray<float>& gate_bias, DeviceArray<float>& up_bias, DeviceArray<float>& y,
                      const MatvecParams& params, SuperPath path) {
  if (is_superblock(type)) {
    DeviceArray<std::byte>* weights[] = {&gate, &up, &gate};
    DeviceArray<float>*biases[] = {&gate_bias, &up_bias, &gate_bias}, *ys[] = {&y, &y, &y};
    const SuperParams super{
        {params.n_rows, params.n_rows, 0}, params.n_groups / 8, params.n_tokens, params.has_bias, params.gate};
    if (path == kSuperBulkCopies) return run_stream(type, weights, x, biases, ys, super, true, Schedule::kInOrder);
    return run_super<true>(type, weights, x, biases, ys, super, Schedule::kInOrder);
  }
  REQUIRE(params.n_tokens <= 8);
  visit_type(type, [&]<typename Block>() {
    launch({{row_blocks(params)}, kMatvecThreads}, [&] {
      matvec_gated<Block, 8>(as<const Block>(gate), as<const Block>(up), x.codes, x.scales, x.sums, gate_bias, up_bias,
                             y, params);
    });
  });
}

void run_float_matvec(TensorType type, DeviceArray<std::byte>& weight, DeviceArray<float>& x, DeviceArray<float>& bias,
                      DeviceArray<float>& y, const FloatMatvecParams& params) {
  visit_element(type, [&]<typename Element>() {
    const int32_t n_tokens_of_block = params.n_tokens == 1 ? 1 : 16;
    const emulator::Dim3 grid = {blocks_of(params.n_rows, kMatvecBlockRows),
                                 blocks_of(params.n_tokens, n_tokens_of_block)};
    launch({grid, kMatvecThreads, Schedule::kRandom, 1}, [&] {
      if (params.n_tokens == 1) return float_matvec<Element, 1>(as<const Element>(weight), x, bias, y, params);
      float_matvec<Element, 16>(as<const Element>(weight), x, bias, y, params);
    });
  });
}
void run_float_experts(TensorType type, DeviceArray<std::byte>& weight, DeviceArray<float>& x, DeviceArray<float>& bias,
                       DeviceArray<int32_t>& choices, DeviceArray<float>& y, const FloatExpertParams& params,
                       DeviceArray<int32_t>* places) {
  visit_element(type, [&]<typename Element>() {
    launch({{blocks_of(params.product.n_rows, kMatvecBlockRows), params.product.n_tokens}, kMatvecThreads},
           [&] { float_experts<Element>(as<const Element>(weight), x, bias, choices, places_of(places), y, params); });
  });
}
void run_embed(DeviceType type, DeviceArray<std::byte>& table, DeviceArray<int32_t>& tokens, DeviceArray<float>& y,
               const EmbedParams& params) {
  const int32_t n_blocks = blocks_of(int64_t{params.n_tokens} * params.n_cols, kEmbedThreads);
  const bool has_blocks = visit_type(type, [&]<typename Block>() {
    launch({{n_blocks}, kEmbedThreads}, [&] { embed<Block>(as<const Block>(table), tokens, y, params); });
  });
  if (has_blocks) return;
  visit_element(type.type, [&]<typename Element>() {
    launch({{n_blocks}, kEmbedThreads}, [&] { float_embed<Element>(as<const Element>(table), tokens, y, params); });
  });
}

void run_route_experts(DeviceArray<float>& logits, DeviceArray<float>& bias, DeviceArray<int32_t>& experts,
                       DeviceArray<float>& weights, int32_t n_tokens, const RouterKernelParams& params) {
  launch({{n_tokens}, 32, Schedule::kRandom, 1}, [&] { route_experts(logits, bias, experts, weights, params); });
}
void run_group_experts(DeviceArray<int32_t>& experts, DeviceLists& lists, int32_t n_expert) {
  lists.n_expert = n_expert;
  launch({{1}, kGroupThreads}, [&] {
    group_experts(experts, lists.order, lists.tiles, lists.n_tiles, GroupParams{n_expert, lists.n_choices});
  });
}
void run_experts_gated(DeviceType type, DeviceArray<std::byte>& gate, DeviceArray<std::byte>& up, DeviceActivations& x,
                       DeviceArray<float>& gate_bias, DeviceArray<float>& up_bias, DeviceLists& lists,
                       DeviceArray<float>& y, const ExpertParams& params) {
  visit_type(type, [&]<typename Block>() {
    launch({{row_blocks(params.product), most_tiles(lists)}, kMatvecThreads}, [&] {
      experts_gated<Block>(as<const Block>(gate), as<const Block>(up), x.codes, x.scales, x.sums, gate_bias, up_bias,
                           lists.order, lists.tiles, lists.n_tiles, places_of(lists.places), y, params);
    });
  });
}
void run_experts_matvec(DeviceType type, DeviceArray<std::byte>& weight, DeviceActivations& x, DeviceArray<float>& bias,
                        DeviceLists& lists, DeviceArray<float>& y, const ExpertParams& params) {
  visit_type(type, [&]<typename Block>() {
    launch({{row_blocks(params.product), most_tiles(lists)}, kMatvecThreads, Schedule::kRandom, 5}, [&] {
      experts_matvec<Block>(as<const Block>(weight), x.codes, x.scales, x.sums, bias, lists.order, lists.tiles,
                            lists.n_tiles, places_of(lists.places), y, params);
    });
  });
}
void run_arrange_choices(DeviceArray<int32_t>& experts, DeviceRows& rows) {
  launch({{rows.n_expert}, kArrangeThreads, Schedule::kRandom, 1}, [&] {
    arrange_choices(experts, rows.rows, rows.tiles, {rows.n_expert, rows.n_choices, rows.tile_rows});
  });
}
void run_halve_choices(DeviceArray<float>& x, DeviceArray<float>* up, DeviceRows& rows, DeviceArray<uint32_t>& image,
                       DeviceArray<float>& scales, const HalveChoicesParams& params) {
  launch({{image_blocks(params.n_rows)}, kHalveThreads, Schedule::kRandom, 1},
         [&] { halve_choices(x, values_of(up), rows.rows, image, scales, params); });
}
void run_combine_experts(DeviceArray<float>& x, DeviceArray<float>& weights, DeviceArray<float>& y,
                         const CombineParams& params) {
  launch({{blocks_of(int64_t{params.n_tokens} * params.width, kCombineThreads)}, kCombineThreads},
         [&] { combine_experts(x, weights, y, params); });
}

}  // namespace outpost::test

#endif
