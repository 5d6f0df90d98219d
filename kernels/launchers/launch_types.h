// Types of the launchers that need no kernels.
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
/// Tiles of such a product, both with the same bits; kGemmAny is what choose_gemm_tile says.
enum GemmTile { kGemmAny, kGemmLarge, kGemmSmall };
/// What multiplies on NVIDIA's devices: the best they have (wgmma on Hopper), or mma, which each of them has.
enum GemmUnits { kUnitsBest, kUnitsMma };

/// Activations as quantize_activations leaves them.
struct QuantizedInput {
  const uint32_t* codes;
  const float* scales;
  const uint32_t* sums;
  const uint32_t* pairs;
};
/// The same to be written.
struct QuantizedOutput {
  uint32_t* codes;
  float* scales;
  uint32_t* sums;
  uint32_t* pairs;
};
/// The input of one token's product as floats, and what becomes of them before they are multiplied.
struct FusedInput {
  const float* values = nullptr;       ///< null: the input is codes; else a multiple of 16 bytes
  const float* norm_weight = nullptr;  ///< not null: of their RMSNorm
  float eps = 0;
};
struct MatrixProduct {
  const void* weight;
  const float* bias;  ///< null: none
  float* y;
  int32_t n_rows;
};

/// Activations as halve_activations leaves them.
struct HalvedInput {
  const uint32_t* image;
  const float* scales;
};

/// Choices of experts as group_experts leaves them.
struct ExpertLists {
  const int32_t* order;
  const int32_t* tiles;
  const int32_t* n_tiles;
  int32_t n_choices, n_expert;
  const int32_t* places = nullptr;  ///< as resolve_experts leaves them; null: all experts are resident, no has_slots
};
/// Tiles of up to tile_tokens that group_experts may make.
inline int32_t most_expert_tiles(int32_t n_choices, int32_t n_expert, int32_t tile_tokens) {
  const int32_t n = n_choices / tile_tokens + n_expert;
  return n < n_choices ? n : n_choices;
}
/// Choices as arrange_choices leaves them.
struct ArrangedChoices {
  const int32_t* rows;   ///< [n_rows]
  const int32_t* tiles;  ///< [n_tiles, 3]
  int32_t n_rows, n_tiles, tile_rows;
  const int32_t* places = nullptr;  ///< as resolve_experts leaves them; null: all experts are resident, no has_slots
};

}  // namespace outpost::gpu
