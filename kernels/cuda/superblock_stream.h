// Products of the blocks of superblock.h with 1 to 16 tokens, with the bits of superblock_matvec, where an engine of
// the multiprocessor copies what is multiplied (compute capability 9.0): verifying drafts should cost no more than
// reading the weights once.
//
// A block of threads stays on its multiprocessor and goes from tile to tile: 32 rows of a matrix, or 16 rows of a gated
// pair. Its last warp brings them in steps of eight blocks a row, a block for each slot, with the activations of those
// columns, as far ahead as shared memory has stages; weights from before the launch before this one has ended. So
// memory is asked for more without a pause, at the ends of tiles too, and no register holds what is on its way. Two
// groups of eight warps have 16 rows each, and of a group warp s the blocks of slot s.
//
// One token's activations are in shared memory once for all tiles, and may come as floats, whose RMSNorm and codes each
// block of threads makes for itself: a launch less, and the one before is waited for once. So may the addition to the
// residual stream be done here.
#pragma once

#include "kernels/cuda/bulk_copy.h"
#include "kernels/cuda/shared_bytes.h"
#include "kernels/cuda/superblock_tile.h"
#include "kernels/portable/norm.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kStreamGroups = 2;
OUTPOST_CONSTANT int kStreamConsumers = kStreamGroups * kSuperSlots;  ///< warps
OUTPOST_CONSTANT int kStreamThreads = 32 * (kStreamConsumers + 1);
OUTPOST_CONSTANT int kStreamRows = kStreamGroups * kSuperMmaRows;  ///< one for each lane of the warp that copies
OUTPOST_CONSTANT int kStreamMostStages = 5;
/// Of stages (is there, is free), groups (sums are there), and all that multiply.
OUTPOST_CONSTANT int kStreamBarriers = 2 * kStreamMostStages + kStreamGroups + 1;
/// The widest row of one token.
OUTPOST_CONSTANT int kStreamColumns = 32768;
static_assert(32 * kStreamConsumers == kNormThreads, "sums of a norm are added in the order of norm.h");
/// What a block has for stages and sums: 227 KiB less the barriers, and what CUDA takes.
OUTPOST_CONSTANT int kStreamRoom = 227 * 1024 - 1024;

struct StreamParams {
  SuperParams product;
  SuperFusion fusion;  ///< of one token
  int32_t n_tiles;
  int32_t n_blocks;  ///< of threads
};

/// Which sums of activations products with these blocks take, those of 16 codes or of 32, and their bytes for 256.
template <typename Block>
struct StreamSums {
  static constexpr bool kOfHalves = false;
  static constexpr int32_t kBytes = 16;
};
template <>
struct StreamSums<WideQ6_K> {
  static constexpr bool kOfHalves = true;
  static constexpr int32_t kBytes = 32;
};
template <>
struct StreamSums<WideQ8_0> {
  static constexpr bool kOfHalves = false;
  static constexpr int32_t kBytes = 0;
};

/// A stage: blocks of kStreamRows rows; of each token, if they are not one, codes, scales and sums. kTokens: 1, 8
/// or 16.
template <typename Block, int kTokens>
struct StreamShape {
  static constexpr bool kIsOne = kTokens == 1;
  static constexpr int32_t kTiles = (kTokens + 7) / 8;
  static constexpr int32_t kStaged = kIsOne ? 0 : kTokens;  ///< tokens in a stage
  static constexpr int32_t kBlockBytes = static_cast<int32_t>(sizeof(Block));
  static constexpr int32_t kSumBytes = StreamSums<Block>::kBytes;
  // What eight quads read at once, eight bytes of each lane or sixteen of each quad, lies in different banks.
  static constexpr int32_t kRowPitch = kSuperSlots * kBlockBytes + 32;
  static constexpr int32_t kCodesPitch = kSuperSlots * 256 + 32;
  static constexpr int32_t kScalesPitch = kSuperSlots * 32 + 16;
  static constexpr int32_t kSumsPitch = kSumBytes > 0 ? kSuperSlots* kSumBytes + 16 : 0;
  static_assert(kRowPitch % 128 == 32 && kCodesPitch % 128 == 32, "see above");
  static constexpr int32_t kCodes = kStreamRows * kRowPitch;
  static constexpr int32_t kScales = kCodes + kStaged * kCodesPitch;
  static constexpr int32_t kSums = kScales + kStaged * kScalesPitch;
  static constexpr int32_t kStageBytes = kSums + kStaged * kSumsPitch;
  /// One token's codes, scales, sums and pairs: as in SuperInput, one after the other.
  static constexpr int32_t kOneBytes = kIsOne ? kStreamColumns / 16 * 21 : 0;

  /// Sums of all groups, of one channel and eight tokens; a second one to write while the first is read.
  static constexpr int32_t kGroupSums = kSuperSlots * kSuperMmaRows * 8;  // floats
  static constexpr int32_t kScratchBytes = kStreamGroups * kGroupSums * 4;
  static constexpr int32_t kFit = (kStreamRoom - kOneBytes - kScratchBytes) / kStageBytes;
  static constexpr int32_t kStages = kFit < kStreamMostStages ? kFit : kStreamMostStages;
  static_assert(kStages >= 2, "one to read, one to fill");
  static constexpr int32_t kLeft = kStreamRoom - kOneBytes - kStages * kStageBytes;
  static constexpr int32_t kScratches = kLeft >= 2 * kScratchBytes ? 2 : 1;
  static constexpr int32_t kSharedBytes = kStages * kStageBytes + kScratches * kScratchBytes + kOneBytes;
};

#ifdef OUTPOST_HAS_BULK_COPIES

/// The steps of a block of threads, one after the other.
struct StreamStep {
  int32_t tile;
  int32_t chunk;  ///< eight blocks of each row
  int32_t step;   ///< number among all

  GPU_FN bool is_there(GPU_PARAMS_REF(StreamParams) p) const { return tile < p.n_tiles; }
  GPU_FN void advance(GPU_PARAMS_REF(StreamParams) p) {
    ++step;
    if (++chunk * kSuperSlots < p.product.n_super) return;
    chunk = 0;
    tile += p.n_blocks;
  }
  /// Blocks of a row.
  GPU_FN int32_t n_super(GPU_PARAMS_REF(StreamParams) p) const {
    const int32_t n_left = p.product.n_super - chunk * kSuperSlots;
    return n_left < kSuperSlots ? n_left : kSuperSlots;
  }
};

/// The shared memory of a block.
template <typename Block, int kTokens>
struct StreamMemory {
  using Shape = StreamShape<Block, kTokens>;

  SharedPtr<uint8_t> bytes;
  SharedPtr<uint64_t> barriers;

  GPU_FN SharedPtr<uint8_t> stage(int32_t step) const { return bytes + step % Shape::kStages * Shape::kStageBytes; }
  GPU_FN SharedPtr<float> scratch(int32_t round, int32_t group) const {
    return floats_at(bytes + Shape::kStages * Shape::kStageBytes + round % Shape::kScratches * Shape::kScratchBytes) +
           group * Shape::kGroupSums;
  }
  GPU_FN SharedPtr<uint64_t> is_there(int32_t step) const { return barriers + step % Shape::kStages; }
  GPU_FN SharedPtr<uint64_t> is_free(int32_t step) const {
    return barriers + kStreamMostStages + step % Shape::kStages;
  }
  GPU_FN SharedPtr<uint64_t> sums_are_there(int32_t group) const { return barriers + 2 * kStreamMostStages + group; }
  GPU_FN SharedPtr<uint64_t> all_are_there() const { return barriers + 2 * kStreamMostStages + kStreamGroups; }
  /// What is there of one token.
  GPU_FN SharedPtr<uint8_t> one() const { return bytes + (Shape::kSharedBytes - Shape::kOneBytes); }
  /// How often a stage was used before, as what wait_for asks for.
  GPU_FN uint32_t parity(int32_t step) const { return uint32_t(step / Shape::kStages % 2); }
};

/// The three matrices, or a gated pair and no third, as bytes, and the activations: see SuperInput, or of one token
/// floats.
struct StreamSource {
  DevicePtr<const uint8_t> weights[kSuperMatrices];
  SuperInput x;
  DevicePtr<const float> values, norm_weight;
};

/// The warp that copies.
template <typename Block, int kTokens, bool kIsGated>
struct StreamProducer {
  using Shape = StreamShape<Block, kTokens>;

  GPU_LOCAL const StreamMemory<Block, kTokens>& memory;
  GPU_LOCAL const StreamSource& source;
  GPU_PARAMS_REF(StreamParams) p;
  int32_t lane;

  /// A row each, and what the stage has to wait for; the last row again where there are none.
  GPU_FN void copy_weights(GPU_LOCAL const StreamStep& s) const {
    const int32_t n = s.n_super(p);
    if (lane == 0) {
      const int32_t n_of_token = Shape::kIsOne ? 0 : p.product.n_tokens * (256 + 32 + Shape::kSumBytes);
      arrive_and_expect(memory.is_there(s.step), uint32_t(n * (kStreamRows * Shape::kBlockBytes + n_of_token)));
    }
    warp_barrier();
    SuperPlace place = {lane / kSuperMmaRows, s.tile};
    int32_t row = s.tile * kSuperMmaRows + lane % kSuperMmaRows;
    if (!kIsGated) {
      place = super_place(p.product, s.tile, kStreamRows);
      row = place.block * kStreamRows + lane;
    }
    const int32_t n_rows = p.product.n_rows[place.matrix];
    const int64_t first = int64_t(row < n_rows ? row : n_rows - 1) * p.product.n_super + s.chunk * kSuperSlots;
    const DevicePtr<const uint8_t> weight = place.matrix == 0   ? source.weights[0]
                                            : place.matrix == 1 ? source.weights[1]
                                                                : source.weights[2];
    copy_bulk(memory.stage(s.step) + lane * Shape::kRowPitch, weight + first * Shape::kBlockBytes,
              uint32_t(n * Shape::kBlockBytes), memory.is_there(s.step));
  }

  /// A token each.
  GPU_FN void copy_activations(GPU_LOCAL const StreamStep& s) const {
    if (Shape::kIsOne || lane >= p.product.n_tokens) return;
    const int64_t first = int64_t(lane) * p.product.n_super + s.chunk * kSuperSlots;
    const int32_t n = s.n_super(p);
    const SharedPtr<uint8_t> stage = memory.stage(s.step);
    const SharedPtr<uint64_t> barrier = memory.is_there(s.step);
    copy_bulk(stage + Shape::kCodes + lane * Shape::kCodesPitch, bytes_of(source.x.codes) + first * 256,
              uint32_t(n * 256), barrier);
    copy_bulk(stage + Shape::kScales + lane * Shape::kScalesPitch, bytes_of(source.x.scales) + first * 32,
              uint32_t(n * 32), barrier);
    if (Shape::kSumBytes > 0)
      copy_bulk(stage + Shape::kSums + lane * Shape::kSumsPitch,
                bytes_of(StreamSums<Block>::kOfHalves ? source.x.sums : source.x.pairs) + first * Shape::kSumBytes,
                uint32_t(n * Shape::kSumBytes), barrier);
  }

  GPU_FN void run(int32_t first_tile) const {
    StreamStep weights = {first_tile, 0, 0}, activations = weights;
    for (; weights.step < Shape::kStages && weights.is_there(p); weights.advance(p)) copy_weights(weights);
    wait_for_previous();
    show_results_to_copies();
    for (; activations.step < weights.step; activations.advance(p)) copy_activations(activations);
    for (; weights.is_there(p); weights.advance(p)) {
      wait_for(memory.is_free(weights.step), memory.parity(weights.step) ^ 1u);
      copy_weights(weights);
      copy_activations(weights);
    }
  }
};

/// Activations of one block, for multiply_block: of a stage and slot.
template <typename Block, int kTokens>
struct StageInput {
  using Shape = StreamShape<Block, kTokens>;

  SharedPtr<const uint8_t> stage;
  int32_t slot, quad, place, last_token;

  GPU_FN SharedPtr<const uint32_t> codes(int32_t tile) const {
    return words_at(stage + Shape::kCodes + token(8 * tile + quad) * Shape::kCodesPitch + slot * 256);
  }
  GPU_FN SharedPtr<const float> scales(int32_t tile, int32_t i) const {
    return floats_at(stage + Shape::kScales + token(8 * tile + 2 * place + i) * Shape::kScalesPitch + slot * 32);
  }
  GPU_FN SharedPtr<const uint32_t> sums(int32_t tile, int32_t i) const {
    return words_at(stage + Shape::kSums + token(8 * tile + 2 * place + i) * Shape::kSumsPitch +
                    slot * Shape::kSumBytes);
  }
  GPU_FN SharedPtr<const uint32_t> pairs(int32_t tile, int32_t i) const { return sums(tile, i); }

 private:
  /// Tokens past the end repeat the last; nobody reads their sums.
  GPU_FN int32_t token(int32_t t) const { return t < last_token ? t : last_token; }
};

/// Of one token, wherever its activations are.
struct OneInput {
  GPU_LOCAL const SuperInput& x;
  int32_t block;

  GPU_FN DevicePtr<const uint32_t> codes(int32_t) const { return x.codes + block * 64; }
  GPU_FN DevicePtr<const float> scales(int32_t, int32_t) const { return x.scales + block * 8; }
  GPU_FN DevicePtr<const uint32_t> sums(int32_t, int32_t) const { return x.sums + block * 8; }
  GPU_FN DevicePtr<const uint32_t> pairs(int32_t, int32_t) const { return x.pairs + block * 4; }
};

struct StreamResults {
  DevicePtr<const float> biases[kSuperMatrices];
  DevicePtr<float> ys[kSuperMatrices];
};

/// The warps that multiply.
template <typename Block, int kTokens, bool kIsGated>
struct StreamConsumer {
  using Shape = StreamShape<Block, kTokens>;
  enum { kChannels = SuperTraits<Block>::kChannels };

  GPU_LOCAL const StreamMemory<Block, kTokens>& memory;
  GPU_LOCAL const StreamSource& source;
  GPU_LOCAL const StreamResults& results;
  GPU_PARAMS_REF(StreamParams) p;
  Here here;

  GPU_FN int32_t group() const { return here.warp / kSuperSlots; }
  GPU_FN int32_t slot() const { return here.warp % kSuperSlots; }
  /// Of a gated pair both groups make one result, so that they wait for each other.
  GPU_FN SharedPtr<uint64_t> sums_are_there() const { return memory.sums_are_there(kIsGated ? 0 : group()); }

  /// One token's floats, or their RMSNorm, to codes in shared memory, with the bits of residual_norm and
  /// quantize_activations.
  /// @param own_weights of the norm, at the first place of this thread
  GPU_FN SuperInput make_codes(GPU_LOCAL const float (&own_weights)[8]) const {
    const SharedPtr<uint32_t> codes = words_at(memory.one());
    const SharedPtr<float> scales = floats_at(memory.one() + kStreamColumns);
    const SharedPtr<uint32_t> sums = words_at(memory.one() + kStreamColumns / 8 * 9);
    const SharedPtr<uint32_t> pairs = words_at(memory.one() + kStreamColumns / 8 * 10);
    const int32_t width = 256 * p.product.n_super, n_steps = (width + 8 * kNormThreads - 1) / (8 * kNormThreads);
    const bool is_normed = p.fusion.input == SuperFusion::kNormed;
    float values[8], factor = 0;
    if (is_normed) {
      float sum = 0;
      for (int32_t first = 8 * here.thread_id; first < width; first += 8 * kNormThreads) {
        load_eight(values, source.values + first);
        GPU_UNROLL for (int32_t i = 0; i < 8; ++i) sum = add_square(sum, values[i]);
      }
      sum = warp_sum(sum);
      const SharedPtr<float> scratch = memory.scratch(0, 0);
      if (here.lane == 0) scratch[here.warp] = sum;
      meet_all(0);
      float total = 0;
      for (int32_t i = 0; i < kNormWarps; ++i) total += scratch[i];
      factor = norm_factor(total, width, p.fusion.eps);
    }
    for (int32_t step = 0; step < n_steps; ++step) {
      const int32_t first = 8 * (step * kNormThreads + here.thread_id);
      if (first - 8 * here.lane >= width) break;  // the whole warp: rows are multiples of 256
      load_eight(values, source.values + first);
      if (is_normed) {
        float weights[8];
        GPU_UNROLL for (int32_t i = 0; i < 8; ++i) weights[i] = own_weights[i];
        if (step > 0) load_eight(weights, source.norm_weight + first);
        GPU_UNROLL for (int32_t i = 0; i < 8; ++i) values[i] = values[i] * factor * weights[i];
      }
      quantize_eight(values, first / 8, true, SuperTraits<Block>::kIsInteger != 0, here.lane, codes, scales, sums,
                     pairs);
    }
    meet_all(is_normed ? 1 : 0);
    return {codes, scales, sums, pairs};
  }

  /// All that multiply have come here. @param n how often before
  GPU_FN void meet_all(int32_t n) const {
    warp_barrier();
    if (here.lane == 0) arrive(memory.all_are_there());
    wait_for(memory.all_are_there(), uint32_t(n % 2));
  }

  /// @param one the activations of one token, if it is one
  GPU_FN void multiply(GPU_LOCAL MmaSums<Block, Shape::kTiles>& sums, GPU_LOCAL const StreamStep& s,
                       GPU_LOCAL const SuperInput& one) const {
    wait_for(memory.is_there(s.step), memory.parity(s.step));
    if (slot() < s.n_super(p)) {
      const int32_t quad = here.lane / 4, place = here.lane % 4;
      const SharedPtr<const uint8_t> stage = memory.stage(s.step);
      const SharedPtr<const uint8_t> first = stage + (kSuperMmaRows * group() + quad) * Shape::kRowPitch;
      MmaRow<Block> rows[2];
      load_row(rows[0], block_at<Block>(first, slot()), place);
      load_row(rows[1], block_at<Block>(first + 8 * Shape::kRowPitch, slot()), place);
      if (Shape::kIsOne)
        multiply_block(sums, rows, OneInput{one, s.chunk * kSuperSlots + slot()}, place);
      else
        multiply_block(sums, rows, StageInput<Block, kTokens>{stage, slot(), quad, place, p.product.n_tokens - 1},
                       place);
    }
    warp_barrier();  // all lanes have read
    if (here.lane == 0) arrive(memory.is_free(s.step));
  }

  /// All warps whose sums make a result have come here.
  GPU_FN void meet(GPU_LOCAL int32_t& n_meetings) const {
    warp_barrier();
    if (here.lane == 0) arrive(sums_are_there());
    wait_for(sums_are_there(), uint32_t(n_meetings % 2));
    ++n_meetings;
  }

  /// The slots of a channel, in the order of superblock_matvec. @param sums [kSuperSlots, 16, 8]
  GPU_FN float add_slots(SharedPtr<const float> sums, int32_t output) const {
    float slots[kSuperSlots];
    GPU_UNROLL for (int32_t s = 0; s < kSuperSlots; ++s) slots[s] = sums[s * kSuperMmaRows * 8 + output];
    GPU_UNROLL for (int32_t distance = kSuperSlots / 2; distance > 0; distance /= 2) {
      GPU_UNROLL for (int32_t s = 0; s < distance; ++s) slots[s] += slots[s + distance];
    }
    return slots[0];
  }

  GPU_FN void store(int32_t tile, int32_t output, int32_t tile_of_tokens, float value, float up) const {
    const SuperPlace place = kIsGated ? SuperPlace{0, tile} : super_place(p.product, tile, kStreamRows);
    const int32_t n_rows = p.product.n_rows[place.matrix];
    const int32_t row = (kIsGated ? tile : place.block * kStreamGroups + group()) * kSuperMmaRows + output / 8;
    const int32_t token = 8 * tile_of_tokens + output % 8;
    if (row >= n_rows || token >= p.product.n_tokens) return;
    const DevicePtr<const float> bias = place.matrix == 0   ? results.biases[0]
                                        : place.matrix == 1 ? results.biases[1]
                                                            : results.biases[2];
    const DevicePtr<float> y = place.matrix == 0 ? results.ys[0] : place.matrix == 1 ? results.ys[1] : results.ys[2];
    if (((p.product.has_bias >> place.matrix) & 1) != 0) value += bias[row];
    if (kIsGated) {
      if (p.product.has_bias != 0) up += results.biases[1][row];
      value = gated(value, up, p.product.gate);
    }
    const int64_t at = int64_t(token) * n_rows + row;
    if (Shape::kIsOne && p.fusion.adds != 0) value = fma32(p.fusion.factor, value, float(y[at]));
    y[at] = value;
  }

  GPU_FN void finish(GPU_LOCAL const MmaSums<Block, Shape::kTiles>& sums, int32_t tile, GPU_LOCAL int32_t& n_meetings,
                     GPU_LOCAL int32_t& n_rounds) const {
    const int32_t output = here.thread_id % (32 * kSuperSlots);
    const bool has_output = output < kSuperMmaRows * 8 && !(kIsGated && group() > 0);
    GPU_UNROLL for (int32_t t = 0; t < Shape::kTiles; ++t) {
      float channels[kChannels] = {}, up_channels[kChannels] = {};
      GPU_UNROLL for (int32_t channel = 0; channel < kChannels; ++channel, ++n_rounds) {
        const SharedPtr<float> own = memory.scratch(n_rounds, group()) + slot() * kSuperMmaRows * 8;
        GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
          const int32_t row = here.lane / 4 + i / 2 * 8, token = here.lane % 4 * 2 + i % 2;
          own[row * 8 + token] = sums.values[channel][t][i];
        }
        meet(n_meetings);
        if (has_output) {
          channels[channel] = add_slots(memory.scratch(n_rounds, group()), output);
          if (kIsGated) up_channels[channel] = add_slots(memory.scratch(n_rounds, 1), output);
        }
        if (Shape::kScratches == 1) meet(n_meetings);  // before it is written again
      }
      if (has_output)
        store(tile, output, t, sum_of_channels<kChannels>(channels),
              kIsGated ? sum_of_channels<kChannels>(up_channels) : 0);
    }
  }

  GPU_FN void run(int32_t first_tile) const {
    MmaSums<Block, Shape::kTiles> sums;
    int32_t n_meetings = 0, n_rounds = 0;
    const bool is_made = Shape::kIsOne && p.fusion.input != SuperFusion::kCodes;
    float own_weights[8] = {0, 0, 0, 0, 0, 0, 0, 0};  // asked for before there is anything to norm
    if (is_made && p.fusion.input == SuperFusion::kNormed && 8 * here.thread_id < 256 * p.product.n_super)
      load_eight(own_weights, source.norm_weight + 8 * here.thread_id);
    wait_for_previous();  // which may read what this launch writes
    const SuperInput one = is_made ? make_codes(own_weights) : source.x;
    for (StreamStep s = {first_tile, 0, 0}; s.is_there(p);) {
      clear(sums);
      const int32_t tile = s.tile;
      for (; s.tile == tile; s.advance(p)) multiply(sums, s, one);
      finish(sums, tile, n_meetings, n_rounds);
    }
  }
};

#endif

/// As superblock_matvec for up to kTokens tokens: y_i [n_tokens, n_rows[i]]. Empty where there are no bulk copies.
/// Grid: n_blocks, at most n_tiles; kSharedBytes of dynamic shared memory.
/// Weights and activations begin at multiples of 16 bytes.
/// @param x_values [n_super, 256], norm_weight alike: read as p.fusion says, in place of x_codes and what belongs to it
template <typename Block, int kTokens, bool kIsGated>
GPU_KERNEL(kStreamThreads, 1)
superblock_stream(GPU_IN(0, uint8_t, weight_0), GPU_IN(1, uint8_t, weight_1), GPU_IN(2, uint8_t, weight_2),
                  GPU_RESULT(3, uint32_t, x_codes), GPU_RESULT(4, float, x_scales), GPU_RESULT(5, uint32_t, x_sums),
                  GPU_RESULT(6, uint32_t, x_pairs), GPU_RESULT(7, float, x_values), GPU_IN(8, float, norm_weight),
                  GPU_IN(9, float, bias_0), GPU_IN(10, float, bias_1), GPU_IN(11, float, bias_2),
                  GPU_IO(12, float, y_0), GPU_IO(13, float, y_1), GPU_IO(14, float, y_2),
                  GPU_PARAMS(15, StreamParams, p) GPU_GRID) {
#ifdef OUTPOST_HAS_BULK_COPIES
  using Shape = StreamShape<Block, kTokens>;
  OUTPOST_DYNAMIC_BYTES(dynamic_shared, Shape::kSharedBytes);
  GPU_SHARED(uint64_t, barriers, kStreamBarriers);
  allow_next();
  const Here here = GPU_HERE;
  const StreamMemory<Block, kTokens> memory = {dynamic_shared, barriers};
  if (here.thread_id == 0) {
    for (int32_t i = 0; i < Shape::kStages; ++i) {
      init_barrier(memory.is_there(i), 1);
      init_barrier(memory.is_free(i), kStreamConsumers);
    }
    for (int32_t group = 0; group < kStreamGroups; ++group)
      init_barrier(memory.sums_are_there(group), kIsGated ? kStreamConsumers : kSuperSlots);
    init_barrier(memory.all_are_there(), kStreamConsumers);
    publish_barriers();
  }
  block_barrier();
  const StreamSource source = {
      {weight_0, weight_1, weight_2}, {x_codes, x_scales, x_sums, x_pairs}, x_values, norm_weight};
  if (here.warp == kStreamConsumers) {
    StreamProducer<Block, kTokens, kIsGated>{memory, source, p, here.lane}.run(here.block_x);
  } else {
    const StreamResults results = {{bias_0, bias_1, bias_2}, {y_0, y_1, y_2}};
    StreamConsumer<Block, kTokens, kIsGated>{memory, source, results, p, here}.run(here.block_x);
  }
#endif
}

}  // namespace gpu
}  // namespace outpost
