// Types of the launchers that need no CUDA.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/tensor_type.h"

namespace outpost::gpu {

/// Blocks of a launch.
struct Grid {
  uint32_t x, y, z;
  constexpr Grid(uint32_t n_x, uint32_t n_y = 1, uint32_t n_z = 1) : x(n_x), y(n_y), z(n_z) {}
};

/// Blocks on the device: those of the file, or wide ones made of them (kernels/common/wide_blocks.h).
struct DeviceType {
  TensorType type;
  bool is_wide = false;

  DeviceType(TensorType type_of_file, bool has_wide_blocks = false) : type(type_of_file), is_wide(has_wide_blocks) {}
};

/// Whether products with such weights take activations of which 256 share a scale, rather than 32: where the CPU does.
inline bool takes_super_groups(DeviceType type) {
  return tensor_type_traits(type.type).block_elements == 256 && type.type != TensorType::kIQ1_S &&
         type.type != TensorType::kIQ1_M && type.type != TensorType::kQ8_K;
}
/// Whether kernels/portable/superblock.h has the blocks.
inline bool is_superblock(DeviceType type) {
  return type.type == TensorType::kQ4_K || type.type == TensorType::kQ5_K ||
         (type.is_wide && (type.type == TensorType::kQ6_K || type.type == TensorType::kQ8_0));
}

/// Whether there are wide blocks for rows of this type and width.
inline bool can_widen(TensorType type, int64_t n_cols) {
  return (type == TensorType::kQ8_0 || type == TensorType::kQ6_K) && n_cols % 256 == 0;
}
/// Bytes of `n_elements`, whole blocks.
inline size_t device_bytes(DeviceType type, int64_t n_elements) {
  if (type.is_wide) return static_cast<size_t>(n_elements / 256) * (type.type == TensorType::kQ8_0 ? 272 : 224);
  const TensorTypeTraits& traits = tensor_type_traits(type.type);
  return static_cast<size_t>(n_elements) / traits.block_elements * traits.block_bytes;
}

/// Whether launch_gemm multiplies by rows of this type and width: all blocks, f16 and bf16.
inline bool can_gemm(DeviceType type, int64_t n_cols) { return type.type != TensorType::kF32 && n_cols % 32 == 0; }
/// Tiles of such a product, both with the same bits: 256 tokens, or 128; kGemmAny is what choose_gemm_tile says.
enum GemmTile { kGemmAny, kGemmLarge, kGemmSmall };

}  // namespace outpost::gpu
