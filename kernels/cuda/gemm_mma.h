// Products of weights of any type with many tokens by mma: f16 inputs, f32 sums, on every device from 7.5 on. Hopper
// has something faster (gemm_wgmma.h), with the same numbers but for the order of sums.
//
// A block does as many rows as tokens, 128 or 64; its eight warps have a quarter of the rows and half of the tokens
// each. A step is 64 columns. While it is multiplied, the next step's activations (kernels/portable/image.h) come to
// shared memory, and a part of the weights that follow, as the bytes of the file; there are two places for both. A warp
// decodes its rows' weights straight into the registers that mma reads, so that two warps decode the same ones: that is
// less than what their activations would take to be read for half as many rows.
//
// A row's sum takes its columns in one order, whatever kTokens and the number of tokens: a token's result does not
// depend on what else is in the batch.
#pragma once

#include "kernels/cuda/gemm_tile.h"
#include "kernels/cuda/mma.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kMmaGemmThreads = 256;
OUTPOST_CONSTANT int kMmaLargeTokens = 128;
OUTPOST_CONSTANT int kMmaSmallTokens = 64;  ///< of experts' products, too

template <typename Block, int kTokens>
struct MmaGemmShape {
  static constexpr int32_t kRows = kTokens;
  static constexpr int32_t kWarpRows = kRows / 4, kWarpTokens = kTokens / 2;
  static constexpr int32_t kTall = kWarpRows / 16, kWide = kWarpTokens / 8;  ///< matrices of a warp's sums
  using Chunk = WeightChunk<Block, kRows>;
  static constexpr int32_t kStepBytes = kTokens * 2 * kImageStep;
  static constexpr int32_t kSharedBytes = 2 * (kStepBytes + Chunk::kBytes);
};

/// One lane's part of a step.
template <typename Block, int kTokens>
struct MmaGemmLane {
  using Shape = MmaGemmShape<Block, kTokens>;
  using Chunk = typename Shape::Chunk;
  using Source = typename Chunk::Source;

  SharedPtr<const uint8_t> tokens;  ///< in the first place for a step: the row that this lane loads matrices from
  SharedPtr<const uint8_t> rows;    ///< in the first place for a chunk: the first row that it decodes
  uint32_t past_sixteen[2 * Shape::kTall];  ///< bytes from a multiple of 16 to the start of its rows, every eighth
  int32_t n_groups, lane;

  /// Step 2 * slice + kHalf.
  template <int kHalf>
  GPU_FN void multiply(float (&sums)[Shape::kTall][Shape::kWide][4], int32_t slice) const {
    const int32_t step = 2 * slice + kHalf, chunk = step / Chunk::kSteps;
    const SharedPtr<const uint8_t> own_rows = rows + chunk % 2 * Chunk::kBytes;
    const int32_t g = 4 * slice % Source::kChunkGroups + lane % 4;
    uint32_t weights[2 * Shape::kTall][8];
    GPU_UNROLL for (int32_t i = 0; i < 2 * Shape::kTall; ++i) {
      if (Source::kGroups == 1 && 4 * slice + lane % 4 >= n_groups) {
        GPU_UNROLL for (int32_t k = 0; k < 8; ++k) weights[i][k] = 0;
      } else {
        const uint32_t past = Source::kIsAligned ? 0u : (past_sixteen[i] + uint32_t(chunk) * Source::kChunkBytes) % 16u;
        Source::template decode<kHalf>(own_rows + (8 * i * Chunk::kPitch + int32_t(past)), g, weights[i]);
      }
    }
    const SharedPtr<const uint16_t> own_tokens = halves_at(tokens + kHalf * Shape::kStepBytes);
    GPU_UNROLL for (int32_t k = 0; k < 4; ++k) {
      const int32_t piece = 2 * k + lane / 8 % 2, place = 2 * image_place(lane, 4 * piece);
      GPU_UNROLL for (int32_t j = 0; j < Shape::kWide; j += 2) {
        const Words4 b = load_matrices<false>(own_tokens + (8 * j * kImageStep + place));
        GPU_UNROLL for (int32_t i = 0; i < Shape::kTall; ++i) {
          const uint32_t(&upper)[8] = weights[2 * i], (&lower)[8] = weights[2 * i + 1];
          const Words4 a = {upper[2 * k], lower[2 * k], upper[2 * k + 1], lower[2 * k + 1]};
          mma_f16(sums[i][j], a, b.x, b.y);
          mma_f16(sums[i][j + 1], a, b.z, b.w);
        }
      }
    }
  }
};

/// What a block copies: a step's activations, and a chunk's weights in as many parts as it has steps.
template <typename Block, int kTokens>
struct MmaGemmCopies {
  using Shape = MmaGemmShape<Block, kTokens>;
  using Chunk = typename Shape::Chunk;

  SharedPtr<uint8_t> steps, chunks;
  DevicePtr<const uint8_t> weight, image;  ///< of the image the rows of this block
  const GemmParams& p;
  int32_t row, thread_id;

  /// Before anything is computed.
  GPU_FN void start() const {
    start_step(0);
    start_chunk(0, 0, Chunk::kAllPieces);
    commit_copies();
  }

  /// Waits for what step `step` needs, and starts copies of the next step and of a part of the next chunk.
  GPU_FN void advance(int32_t step, int32_t n_steps) const {
    wait_for_copies<0>();
    block_barrier();  // what was copied is there for all, and nobody reads the step before any more
    if (step + 1 < n_steps) start_step(step + 1);
    const int32_t chunk = step / Chunk::kSteps + 1, part = step % Chunk::kSteps;
    constexpr int32_t kPart = (Chunk::kAllPieces + Chunk::kSteps - 1) / Chunk::kSteps;
    const int32_t last = (part + 1) * kPart;
    if (chunk * Chunk::kSteps < n_steps)
      start_chunk(chunk, part * kPart, last < Chunk::kAllPieces ? last : Chunk::kAllPieces);
    commit_copies();
  }

  GPU_FN void start_step(int32_t step) const {
    const DevicePtr<const uint8_t> from = image + int64_t(step) * image_rows(p.n_tokens) * (2 * kImageStep);
    const SharedPtr<uint8_t> to = steps + step % 2 * Shape::kStepBytes;
    GPU_UNROLL for (int32_t i = 0; i < Shape::kStepBytes; i += 16 * kMmaGemmThreads)
        copy_async16(to + (i + 16 * thread_id), from + (i + 16 * thread_id), 16u);
  }
  GPU_FN void start_chunk(int32_t chunk, int32_t first, int32_t last) const {
    copy_chunk<Block, Shape::kRows>(chunks + chunk % 2 * Chunk::kBytes, weight, p, row, chunk, first + thread_id, last,
                                    kMmaGemmThreads);
  }
};

/// A block: rows `row` on of the weights with rows `token` on of the image.
template <typename Block, int kTokens, typename Rows>
GPU_FN void multiply_mma_tile(DevicePtr<const uint8_t> weight, DevicePtr<const uint8_t> image,
                              DevicePtr<const float> scales, DevicePtr<const float> bias, DevicePtr<float> y,
                              const GemmParams& p, int32_t row, int32_t token, const Rows& rows, Here here) {
  using Shape = MmaGemmShape<Block, kTokens>;
  using Chunk = typename Shape::Chunk;
  using Lane = MmaGemmLane<Block, kTokens>;
  OUTPOST_DYNAMIC_BYTES(steps, Shape::kSharedBytes);
  const SharedPtr<uint8_t> chunks = steps + 2 * Shape::kStepBytes;
  const MmaGemmCopies<Block, kTokens> copies{steps, chunks, weight,        image + int64_t(token) * (2 * kImageStep),
                                             p,     row,    here.thread_id};

  const int32_t warp_row = here.warp % 4 * Shape::kWarpRows, warp_token = here.warp / 4 * Shape::kWarpTokens;
  const int32_t own_row = warp_row + here.lane / 4;
  const bool is_needed = row + warp_row < p.n_rows && token + warp_token < rows.end;  // the whole warp
  Lane lane{steps + (warp_token + here.lane / 16 * 8 + here.lane % 8) * (2 * kImageStep),
            chunks + own_row * Chunk::kPitch,
            {},
            p.n_groups,
            here.lane};
  GPU_UNROLL for (int32_t i = 0; i < 2 * Shape::kTall; ++i) {
    const int32_t r = row + own_row + 8 * i;
    const DevicePtr<const uint8_t> start =
        weight + (r < p.n_rows ? r : p.n_rows - 1) * weight_row_bytes<Block>(p.n_groups);
    lane.past_sixteen[i] = uint32_t(past_sixteen(start));
  }
  float sums[Shape::kTall][Shape::kWide][4];
  GPU_UNROLL for (int32_t i = 0; i < Shape::kTall; ++i) {
    GPU_UNROLL for (int32_t j = 0; j < Shape::kWide; ++j) {
      GPU_UNROLL for (int32_t e = 0; e < 4; ++e) sums[i][j][e] = 0;
    }
  }

  const int32_t n_steps = image_steps(32 * p.n_groups);
  copies.start();
  for (int32_t step = 0; step < n_steps; step += 2) {
    copies.advance(step, n_steps);
    if (is_needed) lane.template multiply<0>(sums, step / 2);
    copies.advance(step + 1, n_steps);
    if (is_needed) lane.template multiply<1>(sums, step / 2);
  }
  if (!is_needed) return;

  GPU_UNROLL for (int32_t i = 0; i < Shape::kTall; ++i) {
    const ResultRows results(row + own_row + 16 * i, bias, p);
    GPU_UNROLL for (int32_t j = 0; j < Shape::kWide; ++j) {
      GPU_UNROLL for (int32_t e = 0; e < 2; ++e) results.store(
          y, scales, p, rows, token + warp_token + 8 * j + 2 * (here.lane % 4) + e, sums[i][j][e], sums[i][j][2 + e]);
    }
  }
}

/// As gemm_wgmma. Grid: (n_tokens / kTokens, the sum of n_rows[i] / kRows), all rounded up; kSharedBytes of dynamic
/// shared memory.
template <typename Block, int kTokens>
GPU_KERNEL(kMmaGemmThreads, 1)
gemm_mma(GPU_IN(0, uint8_t, weight_0), GPU_IN(1, uint8_t, weight_1), GPU_IN(2, uint8_t, weight_2),
         GPU_IN(3, uint8_t, image), GPU_IN(4, float, scales), GPU_IN(5, float, bias_0), GPU_IN(6, float, bias_1),
         GPU_IN(7, float, bias_2), GPU_IO(8, float, y_0), GPU_IO(9, float, y_1), GPU_IO(10, float, y_2),
         GPU_PARAMS(11, GemmSetParams, p) GPU_GRID) {
  const Here here = GPU_HERE;
  const SetArrays arrays = {{weight_0, weight_1, weight_2}, {bias_0, bias_1, bias_2}, {y_0, y_1, y_2}};
  const SetPart part = set_part(arrays, p, here.block_y, MmaGemmShape<Block, kTokens>::kRows);
  multiply_mma_tile<Block, kTokens>(part.weight, image, scales, part.bias, part.y, part.product, part.row,
                                    here.block_x * kTokens, TokenRows{p.n_tokens}, here);
}

/// The same with the experts that were chosen: y[c] = weight[expert of c] * x of c + bias of the expert.
/// Grid: (expert_tiles of kTokens rows, n_rows / kRows rounded up). The rest as experts_wgmma.
template <typename Block, int kTokens>
GPU_KERNEL(kMmaGemmThreads, 1)
experts_mma(GPU_IN(0, uint8_t, weight), GPU_IN(1, uint8_t, image), GPU_IN(2, float, scales), GPU_IN(3, float, bias),
            GPU_IN(4, int32_t, rows), GPU_IN(5, int32_t, tiles), GPU_IN(6, int32_t, places), GPU_IO(7, float, y),
            GPU_PARAMS(8, ExpertGemmParams, p) GPU_GRID) {
  const Here here = GPU_HERE;
  const ExpertPart part = expert_part<Block>(weight, bias, rows, tiles, places, p, here.block_x);
  if (!part.is_there) return;  // the whole block
  multiply_mma_tile<Block, kTokens>(part.weight, image, scales, part.bias, y, p.product,
                                    here.block_y * MmaGemmShape<Block, kTokens>::kRows, part.first, part.rows, here);
}

}  // namespace gpu
}  // namespace outpost
