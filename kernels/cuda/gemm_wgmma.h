// Products of weights of any type with many tokens on Hopper's matrix units: f16 inputs, f32 sums.
//
// A block does 128 rows and kTokens tokens. One warpgroup brings what the others need: steps of 64 columns of the
// activations' image (kernels/portable/image.h) by bulk copies, and the bytes of the rows' blocks, 256 columns at a
// time. Two warpgroups of 64 rows each decode weights straight into the registers that the matrix units read: while the
// product of a step runs, a thread decodes the next step's. Weights take no other way through shared memory than as the
// bytes of the file.
//
// A row's sum takes its columns in one order, whatever kTokens and the number of tokens: a token's result does not
// depend on what else is in the batch.
#pragma once

#include "kernels/cuda/gemm_tile.h"
#include "kernels/cuda/wgmma.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kGemmConsumers = 8;  ///< warps, of two warpgroups
/// A third group copies, as registers are given to whole groups: a warp activations, three weights.
OUTPOST_CONSTANT int kGemmThreads = 32 * (kGemmConsumers + 4);
OUTPOST_CONSTANT int kGemmCopiers = 96;  ///< threads that copy weights
OUTPOST_CONSTANT int kGemmRows = 128;
OUTPOST_CONSTANT int kGemmStages = 4;  ///< steps of activations in shared memory
OUTPOST_CONSTANT int kGemmChunks = 2;  ///< chunks of weights
OUTPOST_CONSTANT int kGemmBarriers = 2 * (kGemmStages + kGemmChunks);

template <typename Block, int kTokens>
struct GemmShape {
  using Chunk = WeightChunk<Block, kGemmRows>;
  static constexpr int32_t kStepBytes = kTokens * 2 * kImageStep;
  static constexpr int32_t kSharedBytes = 1024 + kGemmStages * kStepBytes + kGemmChunks * Chunk::kBytes;
};

#ifdef OUTPOST_HAS_WGMMA

template <int kHalves>
GPU_FN void multiply_step(float (&sums)[kHalves], const uint32_t (&low)[8], const uint32_t (&high)[8],
                          uint64_t activations) {
  GPU_UNROLL for (int32_t k = 0; k < 4; ++k)
      wgmma_f16(sums, low[2 * k], high[2 * k], low[2 * k + 1], high[2 * k + 1], activations + 2 * k);
}

/// What the block's barriers are for, one each of a stage or a chunk.
#ifdef __CUDACC__
struct GemmBarriers {
  uint64_t step_is_there[kGemmStages], step_is_free[kGemmStages];
  uint64_t chunk_is_there[kGemmChunks], chunk_is_free[kGemmChunks];
};
static_assert(sizeof(GemmBarriers) == kGemmBarriers * sizeof(uint64_t), "what a test gives room for");
#define OUTPOST_GEMM_BARRIERS(name) __shared__ GemmBarriers name
#else
struct GemmBarriers {
  SharedPtr<uint64_t> step_is_there, step_is_free, chunk_is_there, chunk_is_free;

  explicit GemmBarriers(SharedPtr<uint64_t> first)
      : step_is_there(first),
        step_is_free(step_is_there + kGemmStages),
        chunk_is_there(step_is_free + kGemmStages),
        chunk_is_free(chunk_is_there + kGemmChunks) {}
};
#define OUTPOST_GEMM_BARRIERS(name)                  \
  GPU_SHARED(uint64_t, name##_words, kGemmBarriers); \
  GemmBarriers name(name##_words)
#endif

/// The warp that copies activations; one lane of it is enough.
template <typename Block, int kTokens>
GPU_FN void bring_steps(GemmBarriers& barriers, SharedPtr<uint8_t> steps, DevicePtr<const uint8_t> image,
                        const GemmParams& p, int32_t token) {
  using Shape = GemmShape<Block, kTokens>;
  const int32_t n_steps = image_steps(32 * p.n_groups);
  const int64_t image_step = int64_t(image_rows(p.n_tokens)) * (2 * kImageStep);
  DevicePtr<const uint8_t> from = image + int64_t(token) * (2 * kImageStep);
  for (int32_t step = 0; step < n_steps; ++step, from += image_step) {
    const int32_t stage = step % kGemmStages;
    wait_for(barriers.step_is_free + stage, (step / kGemmStages + 1) % 2);
    arrive_and_expect(barriers.step_is_there + stage, Shape::kStepBytes);
    copy_bulk(steps + stage * Shape::kStepBytes, from, Shape::kStepBytes, barriers.step_is_there + stage);
  }
}

/// The warps that copy weights. @param thread_id among them
template <typename Block>
GPU_FN void bring_chunks(GemmBarriers& barriers, SharedPtr<uint8_t> chunks, DevicePtr<const uint8_t> weight,
                         const GemmParams& p, int32_t row, int32_t thread_id) {
  using Chunk = WeightChunk<Block, kGemmRows>;
  const int32_t n_chunks = (image_steps(32 * p.n_groups) + Chunk::kSteps - 1) / Chunk::kSteps;
  for (int32_t chunk = 0; chunk < n_chunks; ++chunk) {
    const int32_t place = chunk % kGemmChunks;
    wait_for(barriers.chunk_is_free + place, (chunk / kGemmChunks + 1) % 2);
    copy_chunk<Block, kGemmRows>(chunks + place * Chunk::kBytes, weight, p, row, chunk, thread_id, Chunk::kAllPieces,
                                 kGemmCopiers);
    arrive_after_copies(barriers.chunk_is_there + place);
  }
}

/// One thread of the two warpgroups: a step of the loop over columns.
template <typename Block, int kTokens>
struct GemmConsumer {
  using Shape = GemmShape<Block, kTokens>;
  using Chunk = typename Shape::Chunk;
  using Source = typename Chunk::Source;

  GemmBarriers& barriers;
  SharedPtr<const uint8_t> chunks;
  uint64_t first_step;  ///< descriptor of stage 0
  DevicePtr<const uint8_t> weight_rows[2];
  int32_t own_row, n_groups, lane;

  /// Step 2 * slice + kHalf: decodes, starts its product, and waits for the one before.
  template <int kHalf>
  GPU_FN void step(float (&sums)[kTokens / 2], uint32_t (&low)[8], uint32_t (&high)[8], int32_t slice) const {
    const int32_t step = 2 * slice + kHalf, chunk = step / Chunk::kSteps, stage = step % kGemmStages;
    const int32_t place = chunk % kGemmChunks;
    if (step % Chunk::kSteps == 0) wait_for(barriers.chunk_is_there + place, chunk / kGemmChunks % 2);
    const int32_t g = 4 * slice % Source::kChunkGroups + lane % 4;
    SharedPtr<const uint8_t> rows[2];
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
      rows[i] = chunks + place * Chunk::kBytes + (own_row + 8 * i) * Chunk::kPitch;
      if (!Source::kIsAligned) rows[i] += past_sixteen(weight_rows[i] + int64_t(chunk) * Source::kChunkBytes);
    }
    if (Source::kGroups == 1 && 4 * slice + lane % 4 >= n_groups) {
      GPU_UNROLL for (int32_t i = 0; i < 8; ++i) low[i] = high[i] = 0;
    } else {
      Source::template decode<kHalf>(rows[0], g, low);
      Source::template decode<kHalf>(rows[1], g, high);
    }
    wait_for(barriers.step_is_there + stage, step / kGemmStages % 2);
    wgmma_fence();
    multiply_step(sums, low, high, first_step + stage * (Shape::kStepBytes >> 4));
    wgmma_commit();
    wgmma_wait<1>();
    if (step > 0 && lane == 0) arrive(barriers.step_is_free + (step - 1) % kGemmStages);
    if (step % Chunk::kSteps == Chunk::kSteps - 1) {
      warp_barrier();  // all lanes have decoded
      if (lane == 0) arrive(barriers.chunk_is_free + place);
    }
  }
};

/// The threads of the two warpgroups.
template <typename Block, int kTokens, typename Rows>
GPU_FN void consume(GemmBarriers& barriers, SharedPtr<const uint8_t> steps, SharedPtr<const uint8_t> chunks,
                    DevicePtr<const uint8_t> weight, DevicePtr<const float> scales, DevicePtr<const float> bias,
                    DevicePtr<float> y, const GemmParams& p, int32_t row, int32_t token, const Rows& rows, Here here) {
  const int32_t own_row = 16 * here.warp + here.lane / 4;  // and the one eight further
  const int64_t row_bytes = weight_row_bytes<Block>(p.n_groups);
  const int32_t last_row = p.n_rows - 1, first = row + own_row, second = first + 8;
  const GemmConsumer<Block, kTokens> consumer{barriers,
                                              chunks,
                                              wgmma_descriptor(shared_address(steps)),
                                              {weight + (first < last_row ? first : last_row) * row_bytes,
                                               weight + (second < last_row ? second : last_row) * row_bytes},
                                              own_row,
                                              p.n_groups,
                                              here.lane};
  float sums[kTokens / 2];
  uint32_t low[2][8], high[2][8];
  GPU_UNROLL for (int32_t i = 0; i < kTokens / 2; ++i) sums[i] = 0;
  const int32_t n_slices = image_steps(32 * p.n_groups) / 2;
  for (int32_t slice = 0; slice < n_slices; ++slice) {
    consumer.template step<0>(sums, low[0], high[0], slice);
    consumer.template step<1>(sums, low[1], high[1], slice);
  }
  wgmma_wait<0>();

  const ResultRows results(first, bias, p);
  GPU_UNROLL for (int32_t j = 0; j < kTokens / 8; ++j) {
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) results.store(
        y, scales, p, rows, token + 8 * j + 2 * (here.lane % 4) + i, sums[4 * j + i], sums[4 * j + 2 + i]);
  }
}

/// A block: rows `row` on of the weights with rows `token` on of the image.
template <typename Block, int kTokens, typename Rows>
GPU_FN void multiply_tile(DevicePtr<const uint8_t> weight, DevicePtr<const uint8_t> image,
                          DevicePtr<const float> scales, DevicePtr<const float> bias, DevicePtr<float> y,
                          const GemmParams& p, int32_t row, int32_t token, const Rows& rows, Here here) {
  using Shape = GemmShape<Block, kTokens>;
  OUTPOST_DYNAMIC_BYTES(dynamic_shared, Shape::kSharedBytes);
  OUTPOST_GEMM_BARRIERS(barriers);
  const SharedPtr<uint8_t> steps = dynamic_shared + (0u - shared_address(dynamic_shared)) % 1024u;
  const SharedPtr<uint8_t> chunks = steps + kGemmStages * Shape::kStepBytes;
  if (here.thread_id == 0) {
    for (int32_t i = 0; i < kGemmStages; ++i) {
      init_barrier(barriers.step_is_there + i, 1);
      init_barrier(barriers.step_is_free + i, kGemmConsumers);
    }
    for (int32_t i = 0; i < kGemmChunks; ++i) {
      init_barrier(barriers.chunk_is_there + i, kGemmCopiers);
      init_barrier(barriers.chunk_is_free + i, kGemmConsumers);
    }
    publish_barriers();
  }
  block_barrier();
  if (here.warp >= kGemmConsumers) {
    give_registers<56>();
    if (here.warp > kGemmConsumers)
      bring_chunks<Block>(barriers, chunks, weight, p, row, here.thread_id - 32 * (kGemmConsumers + 1));
    else if (here.lane == 0)
      bring_steps<Block, kTokens>(barriers, steps, image, p, token);
  } else {
    take_registers<224>();
    consume<Block, kTokens>(barriers, steps, chunks, weight, scales, bias, y, p, row, token, rows, here);
  }
}

#endif

/// y_i[t, row] = weight_i[row] * x[t] + bias_i[row], with f16 of weights and x, of up to three matrices.
/// Grid: (n_tokens / kTokens, the sum of n_rows[i] / kGemmRows), all rounded up; kSharedBytes of dynamic shared memory.
/// Empty where it is not compiled for 9.0a.
/// @param weight_i [n_rows[i], n_groups / groups of a block]; image and scales as halve_activations leaves them
/// @param bias_i [n_rows[i]] or unused, y_i [n_tokens, n_rows[i]]
template <typename Block, int kTokens>
GPU_KERNEL(kGemmThreads, 1)
gemm_wgmma(GPU_IN(0, uint8_t, weight_0), GPU_IN(1, uint8_t, weight_1), GPU_IN(2, uint8_t, weight_2),
           GPU_IN(3, uint8_t, image), GPU_IN(4, float, scales), GPU_IN(5, float, bias_0), GPU_IN(6, float, bias_1),
           GPU_IN(7, float, bias_2), GPU_IO(8, float, y_0), GPU_IO(9, float, y_1), GPU_IO(10, float, y_2),
           GPU_PARAMS(11, GemmSetParams, p) GPU_GRID) {
#ifdef OUTPOST_HAS_WGMMA
  const Here here = GPU_HERE;
  const SetArrays arrays = {{weight_0, weight_1, weight_2}, {bias_0, bias_1, bias_2}, {y_0, y_1, y_2}};
  const SetPart part = set_part(arrays, p, here.block_y, kGemmRows);
  multiply_tile<Block, kTokens>(part.weight, image, scales, part.bias, part.y, part.product, part.row,
                                here.block_x * kTokens, TokenRows{p.n_tokens}, here);
#endif
}

/// The same with the experts that were chosen: y[c] = weight[expert of c] * x of c + bias of the expert.
/// Grid: (expert_tiles of kTokens rows, n_rows / kGemmRows rounded up).
/// @param weight [n_expert, n_rows, ...], or [n_slots, ...]; bias [n_expert, n_rows] or unused
/// @param image, scales as halve_choices leaves them; rows, tiles as arrange_choices does, places as resolve_experts
/// @param y [n_choices, n_rows], of which a round writes its experts' rows
template <typename Block, int kTokens>
GPU_KERNEL(kGemmThreads, 1)
experts_wgmma(GPU_IN(0, uint8_t, weight), GPU_IN(1, uint8_t, image), GPU_IN(2, float, scales), GPU_IN(3, float, bias),
              GPU_IN(4, int32_t, rows), GPU_IN(5, int32_t, tiles), GPU_IN(6, int32_t, places), GPU_IO(7, float, y),
              GPU_PARAMS(8, ExpertGemmParams, p) GPU_GRID) {
#ifdef OUTPOST_HAS_WGMMA
  const Here here = GPU_HERE;
  const ExpertPart part = expert_part<Block>(weight, bias, rows, tiles, places, p, here.block_x);
  if (!part.is_there) return;  // the whole block
  multiply_tile<Block, kTokens>(part.weight, image, scales, part.bias, y, p.product, here.block_y * kGemmRows,
                                part.first, part.rows, here);
#endif
}

}  // namespace gpu
}  // namespace outpost
