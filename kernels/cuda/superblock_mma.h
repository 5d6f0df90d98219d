// Products of the blocks of superblock.h with 2 to 16 tokens on the int8 matrix units, with the bits of
// superblock_matvec. superblock_stream.h is for devices with bulk copies, this for those without.
//
// A block of threads does 16 rows. Its eight warps share the columns: warp w has the blocks of slot w.
#pragma once

#include "kernels/cuda/superblock_tile.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kSuperMmaThreads = 256;

/// Where a lane's activations lie.
template <int kTiles>
struct MmaTokens {
  int64_t loaded[kTiles];     ///< of the token whose codes it loads for the matrix units: first block
  int64_t summed[kTiles][2];  ///< of the tokens whose sums it has
};

/// Those of one block, for multiply_block.
template <int kTiles>
struct BlockInput {
  GPU_LOCAL const SuperInput& x;
  GPU_LOCAL const MmaTokens<kTiles>& tokens;
  int32_t block;

  GPU_FN DevicePtr<const uint32_t> codes(int32_t tile) const { return x.codes + (tokens.loaded[tile] + block) * 64; }
  GPU_FN DevicePtr<const float> scales(int32_t tile, int32_t i) const { return x.scales + at(tile, i) * 8; }
  GPU_FN DevicePtr<const uint32_t> sums(int32_t tile, int32_t i) const { return x.sums + at(tile, i) * 8; }
  GPU_FN DevicePtr<const uint32_t> pairs(int32_t tile, int32_t i) const { return x.pairs + at(tile, i) * 4; }

 private:
  GPU_FN int64_t at(int32_t tile, int32_t i) const { return tokens.summed[tile][i] + block; }
};

/// A warp's blocks of 16 rows. @param is_first whether nobody has waited for the launch before this one yet
template <typename Block, int kTiles>
GPU_FN void multiply_slot(GPU_LOCAL MmaSums<Block, kTiles>& sums, DevicePtr<const Block> first,
                          DevicePtr<const Block> second, GPU_LOCAL const SuperInput& x,
                          GPU_LOCAL const MmaTokens<kTiles>& tokens, int32_t n_super, int32_t warp, int32_t place,
                          bool is_first) {
  clear(sums);
  MmaRow<Block> rows[2] = {}, next[2] = {};
  if (warp < n_super) {
    load_row(rows[0], first[warp], place);
    load_row(rows[1], second[warp], place);
  }
  if (is_first) {
    // Eight warps and four lanes share a row.
    prefetch_row(first, kSuperSlots, n_super, kPrefetchBytes / 2, 4 * warp + place);
    prefetch_row(second, kSuperSlots, n_super, kPrefetchBytes / 2, 4 * warp + place);
    wait_for_previous();
  }
  for (int32_t block = warp; block < n_super; block += kSuperSlots) {
    if (block + kSuperSlots < n_super) {
      load_row(next[0], first[block + kSuperSlots], place);
      load_row(next[1], second[block + kSuperSlots], place);
    }
    multiply_block(sums, rows, BlockInput<kTiles>{x, tokens, block}, place);
    rows[0] = next[0];
    rows[1] = next[1];
  }
}

/// The slots of all warps, in the order of superblock_matvec: thread t gets the sum of row t / (8 * kTiles), token
/// t % (8 * kTiles). @param scratch [kSuperSlots, 16, 8 * kTiles]
template <typename Block, int kTiles>
GPU_FN float add_slots(GPU_LOCAL const MmaSums<Block, kTiles>& sums, SharedPtr<float> scratch, Here here) {
  enum { kChannels = SuperTraits<Block>::kChannels };
  const int32_t kColumns = 8 * kTiles, kOutputs = kSuperMmaRows * kColumns;
  float channels[kChannels];
  GPU_UNROLL for (int32_t channel = 0; channel < kChannels; ++channel) {
    GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
        const int32_t row = here.lane / 4 + i / 2 * 8, token = 8 * tile + here.lane % 4 * 2 + i % 2;
        scratch[here.warp * kOutputs + row * kColumns + token] = sums.values[channel][tile][i];
      }
    }
    block_barrier();
    channels[channel] = 0;
    if (here.thread_id < kOutputs) {
      float slots[kSuperSlots];
      GPU_UNROLL for (int32_t slot = 0; slot < kSuperSlots; ++slot) slots[slot] =
          scratch[slot * kOutputs + here.thread_id];
      GPU_UNROLL for (int32_t distance = kSuperSlots / 2; distance > 0; distance /= 2) {
        GPU_UNROLL for (int32_t slot = 0; slot < distance; ++slot) slots[slot] += slots[slot + distance];
      }
      channels[channel] = slots[0];
    }
    block_barrier();
  }
  return sum_of_channels<kChannels>(channels);
}

/// As superblock_matvec for up to 8 * kTiles tokens: y_i [n_tokens, n_rows[i]].
/// Grid: blocks of 16 rows of each matrix; gated: of y.
template <typename Block, int kTiles, bool kIsGated>
GPU_KERNEL(kSuperMmaThreads)
superblock_mma(GPU_IN(0, Block, weight_0), GPU_IN(1, Block, weight_1), GPU_IN(2, Block, weight_2),
               GPU_RESULT(3, uint32_t, x_codes), GPU_RESULT(4, float, x_scales), GPU_RESULT(5, uint32_t, x_sums),
               GPU_RESULT(6, uint32_t, x_pairs), GPU_IN(7, float, bias_0), GPU_IN(8, float, bias_1),
               GPU_IN(9, float, bias_2), GPU_IO(10, float, y_0), GPU_IO(11, float, y_1), GPU_IO(12, float, y_2),
               GPU_PARAMS(13, SuperParams, p) GPU_GRID) {
  const int32_t kColumns = 8 * kTiles;
  GPU_SHARED(float, scratch, kSuperSlots* kSuperMmaRows * 8 * kTiles);
  allow_next();
  const Here here = GPU_HERE;
  const SuperPlace place = kIsGated ? SuperPlace{0, here.block_x} : super_place(p, here.block_x, kSuperMmaRows);
  const int32_t n_rows = p.n_rows[place.matrix], row = place.block * kSuperMmaRows;
  const int32_t quad = here.lane / 4, column = here.lane % 4;
  const int64_t rows[2] = {row + quad < n_rows ? row + quad : n_rows - 1,
                           row + quad + 8 < n_rows ? row + quad + 8 : n_rows - 1};
  MmaTokens<kTiles> tokens;
  GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
    // Tokens past the end repeat the last; nobody reads their sums.
    const int32_t last = p.n_tokens - 1, loaded = 8 * tile + quad;
    tokens.loaded[tile] = int64_t(loaded < last ? loaded : last) * p.n_super;
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
      const int32_t summed = 8 * tile + 2 * column + i;
      tokens.summed[tile][i] = int64_t(summed < last ? summed : last) * p.n_super;
    }
  }
  const SuperInput x = {x_codes, x_scales, x_sums, x_pairs};
  const DevicePtr<const Block> weight = place.matrix == 0 ? weight_0 : place.matrix == 1 ? weight_1 : weight_2;
  MmaSums<Block, kTiles> sums;
  multiply_slot(sums, weight + rows[0] * p.n_super, weight + rows[1] * p.n_super, x, tokens, p.n_super, here.warp,
                column, true);
  float value = add_slots(sums, scratch, here), up = 0;
  if (kIsGated) {
    multiply_slot(sums, weight_1 + rows[0] * p.n_super, weight_1 + rows[1] * p.n_super, x, tokens, p.n_super, here.warp,
                  column, false);
    up = add_slots(sums, scratch, here);
  }
  const int32_t own_row = row + here.thread_id / kColumns, token = here.thread_id % kColumns;
  if (here.thread_id >= kSuperMmaRows * kColumns || own_row >= n_rows || token >= p.n_tokens) return;
  const DevicePtr<const float> bias = place.matrix == 0 ? bias_0 : place.matrix == 1 ? bias_1 : bias_2;
  if (((p.has_bias >> place.matrix) & 1) != 0) value += bias[own_row];
  if (kIsGated) {
    if (p.has_bias != 0) up += bias_1[own_row];
    value = gated(value, up, p.gate);
  }
  const DevicePtr<float> y = place.matrix == 0 ? y_0 : place.matrix == 1 ? y_1 : y_2;
  y[int64_t(token) * n_rows + own_row] = value;
}

}  // namespace gpu
}  // namespace outpost
