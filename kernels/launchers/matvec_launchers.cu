#include "kernels/launchers/device_block.h"
#include "kernels/launchers/launchers.h"
#include "kernels/launchers/matvec_arguments.h"

namespace outpost::gpu {

// matvec_type.cu.in has the definitions, a file for each type.
template <typename Block>
Error launch_block(Stream stream, const MatvecLaunch& arguments);
// superblock_type.cu.in, alike.
template <typename Block>
Error launch_super(Stream stream, const SuperLaunch& arguments);

namespace {

struct LaunchBlock {
  Stream stream;
  const MatvecLaunch& arguments;
  Error error = Error::kNone;

  template <typename Block>
  void operator()() {
    error = launch_block<Block>(stream, arguments);
  }
};

Error launch_type(Stream stream, DeviceType type, const MatvecLaunch& arguments) {
  LaunchBlock launch{stream, arguments};
  return visit_device_block(type, launch) ? launch.error : Error::kInvalidValue;
}

Error launch_super_type(Stream stream, DeviceType type, const SuperLaunch& arguments) {
  switch (type.type) {
    case TensorType::kQ4_K: return launch_super<BlockQ4_K>(stream, arguments);
    case TensorType::kQ5_K: return launch_super<BlockQ5_K>(stream, arguments);
    case TensorType::kQ6_K: return launch_super<WideQ6_K>(stream, arguments);
    case TensorType::kQ8_0: return launch_super<WideQ8_0>(stream, arguments);
    default: return Error::kInvalidValue;
  }
}

SuperLaunch launch_of(const MatrixProduct* products, int32_t n_products, int32_t n_groups, int32_t n_tokens) {
  SuperLaunch launch;
  launch.params = {{}, n_groups / 8, n_tokens, 0, 0};
  for (int32_t i = 0; i < n_products; ++i) {
    launch.matrices[i] = products[i];
    launch.params.n_rows[i] = products[i].n_rows;
    launch.params.has_bias |= (products[i].bias != nullptr ? 1 : 0) << i;
  }
  return launch;
}

SuperLaunch launch_of_pair(const void* gate, const void* up, const float* gate_bias, const float* up_bias, float* y,
                           const MatvecParams& params) {
  SuperLaunch launch;
  launch.matrices[0] = {gate, gate_bias, y, params.n_rows};
  launch.matrices[1] = {up, up_bias, nullptr, params.n_rows};
  launch.params = {
      {params.n_rows, params.n_rows, 0}, params.n_groups / 8, params.n_tokens, params.has_bias, params.gate};
  launch.is_gated = true;
  return launch;
}

void fuse(SuperLaunch& launch, const FusedInput& fused) {
  launch.path = kSuperBulkCopies;
  launch.fused = fused;
  launch.fusion.input = fused.values == nullptr        ? SuperFusion::kCodes
                        : fused.norm_weight == nullptr ? SuperFusion::kValues
                                                       : SuperFusion::kNormed;
  launch.fusion.eps = fused.eps;
}

}  // namespace

bool has_stream() { return stream_blocks() > 0; }

bool can_fuse(DeviceType type, int64_t n_cols) {
  return has_stream() && is_superblock(type) && n_cols % 256 == 0 && n_cols <= kMostStreamColumns;
}

Error launch_matvec(Stream stream, DeviceType type, const void* weight, const QuantizedInput& x, const float* bias,
                    float* y, const MatvecParams& params) {
  if (is_superblock(type)) {
    const MatrixProduct product = {weight, params.has_bias ? bias : nullptr, y, params.n_rows};
    return launch_matvec_set(stream, type, &product, 1, x, params.n_groups, params.n_tokens);
  }
  return launch_type(stream, type, {weight, nullptr, x, bias, nullptr, nullptr, y, {params, 1, 0, 0}});
}

Error launch_matvec_set(Stream stream, DeviceType type, const MatrixProduct* products, int32_t n_products,
                        const QuantizedInput& x, int32_t n_groups, int32_t n_tokens, SuperPath path) {
  if (!is_superblock(type)) {
    for (int32_t i = 0; i < n_products; ++i) {
      const MatrixProduct& p = products[i];
      const MatvecParams params{p.n_rows, n_groups, n_tokens, p.bias != nullptr ? 1 : 0, 0};
      if (const Error error = launch_matvec(stream, type, p.weight, x, p.bias, p.y, params); error != Error::kNone)
        return error;
    }
    return Error::kNone;
  }
  if (n_products > kSuperMatrices || n_tokens > kMatvecMaxTokens) return Error::kInvalidValue;
  SuperLaunch launch = launch_of(products, n_products, n_groups, n_tokens);
  launch.path = path;
  launch.x = x;
  return launch_super_type(stream, type, launch);
}

Error launch_fused(Stream stream, DeviceType type, const MatrixProduct* products, int32_t n_products,
                   const QuantizedInput& x, const FusedInput& fused, int32_t n_groups, bool adds, float factor) {
  if (!can_fuse(type, int64_t{32} * n_groups) || n_products > kSuperMatrices) return Error::kInvalidValue;
  SuperLaunch launch = launch_of(products, n_products, n_groups, 1);
  launch.x = x;
  fuse(launch, fused);
  launch.fusion.adds = adds ? 1 : 0;
  launch.fusion.factor = factor;
  return launch_super_type(stream, type, launch);
}

Error launch_matvec_gated(Stream stream, DeviceType type, const void* gate, const void* up, const QuantizedInput& x,
                          const float* gate_bias, const float* up_bias, float* y, const MatvecParams& params,
                          SuperPath path) {
  if (params.n_tokens > kMatvecMaxTokens) return Error::kInvalidValue;
  if (is_superblock(type)) {
    SuperLaunch launch = launch_of_pair(gate, up, gate_bias, up_bias, y, params);
    launch.x = x;
    launch.path = path;
    return launch_super_type(stream, type, launch);
  }
  return launch_type(stream, type, {gate, up, x, gate_bias, up_bias, nullptr, y, {params, 1, 0, 0}});
}

Error launch_fused_gated(Stream stream, DeviceType type, const void* gate, const void* up, const FusedInput& fused,
                         const float* gate_bias, const float* up_bias, float* y, const MatvecParams& params) {
  if (!can_fuse(type, int64_t{32} * params.n_groups) || params.n_tokens != 1) return Error::kInvalidValue;
  SuperLaunch launch = launch_of_pair(gate, up, gate_bias, up_bias, y, params);
  fuse(launch, fused);
  return launch_super_type(stream, type, launch);
}

Error launch_experts_gated(Stream stream, DeviceType type, const void* gate, const void* up, const QuantizedInput& x,
                           const float* gate_bias, const float* up_bias, const ExpertLists& lists, float* y,
                           const ExpertParams& params) {
  return launch_type(stream, type, {gate, up, x, gate_bias, up_bias, &lists, y, params});
}

Error launch_experts_matvec(Stream stream, DeviceType type, const void* weight, const QuantizedInput& x,
                            const float* bias, const ExpertLists& lists, float* y, const ExpertParams& params) {
  return launch_type(stream, type, {weight, nullptr, x, bias, nullptr, &lists, y, params});
}

}  // namespace outpost::gpu
