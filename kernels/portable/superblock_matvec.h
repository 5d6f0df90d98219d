// One token's products with the blocks of superblock.h: decode, where a GPU does little else than read weights. A warp
// does two rows, four lanes share a block, and each asks for its next blocks before it computes with these.
#pragma once

#include "kernels/portable/gate.h"
#include "kernels/portable/prefetch.h"
#include "kernels/portable/reduce.h"
#include "kernels/portable/superblock.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kSuperThreads = 128;
/// Rows of a warp, and of a block of threads.
OUTPOST_CONSTANT int kSuperRows = 2;
OUTPOST_CONSTANT int kSuperBlockRows = kSuperThreads / 32 * kSuperRows;
/// Matrices with the same input that one launch multiplies by, one after the other.
OUTPOST_CONSTANT int kSuperMatrices = 3;

/// What a product of one token does besides, in place of launches before and after it. By kSuperBulkCopies alone.
struct SuperFusion {
  enum { kCodes, kValues, kNormed };
  int32_t input;  ///< as codes; as floats that become codes; as floats of which the RMSNorm's codes are taken
  float eps;      ///< of the norm
  int32_t adds;   ///< y += factor * product
  float factor;
};

/// By which kernels: superblock_matvec and superblock_mma, which load weights by themselves, or superblock_stream,
/// where the device has it. The bits are the same.
enum SuperPath { kSuperAny, kSuperRegisters, kSuperBulkCopies };

struct SuperParams {
  int32_t n_rows[kSuperMatrices];  ///< 0: there is no such matrix
  int32_t n_super;                 ///< blocks in a row
  int32_t n_tokens;
  int32_t has_bias;  ///< of matrix i: bit i
  int32_t gate;  ///< kind of the gate (gate.h): matrices 0 and 1 are gate and up, and y[0] what the gate makes of both
};

/// The matrix that a block of threads works on, and its place among those of that matrix.
struct SuperPlace {
  int32_t matrix, block;
};

GPU_FN SuperPlace super_place(GPU_PARAMS_REF(SuperParams) p, int32_t block, int32_t rows_of_block) {
  SuperPlace place = {0, block};
  for (int32_t i = 0; i < kSuperMatrices - 1; ++i) {
    const int32_t n_blocks = (p.n_rows[i] + rows_of_block - 1) / rows_of_block;
    if (place.matrix == i && place.block >= n_blocks) place = {i + 1, place.block - n_blocks};
  }
  return place;
}

/// The sums of a warp's two rows of blocks, in every lane.
template <typename Block>
GPU_FN void multiply_two_rows(GPU_LOCAL float (&results)[2], DevicePtr<const Block> first,
                              DevicePtr<const Block> second, GPU_LOCAL const SuperInput& x, int32_t n_super,
                              int32_t lane) {
  enum { kChannels = SuperTraits<Block>::kChannels };
  const int32_t quarter = lane % 4, slot = lane / 4;
  Quarter<Block> rows[2] = {}, next[2] = {};
  if (slot < n_super) {
    load_quarter(rows[0], first[slot], quarter);
    load_quarter(rows[1], second[slot], quarter);
  }
  prefetch_row(first, kSuperSlots, n_super, kPrefetchBytes / 2, lane);
  prefetch_row(second, kSuperSlots, n_super, kPrefetchBytes / 2, lane);
  wait_for_previous();
  float sums[2] = {0, 0};
  for (int32_t begin = 0; begin < n_super; begin += kSuperSlots) {
    const int32_t block = begin + slot;
    if (block + kSuperSlots < n_super) {
      load_quarter(next[0], first[block + kSuperSlots], quarter);
      load_quarter(next[1], second[block + kSuperSlots], quarter);
    }
    SuperPart parts[2] = {{0, 0}, {0, 0}};
    float x_scale = 0;
    if (block < n_super) {
      const int32_t first = first_group<Block>(quarter), second = second_group<Block>(quarter);
      QuarterInput input;
      load_group(input.first, x.codes + (int64_t(block) * 8 + first) * 8);
      load_group(input.second, x.codes + (int64_t(block) * 8 + second) * 8);
      add_quarters(sums, parts, rows, quarter, input, x, block);
      x_scale = x.scales[int64_t(block) * 8];
    }
    if (SuperTraits<Block>::kIsInteger) {
      // Lane 0 of four gets the first row's products, lane 1 its mins, lanes 2 and 3 the second row's.
      const bool is_second = quarter >= 2, is_mins = quarter % 2 != 0;
      const int32_t products = (is_second ? parts[1].products : parts[0].products) +
                               shuffle_xor(is_second ? parts[0].products : parts[1].products, 2);
      int32_t sum;
      if (kChannels == 2) {
        const int32_t mins =
            (is_second ? parts[1].mins : parts[0].mins) + shuffle_xor(is_second ? parts[0].mins : parts[1].mins, 2);
        sum = (is_mins ? mins : products) + shuffle_xor(is_mins ? products : mins, 1);
      } else {
        sum = products + shuffle_xor(products, 1);
      }
      const float scale = is_second ? super_scale(rows[1], is_mins) : super_scale(rows[0], is_mins);
      if (block < n_super) sums[0] = fma32(scale * x_scale, float(sum), sums[0]);
    }
    rows[0] = next[0];
    rows[1] = next[1];
  }
  GPU_UNROLL for (int32_t distance = 16; distance >= 4; distance /= 2) {
    sums[0] += shuffle_xor(sums[0], distance);
    if (!SuperTraits<Block>::kIsInteger) sums[1] += shuffle_xor(sums[1], distance);
  }
  if (kChannels == 4) {
    GPU_UNROLL for (int32_t r = 0; r < 2; ++r) {
      sums[r] += shuffle_xor(sums[r], 2);
      results[r] = sums[r] + shuffle_xor(sums[r], 1);
    }
  } else {
    const float total = kChannels == 2 ? sums[0] + shuffle_xor(sums[0], 1) : sums[0];
    results[0] = shuffle(total, 0);
    results[1] = shuffle(total, 2);
  }
}

/// y[matrix][row] = weight[matrix][row] * x + bias[matrix][row], for up to three matrices; or with kIsGated
/// y[0][row] = gate function of gate[row] * x + gate_bias[row] and up[row] * x + up_bias[row].
/// Grid: blocks of kSuperBlockRows rows of each matrix; gated: of kSuperBlockRows / 2.
/// @param weight_i [n_rows[i], n_super]; x: see SuperInput, of one token; bias_i, y_i [n_rows[i]]
template <typename Block, bool kIsGated>
GPU_KERNEL(kSuperThreads)
superblock_matvec(GPU_IN(0, Block, weight_0), GPU_IN(1, Block, weight_1), GPU_IN(2, Block, weight_2),
                  GPU_RESULT(3, uint32_t, x_codes), GPU_RESULT(4, float, x_scales), GPU_RESULT(5, uint32_t, x_sums),
                  GPU_RESULT(6, uint32_t, x_pairs), GPU_IN(7, float, bias_0), GPU_IN(8, float, bias_1),
                  GPU_IN(9, float, bias_2), GPU_IO(10, float, y_0), GPU_IO(11, float, y_1), GPU_IO(12, float, y_2),
                  GPU_PARAMS(13, SuperParams, p) GPU_GRID) {
  allow_next();
  const Here here = GPU_HERE;
  const SuperInput x = {x_codes, x_scales, x_sums, x_pairs};
  float sums[2];
  if (kIsGated) {
    const int32_t row = here.block_x * (kSuperBlockRows / 2) + here.warp;
    if (row >= p.n_rows[0]) return;  // the whole warp
    multiply_two_rows(sums, weight_0 + int64_t(row) * p.n_super, weight_1 + int64_t(row) * p.n_super, x, p.n_super,
                      here.lane);
    if (here.lane == 0) {
      const float gate = sums[0] + (p.has_bias != 0 ? float(bias_0[row]) : 0.0f);
      const float up = sums[1] + (p.has_bias != 0 ? float(bias_1[row]) : 0.0f);
      y_0[row] = gated(gate, up, p.gate);
    }
  } else {
    const SuperPlace place = super_place(p, here.block_x, kSuperBlockRows);
    const int32_t n_rows = p.n_rows[place.matrix];
    const int32_t row = place.block * kSuperBlockRows + here.warp * kSuperRows;
    if (row >= n_rows) return;  // the whole warp
    const DevicePtr<const Block> weight = place.matrix == 0 ? weight_0 : place.matrix == 1 ? weight_1 : weight_2;
    const DevicePtr<const Block> first = weight + int64_t(row) * p.n_super;
    multiply_two_rows(sums, first, row + 1 < n_rows ? first + p.n_super : first, x, p.n_super, here.lane);
    if (here.lane < kSuperRows && row + here.lane < n_rows) {
      const DevicePtr<const float> bias = place.matrix == 0 ? bias_0 : place.matrix == 1 ? bias_1 : bias_2;
      const DevicePtr<float> y = place.matrix == 0 ? y_0 : place.matrix == 1 ? y_1 : y_2;
      const bool has_bias = ((p.has_bias >> place.matrix) & 1) != 0;
      y[row + here.lane] = (here.lane == 0 ? sums[0] : sums[1]) + (has_bias ? float(bias[row + here.lane]) : 0.0f);
    }
  }
}

}  // namespace gpu
}  // namespace outpost
