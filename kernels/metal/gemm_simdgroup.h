// Products of weights of any type with many tokens on Metal's matrix units: f16 inputs, f32 sums.
//
// A block does 64 rows and 64 tokens, each of its warps a quarter. A step is 64 columns: the activations' image
// (kernels/portable/image.h) is copied to threadgroup memory, and beside it half a group of 32 of each of four groups
// of every row is decoded to f16, in the order of columns that the image has. 16 KiB in all: several blocks share a
// core, and one computes while another decodes. There is no second buffer, which would leave room for half as many.
//
// A row's sum takes its columns in one order, wherever its token is in a tile: a token's result does not depend on what
// else is in the batch.
#pragma once

#include "kernels/metal/simd_matrix.h"
#include "kernels/portable/expert_tile.h"
#include "kernels/portable/float_matvec.h"
#include "kernels/portable/image.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kSimdGemmThreads = 128;
OUTPOST_CONSTANT int kSimdGemmRows = 64;
OUTPOST_CONSTANT int kSimdGemmTokens = 64;
OUTPOST_CONSTANT int kSimdGemmEights = kImageStep / 8;                ///< matrices across a step
OUTPOST_CONSTANT int kSimdGemmTile = kSimdGemmRows * kImageStep / 2;  ///< words of weights, and of activations
OUTPOST_CONSTANT int kSimdGemmWarp = 32;                              ///< rows, and tokens, of a warp
OUTPOST_CONSTANT int kSimdGemmMatrices = kSimdGemmWarp / 8;           ///< down and across a warp's sums

/// How rows of a type are read.
template <typename Block>
struct WeightRow {
  enum { kGroups = BlockTraits<Block>::kGroups };

  static GPU_FN int64_t length(int32_t n_groups) { return n_groups / kGroups; }

  /// Elements 16 kPart to 16 kPart + 15 of group g, in pairs.
  template <int kPart>
  static GPU_FN void decode(DevicePtr<const Block> row, int32_t g, GPU_LOCAL uint32_t (&pairs)[8]) {
    const Group group = decode_group(row[g / kGroups], g % kGroups);
    GPU_UNROLL for (int32_t i = 0; i < 8; ++i) {
      float values[2];
      GPU_UNROLL for (int32_t k = 0; k < 2; ++k) {
        const float code = code_at(group, 16 * kPart + 2 * i + k);
        values[k] = BlockTraits<Block>::kHasOffset ? fma32(group.scale[kPart], code, group.offset[kPart])
                                                   : group.scale[kPart] * code;
      }
      pairs[i] = half_words(within_half(values[0]), within_half(values[1]));
    }
  }
};

/// Sixteen elements of `row`, from `first` on, in pairs
template <typename Element>
GPU_FN void pair_elements(DevicePtr<const Element> row, int32_t first, GPU_LOCAL uint32_t (&pairs)[8]) {
  GPU_UNROLL for (int32_t i = 0; i < 8; ++i) {
    const int32_t at = first + 2 * i;
    pairs[i] = half_words(within_half(float_of(row[at])), within_half(float_of(row[at + 1])));
  }
}

template <>
struct WeightRow<ElementF16> {
  static GPU_FN int64_t length(int32_t n_groups) { return int64_t(n_groups) * kGroup; }
  template <int kPart>
  static GPU_FN void decode(DevicePtr<const ElementF16> row, int32_t g, GPU_LOCAL uint32_t (&pairs)[8]) {
    pair_elements<ElementF16>(row, kGroup * g + 16 * kPart, pairs);
  }
};
template <>
struct WeightRow<ElementBF16> {
  static GPU_FN int64_t length(int32_t n_groups) { return int64_t(n_groups) * kGroup; }
  template <int kPart>
  static GPU_FN void decode(DevicePtr<const ElementBF16> row, int32_t g, GPU_LOCAL uint32_t (&pairs)[8]) {
    pair_elements<ElementBF16>(row, kGroup * g + 16 * kPart, pairs);
  }
};

/// Part kPart of the groups of a slice, of the rows from `row` on, to `tile` [row, column of the step]. Rows past the
/// end repeat the last; groups past the end are zeros.
template <typename Block, int kPart>
GPU_FN void decode_step(SharedPtr<uint32_t> tile, DevicePtr<const Block> weight, GPU_PARAMS_REF(GemmParams) p,
                        int32_t row, int32_t slice, int32_t thread_id) {
  const int64_t length = WeightRow<Block>::length(p.n_groups);
  for (int32_t i = thread_id; i < kSimdGemmRows * 4; i += kSimdGemmThreads) {
    const int32_t r = i / 4, place = i % 4, g = 4 * slice + place;
    const int64_t at = row + r < p.n_rows ? row + r : p.n_rows - 1;
    uint32_t pairs[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (g < p.n_groups) WeightRow<Block>::template decode<kPart>(weight + at * length, g, pairs);
    // The image has pair k of a group in the k-th eight of the step, as word `place`: see image_column.
    GPU_UNROLL for (int32_t k = 0; k < 8; ++k) tile[tile_word(r, k, kSimdGemmEights) + place] = pairs[k];
  }
}

/// The step's columns of the tokens from `token` on, to `tile` [token, column of the step].
GPU_FN void copy_step(SharedPtr<uint32_t> tile, DevicePtr<const uint32_t> image, int32_t n_tokens, int32_t token,
                      int32_t step, int32_t thread_id) {
  const DevicePtr<const uint32_t> from = image + (int64_t(step) * image_rows(n_tokens) + token) * (kImageStep / 2);
  for (int32_t i = thread_id; i < kSimdGemmTokens * kSimdGemmEights; i += kSimdGemmThreads) {
    const TilePiece piece = tile_piece(i, kSimdGemmEights);
    const int32_t place = image_place(piece.row, 4 * piece.eight);  // tiles begin at multiples of eight rows
    store_words4(tile + 4 * i, load_words4(from + piece.row * (kImageStep / 2) + place));
  }
}

/// A block: rows `row` on of the weights with rows `token` on of the image.
/// @param tiles [2 kSimdGemmTile]: of weights and of activations; at last the sums
template <typename Block, typename Rows>
GPU_FN void multiply_simd_tile(SharedPtr<uint32_t> tiles, DevicePtr<const Block> weight,
                               DevicePtr<const uint32_t> image, DevicePtr<const float> scales,
                               DevicePtr<const float> bias, DevicePtr<float> y, GPU_PARAMS_REF(GemmParams) p,
                               int32_t row, int32_t token, Rows rows, Here here) {
  const SharedPtr<uint32_t> weights = tiles, activations = weights + kSimdGemmTile;
  // In a tile: of this warp.
  const int32_t own_token = here.warp % 2 * kSimdGemmWarp, own_row = here.warp / 2 * kSimdGemmWarp;
  const bool is_needed = token + own_token < rows.end && row + own_row < p.n_rows;

  SimdFloat8x8 sums[kSimdGemmMatrices][kSimdGemmMatrices];
  GPU_UNROLL for (int32_t i = 0; i < kSimdGemmMatrices; ++i) {
    GPU_UNROLL for (int32_t j = 0; j < kSimdGemmMatrices; ++j) simd_clear(sums[i][j]);
  }
  const int32_t n_steps = image_steps(kGroup * p.n_groups);
  for (int32_t step = 0; step < n_steps; ++step) {
    if (step % 2 == 0)
      decode_step<Block, 0>(weights, weight, p, row, step / 2, here.thread_id);
    else
      decode_step<Block, 1>(weights, weight, p, row, step / 2, here.thread_id);
    copy_step(activations, image, p.n_tokens, token, step, here.thread_id);
    block_barrier();
    if (is_needed) {  // the whole warp
      for (int32_t eight = 0; eight < kSimdGemmEights; ++eight) {
        SimdHalf8x8 of_tokens[kSimdGemmMatrices], of_rows[kSimdGemmMatrices];
        GPU_UNROLL for (int32_t i = 0; i < kSimdGemmMatrices; ++i) {
          load_of_tile<false>(of_tokens[i], activations, own_token / 8 + i, eight, kSimdGemmEights);
          load_of_tile<true>(of_rows[i], weights, own_row / 8 + i, eight, kSimdGemmEights);
        }
        GPU_UNROLL for (int32_t i = 0; i < kSimdGemmMatrices; ++i) {
          GPU_UNROLL for (int32_t j = 0; j < kSimdGemmMatrices; ++j)
              simd_multiply_add(sums[i][j], of_tokens[i], of_rows[j]);
        }
      }
    }
    block_barrier();  // nobody reads the tiles any more
  }

  const SharedPtr<float> tile_sums = as_floats(tiles);  // [token, row]
  if (is_needed) {
    GPU_UNROLL for (int32_t i = 0; i < kSimdGemmMatrices; ++i) {
      GPU_UNROLL for (int32_t j = 0; j < kSimdGemmMatrices; ++j)
          simd_store(sums[i][j], tile_sums + ((own_token + 8 * i) * kSimdGemmRows + own_row + 8 * j), kSimdGemmRows);
    }
  }
  block_barrier();
  for (int32_t i = here.thread_id; i < kSimdGemmTokens * kSimdGemmRows; i += kSimdGemmThreads) {
    const int32_t t = token + i / kSimdGemmRows, r = row + i % kSimdGemmRows;
    if (t < rows.end && r < p.n_rows)
      y[int64_t(rows.of(t)) * p.n_rows + r] = fma32(tile_sums[i], scales[t], p.has_bias ? float(bias[r]) : 0.0f);
  }
}

/// y[t, row] = weight[row] * x[t] + bias[row], with f16 of both.
/// Grid: (n_tokens / kSimdGemmTokens, n_rows / kSimdGemmRows), rounded up.
/// @param weight [n_rows, n_groups / groups of a block], or elements [n_rows, 32 n_groups]
/// @param image, scales as halve_activations leaves them: of n_tokens rows of 32 n_groups columns
/// @param bias [n_rows] or unused, y [n_tokens, n_rows]
template <typename Block>
GPU_KERNEL(kSimdGemmThreads)
gemm_simdgroup(GPU_IN(0, Block, weight), GPU_IN(1, uint32_t, image), GPU_IN(2, float, scales), GPU_IN(3, float, bias),
               GPU_IO(4, float, y), GPU_PARAMS(5, GemmParams, p) GPU_GRID) {
  GPU_SHARED(uint32_t, tiles, 2 * kSimdGemmTile);
  const Here here = GPU_HERE;
  const TokenRows rows = {p.n_tokens};
  multiply_simd_tile<Block>(tiles, weight, image, scales, bias, y, p, here.block_y * kSimdGemmRows,
                            here.block_x * kSimdGemmTokens, rows, here);
}

/// The same with the experts that were chosen: y[c] = weight[expert of c] * x of c + bias of the expert.
/// Grid: (expert_tiles of kSimdGemmTokens rows, n_rows / kSimdGemmRows rounded up).
/// @param weight [n_expert, n_rows, ...], or [n_slots, ...]; bias [n_expert, n_rows] or unused
/// @param image, scales as halve_choices leaves them; rows, tiles as arrange_choices does, places as resolve_experts
/// @param y [n_choices, n_rows], of which a round writes its experts' rows
template <typename Block>
GPU_KERNEL(kSimdGemmThreads)
experts_simdgroup(GPU_IN(0, Block, weight), GPU_IN(1, uint32_t, image), GPU_IN(2, float, scales),
                  GPU_IN(3, float, bias), GPU_IN(4, int32_t, rows), GPU_IN(5, int32_t, tiles),
                  GPU_IN(6, int32_t, places), GPU_IO(7, float, y), GPU_PARAMS(8, ExpertGemmParams, p) GPU_GRID) {
  GPU_SHARED(uint32_t, shared, 2 * kSimdGemmTile);
  const Here here = GPU_HERE;
  const ExpertTile tile = expert_tile(tiles, here.block_x);
  if (tile.n == 0) return;  // the whole block
  const int32_t place = place_of(places, p.has_slots, p.round, tile.expert);
  if (place < 0) return;
  const int64_t length = WeightRow<Block>::length(p.product.n_groups) * p.product.n_rows;
  const DevicePtr<const float> own_bias = p.product.has_bias ? bias + int64_t(tile.expert) * p.product.n_rows : bias;
  const ChoiceRows listed = {rows, tile.first + tile.n};
  multiply_simd_tile<Block>(shared, weight + place * length, image, scales, own_bias, y, p.product,
                            here.block_y * kSimdGemmRows, tile.first, listed, here);
}

}  // namespace gpu
}  // namespace outpost
