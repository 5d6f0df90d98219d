// What products of many tokens with weights of any type have in common on CUDA's matrix units (gemm_mma.h,
// gemm_wgmma.h): how weights lie in shared memory, as the bytes of the file, which expert a block has, and where sums
// go.
#pragma once

#include "kernels/cuda/async_copy.h"
#include "kernels/cuda/weight_source.h"
#include "kernels/portable/expert_tile.h"
#include "kernels/portable/image.h"

namespace outpost {
namespace gpu {

/// A chunk of kRows rows: a part of as many groups of each.
template <typename Block, int kRows>
struct WeightChunk {
  using Source = WeightSource<Block>;
  static constexpr int32_t kSteps = Source::kChunkGroups / 2;  ///< of the image
  /// Pieces of 16 bytes that a row's part touches at most, and from a row to the next: an odd number, so that eight
  /// rows lie in different banks.
  static constexpr int32_t kPieces = Source::kIsAligned ? Source::kChunkBytes / 16 : (Source::kChunkBytes + 30) / 16;
  static constexpr int32_t kPitch = 16 * (kPieces | 1);
  static constexpr int32_t kBytes = kRows * kPitch;
  static constexpr int32_t kAllPieces = kRows * kPieces;
};

/// Bytes of a row.
template <typename Block>
GPU_FN int64_t weight_row_bytes(int32_t n_groups) {
  return int64_t(n_groups) * WeightSource<Block>::kChunkBytes / WeightSource<Block>::kChunkGroups;
}

/// Starts copies of the pieces first, first + stride and so on before `last` of a chunk, of the rows from `row` on.
/// Rows past the end repeat the last.
template <typename Block, int kRows>
GPU_FN void copy_chunk(SharedPtr<uint8_t> to, DevicePtr<const uint8_t> weight, const GemmParams& p, int32_t row,
                       int32_t chunk, int32_t first, int32_t last, int32_t stride) {
  using Chunk = WeightChunk<Block, kRows>;
  using Source = typename Chunk::Source;
  const int64_t row_bytes = weight_row_bytes<Block>(p.n_groups);
  const DevicePtr<const uint8_t> end = weight + p.n_rows * row_bytes;
#ifdef __CUDACC__
#pragma unroll 4
#endif
  for (int32_t i = first; i < last; i += stride) {
    const int32_t r = i / Chunk::kPieces, piece = i % Chunk::kPieces;
    const DevicePtr<const uint8_t> start =
        weight + (row + r < p.n_rows ? row + r : p.n_rows - 1) * row_bytes + int64_t(chunk) * Source::kChunkBytes;
    const DevicePtr<const uint8_t> aligned = Source::kIsAligned ? start : start - past_sixteen(start);
    const int64_t n_left = end - (aligned + 16 * piece);
    if (n_left > 0)
      copy_async16(to + r * Chunk::kPitch + 16 * piece, aligned + 16 * piece, n_left < 16 ? uint32_t(n_left) : 16u);
  }
}

/// Two rows of weights, eight apart, that a thread has sums of; past the last there is nothing.
struct ResultRows {
  int32_t first, second, last;
  float biases[2];

  GPU_FN ResultRows(int32_t row, DevicePtr<const float> bias, const GemmParams& p)
      : first(row),
        second(row + 8),
        last(p.n_rows - 1),
        biases{p.has_bias && first <= last ? bias[first] : 0.0f, p.has_bias && second <= last ? bias[second] : 0.0f} {}

  /// Sums of row t of the image, whose scale is applied.
  template <typename Rows>
  GPU_FN void store(DevicePtr<float> y, DevicePtr<const float> scales, const GemmParams& p, const Rows& rows, int32_t t,
                    float of_first, float of_second) const {
    if (t < rows.end) {
      const float scale = scales[t];
      const DevicePtr<float> to = y + int64_t(rows.of(t)) * p.n_rows;
      if (first <= last) to[first] = fma32(of_first, scale, biases[0]);
      if (second <= last) to[second] = fma32(of_second, scale, biases[1]);
    }
  }
};

/// The arrays of a set of matrices.
struct SetArrays {
  DevicePtr<const uint8_t> weights[kGemmMatrices];
  DevicePtr<const float> biases[kGemmMatrices];
  DevicePtr<float> ys[kGemmMatrices];
};

/// What a block multiplies of them: rows of one from `row` on.
struct SetPart {
  DevicePtr<const uint8_t> weight;
  DevicePtr<const float> bias;
  DevicePtr<float> y;
  GemmParams product;
  int32_t row;
};

/// @param block number among the tiles of tile_rows rows of all matrices, one after the other
GPU_FN SetPart set_part(const SetArrays& arrays, const GemmSetParams& p, int32_t block, int32_t tile_rows) {
  SetPart part = {arrays.weights[0], arrays.biases[0], arrays.ys[0], {}, 0};
  int32_t first = 0;
  GPU_UNROLL for (int32_t i = 0; i < kGemmMatrices; ++i) {
    const int32_t n_tiles = (p.n_rows[i] + tile_rows - 1) / tile_rows;
    if (block >= first && block < first + n_tiles)
      part = {arrays.weights[i],
              arrays.biases[i],
              arrays.ys[i],
              {p.n_rows[i], p.n_groups, p.n_tokens, (p.has_bias >> i) & 1},
              (block - first) * tile_rows};
    first += n_tiles;
  }
  return part;
}

/// What a block of a product with experts multiplies: rows of the image from `first` on, by one expert's weights.
struct ExpertPart {
  DevicePtr<const uint8_t> weight;
  DevicePtr<const float> bias;
  ChoiceRows rows;
  int32_t first;
  bool is_there;  ///< false, and there is nothing to do: a tile without choices, or an expert of another round
};

/// @param weight, bias, rows, tiles, places as experts_wgmma has them; tile: which
template <typename Block>
GPU_FN ExpertPart expert_part(DevicePtr<const uint8_t> weight, DevicePtr<const float> bias,
                              DevicePtr<const int32_t> rows, DevicePtr<const int32_t> tiles,
                              DevicePtr<const int32_t> places, const ExpertGemmParams& p, int32_t tile) {
  const ExpertTile choices = expert_tile(tiles, tile);
  const int32_t place = choices.n == 0 ? -1 : place_of(places, p.has_slots, p.round, choices.expert);
  const int64_t expert_bytes = int64_t(p.product.n_rows) * weight_row_bytes<Block>(p.product.n_groups);
  return {weight + (place < 0 ? 0 : place) * expert_bytes,
          p.product.has_bias ? bias + int64_t(choices.expert) * p.product.n_rows : bias,
          {rows, choices.first + choices.n},
          choices.first,
          place >= 0};
}

}  // namespace gpu
}  // namespace outpost
