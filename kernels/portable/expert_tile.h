// Which expert a block of a product has, and where its weights are. Apart from the kernels that decide so, which files
// with products do not need.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

/// Tokens of one expert that are multiplied together.
OUTPOST_CONSTANT int kExpertTileTokens = 8;

/// Choices of one expert that are computed together.
struct ExpertTile {
  int32_t expert;
  int32_t first, n;  ///< in the list that is sorted by expert
};

/// Tiles lie in memory as [n_tiles, 3] int32.
GPU_FN ExpertTile expert_tile(DevicePtr<const int32_t> tiles, int32_t i) {
  return {tiles[3 * i], tiles[3 * i + 1], tiles[3 * i + 2]};
}

/// Where the weights of an expert are in this round, counted in experts; -1: in another round.
/// @param has_slots 0: all experts are resident, expert e at place e, and `places` is unused
/// @param places as resolve_experts has left them
GPU_FN int32_t place_of(DevicePtr<const int32_t> places, int32_t has_slots, int32_t round, int32_t expert) {
  if (has_slots == 0) return expert;
  return places[2 * expert + 1] == round ? int32_t(places[2 * expert]) : -1;
}

}  // namespace gpu
}  // namespace outpost
