// The launchers that every runtime has of its own: products of superblocks, and what is done on matrix units.
#include "kernels/common/wide_blocks.h"
#include "kernels/launchers/attention_arguments.h"
#include "kernels/launchers/codes_arguments.h"
#include "kernels/launchers/matvec_arguments.h"
#include "kernels/launchers/prefill_arguments.h"
#include "kernels/metal/flash_simdgroup.h"
#include "kernels/metal/gemm_launch.h"

namespace outpost::gpu {

// block_kernels.cpp.in has the definitions, a file for each type.
template <typename Block>
Error launch_block(Stream stream, const MatvecLaunch& arguments);

/// By the kernels that all types have, also of one token: superblock_matvec sums up in another order, and has no kernel
/// beside it for 2 to 16 tokens that does so too.
template <typename Block>
Error launch_super(Stream stream, const SuperLaunch& a) {
  const auto params = [&](int32_t n_rows, bool has_bias) {
    return MatvecParams{n_rows, a.params.n_super * 8, a.params.n_tokens, has_bias ? 1 : 0, a.params.gate};
  };
  const MatrixProduct* m = a.matrices;
  if (a.is_gated) {
    return launch_block<Block>(stream, {m[0].weight,
                                        m[1].weight,
                                        a.x,
                                        m[0].bias,
                                        m[1].bias,
                                        nullptr,
                                        m[0].y,
                                        {params(m[0].n_rows, a.params.has_bias != 0), 1, 0, 0}});
  }
  for (int32_t i = 0; i < kSuperMatrices; ++i) {
    if (a.params.n_rows[i] == 0) continue;
    const MatvecLaunch product = {
        m[i].weight, nullptr, a.x,    m[i].bias,
        nullptr,     nullptr, m[i].y, {params(a.params.n_rows[i], (a.params.has_bias >> i & 1) != 0), 1, 0, 0}};
    if (const Error error = launch_block<Block>(stream, product); error != Error::kNone) return error;
  }
  return Error::kNone;
}

template Error launch_super<BlockQ4_K>(Stream, const SuperLaunch&);
template Error launch_super<BlockQ5_K>(Stream, const SuperLaunch&);
template Error launch_super<WideQ6_K>(Stream, const SuperLaunch&);
template Error launch_super<WideQ8_0>(Stream, const SuperLaunch&);

namespace {

struct LaunchFlash {
  Stream stream;
  const AttentionArrays& a;
  int32_t n_tiles;
  const AttentionKernelParams& params;
  Error error = Error::kInvalidValue;

  template <int kDim>
  void operator()() {
    error = Launch(stream, Grid(n_tiles, params.kv.n_head_kv), kSimdFlashThreads)(
        flash_simdgroup<kDim>, a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, params);
  }
};

struct LaunchCodes {
  const CodesLaunch& a;
  Error error = Error::kNone;

  template <int kMaxDimK>
  void operator()() {
    error = launch_spans(a, attention_codes<kAttentionRows, kMaxDimK>);
  }
};

}  // namespace

int32_t stream_blocks() { return 0; }
PassTokens pass_tokens() { return {512, 64}; }

/// There is one tile, and one kind of units.
Error launch_gemm(Stream stream, DeviceType type, const MatrixProduct* products, int32_t n_products,
                  const HalvedInput& x, int32_t n_groups, int32_t n_tokens, GemmTile, GemmUnits) {
  if (!can_gemm(type, int64_t{32} * n_groups) || n_products > kGemmMatrices) return Error::kInvalidValue;
  if (n_tokens == 0) return Error::kNone;
  return launch_gemm_type(stream, type, set_launch(products, n_products, x, n_groups, n_tokens));
}

int32_t expert_tile_rows(int32_t, int32_t, GemmUnits) { return kSimdGemmTokens; }

Error launch_experts_gemm(Stream stream, DeviceType type, const void* weight, const HalvedInput& x, const float* bias,
                          const ArrangedChoices& choices, float* y, const ExpertGemmParams& params, GemmUnits) {
  if (!can_gemm(type, int64_t{32} * params.product.n_groups) || choices.tile_rows != kSimdGemmTokens)
    return Error::kInvalidValue;
  return launch_gemm_type(stream, type, experts_launch(weight, x, bias, choices, y, params));
}

int32_t flash_rows() { return kSimdFlashRows; }

bool has_flash(int32_t head_dim_k, int32_t head_dim_v) { return head_dim_k == head_dim_v && has_flash_dim(head_dim_k); }

Error launch_flash(Stream stream, const AttentionArrays& arrays, int32_t n_tiles, const AttentionKernelParams& params) {
  if (!has_flash(params.kv.head_dim_k, params.kv.head_dim_v)) return Error::kInvalidValue;
  if (n_tiles == 0) return Error::kNone;
  LaunchFlash launch{stream, arrays, n_tiles, params};
  visit_flash_dim(params.kv.head_dim_k, launch);
  return launch.error;
}

/// Few tokens are attended without matrix units here.
bool has_attention_units(int32_t, int32_t) { return false; }
int32_t most_attention_rows(int32_t, int32_t) { return kAttentionRows; }
Error launch_tiles_on_units(const TilesLaunch&) { return Error::kInvalidValue; }

int32_t most_codes_rows() { return kAttentionRows; }

/// Simdgroup matrices have no bytes.
Error launch_codes_spans(const CodesLaunch& arguments) {
  LaunchCodes launch{arguments};
  visit_max_dim(arguments.codes.head_dim_k, launch);
  return launch.error;
}

}  // namespace outpost::gpu
