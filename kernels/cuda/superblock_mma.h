// Products of the blocks of superblock.h with 2 to 16 tokens on the int8 matrix units, with the bits of
// superblock_matvec: verifying drafts should cost no more than reading the weights once.
//
// A block of threads does 16 rows. Its eight warps share the columns: warp w has the blocks of slot w. Inside a group
// of 32 columns the order does not matter, so a lane takes the bytes that lie side by side: of Q4_K, Q5_K and Q8_0
// columns 8c to 8c + 7 (c = lane % 4), of Q6_K, which has a scale for each 16 columns, 4c to 4c + 3 of both halves.
#pragma once

#include "kernels/cuda/mma.h"
#include "kernels/portable/superblock_matvec.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kSuperMmaThreads = 256;
OUTPOST_CONSTANT int kSuperMmaRows = 16;

/// A lane's part of one block of one row.
template <typename Block>
struct MmaRow;

template <>
struct MmaRow<BlockQ4_K> {
  Words4 head;
  Words2 codes[4];
};
template <>
struct MmaRow<BlockQ5_K> {
  Words4 head;
  Words2 codes[4], high;
};
template <>
struct MmaRow<WideQ6_K> {
  Words4 scales;
  uint32_t codes[4][2], high[2][2], d;
};
template <>
struct MmaRow<WideQ8_0> {
  Words4 d;
  Words2 codes[8];
};

GPU_FN void load_row(GPU_LOCAL MmaRow<BlockQ4_K>& r, GPU_BLOCK_REF(BlockQ4_K) block, int32_t place) {
  r.head = load_bytes16(reinterpret_cast<BlockBytes>(&block));
  GPU_UNROLL for (int32_t i = 0; i < 4; ++i) r.codes[i] = load_bytes8(block.qs + 32 * i + 8 * place);
}
GPU_FN void load_row(GPU_LOCAL MmaRow<BlockQ5_K>& r, GPU_BLOCK_REF(BlockQ5_K) block, int32_t place) {
  r.head = load_bytes16(reinterpret_cast<BlockBytes>(&block));
  r.high = load_bytes8(block.qh + 8 * place);
  GPU_UNROLL for (int32_t i = 0; i < 4; ++i) r.codes[i] = load_bytes8(block.qs + 32 * i + 8 * place);
}
GPU_FN void load_row(GPU_LOCAL MmaRow<WideQ6_K>& r, GPU_BLOCK_REF(WideQ6_K) block, int32_t place) {
  r.scales = load_bytes16(reinterpret_cast<BlockBytes>(block.scales));
  r.d = block.d;
  GPU_UNROLL for (int32_t half = 0; half < 2; ++half) {
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) r.codes[i][half] =
        load_bytes4<4>(block.ql + 32 * i + 16 * half + 4 * place);
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) r.high[i][half] =
        load_bytes4<4>(block.qh + 32 * i + 16 * half + 4 * place);
  }
}
GPU_FN void load_row(GPU_LOCAL MmaRow<WideQ8_0>& r, GPU_BLOCK_REF(WideQ8_0) block, int32_t place) {
  r.d = load_bytes16(reinterpret_cast<BlockBytes>(block.d));
  const BlockBytes codes = reinterpret_cast<BlockBytes>(block.qs) + 8 * place;
  GPU_UNROLL for (int32_t i = 0; i < 8; ++i) r.codes[i] = load_bytes8(codes + 32 * i);
}

/// Codes of group g, the lane's first and second four columns.
GPU_FN Words2 codes_of(GPU_LOCAL const MmaRow<BlockQ4_K>& r, int32_t g) {
  const int32_t shift = 4 * (g % 2);
  return {(r.codes[g / 2].x >> shift) & 0x0f0f0f0fu, (r.codes[g / 2].y >> shift) & 0x0f0f0f0fu};
}
GPU_FN Words2 codes_of(GPU_LOCAL const MmaRow<BlockQ5_K>& r, int32_t g) {
  const int32_t shift = 4 * (g % 2);
  return {((r.codes[g / 2].x >> shift) & 0x0f0f0f0fu) | (((r.high.x >> g) & 0x01010101u) << 4),
          ((r.codes[g / 2].y >> shift) & 0x0f0f0f0fu) | (((r.high.y >> g) & 0x01010101u) << 4)};
}
/// Of Q6_K the two halves of the group.
GPU_FN uint32_t codes_of_half(GPU_LOCAL const MmaRow<WideQ6_K>& r, int32_t g, int32_t half) {
  const uint32_t low = (r.codes[g / 4 * 2 + g % 2][half] >> (g % 4 / 2 * 4)) & 0x0f0f0f0fu;
  return low | (((r.high[g / 4][half] >> (2 * (g % 4))) & 0x03030303u) << 4);
}

/// The sums of a lane: of rows quad (0, 1) and quad + 8 (2, 3), tokens 2 * place and 2 * place + 1 of each tile.
template <typename Block, int kTiles>
struct MmaSums {
  float values[SuperTraits<Block>::kChannels][kTiles][4];
};

/// Where a lane's activations lie.
template <int kTiles>
struct MmaTokens {
  int64_t loaded[kTiles];     ///< of the token whose codes it loads for the matrix units: first block
  int64_t summed[kTiles][2];  ///< of the tokens whose sums it has
};

template <typename Block, int kTiles>
GPU_FN void multiply_k4_block(GPU_LOCAL MmaSums<Block, kTiles>& sums, GPU_LOCAL const MmaRow<Block> (&rows)[2],
                              GPU_LOCAL const SuperInput& x, GPU_LOCAL const MmaTokens<kTiles>& tokens, int32_t block,
                              int32_t place) {
  ScaleBytes scales[2], mins[2];
  GPU_UNROLL for (int32_t r = 0; r < 2; ++r) {
    scales[r] = k4_scales(rows[r].head);
    mins[r] = k4_mins(rows[r].head);
  }
  int32_t products[kTiles][4];
  GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) products[tile][i] = 0;
  }
  GPU_UNROLL for (int32_t g = 0; g < 8; ++g) {
    const Words2 a = codes_of(rows[0], g), a8 = codes_of(rows[1], g);
    int32_t scale[2];
    GPU_UNROLL for (int32_t r = 0; r < 2; ++r) scale[r] = byte_of(g < 4 ? scales[r].low : scales[r].high, g % 4);
    GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
      const Words2 b = load_words2(x.codes + (tokens.loaded[tile] + block) * 64 + 8 * g + 2 * place);
      const MmaSum zero = {{0, 0, 0, 0}};
      const MmaSum sum = mma_s8(zero, a.x, a8.x, a.y, a8.y, b.x, b.y);
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) products[tile][i] += scale[i / 2] * sum.values[i];
    }
  }
  GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
    GPU_UNROLL for (int32_t column = 0; column < 2; ++column) {
      const int64_t at = tokens.summed[tile][column] + block;
      const Words4 pairs = load_words4(x.pairs + at * 4);
      const float x_scale = x.scales[at * 8];
      GPU_UNROLL for (int32_t r = 0; r < 2; ++r) {
        const int32_t i = 2 * r + column;
        int32_t of_mins = dot2_low(pairs.x, mins[r].low, 0);
        of_mins = dot2_high(pairs.y, mins[r].low, of_mins);
        of_mins = dot2_low(pairs.z, mins[r].high, of_mins);
        of_mins = dot2_high(pairs.w, mins[r].high, of_mins);
        const float d = float_of_half(uint16_t(rows[r].head.x)), dmin = float_of_half(uint16_t(rows[r].head.x >> 16));
        sums.values[0][tile][i] = fma32(d * x_scale, float(products[tile][i]), sums.values[0][tile][i]);
        sums.values[1][tile][i] = fma32(-dmin * x_scale, float(of_mins), sums.values[1][tile][i]);
      }
    }
  }
}

template <int kTiles>
GPU_FN void multiply_block(GPU_LOCAL MmaSums<BlockQ4_K, kTiles>& sums, GPU_LOCAL const MmaRow<BlockQ4_K> (&rows)[2],
                           GPU_LOCAL const SuperInput& x, GPU_LOCAL const MmaTokens<kTiles>& tokens, int32_t block,
                           int32_t place) {
  multiply_k4_block(sums, rows, x, tokens, block, place);
}
template <int kTiles>
GPU_FN void multiply_block(GPU_LOCAL MmaSums<BlockQ5_K, kTiles>& sums, GPU_LOCAL const MmaRow<BlockQ5_K> (&rows)[2],
                           GPU_LOCAL const SuperInput& x, GPU_LOCAL const MmaTokens<kTiles>& tokens, int32_t block,
                           int32_t place) {
  multiply_k4_block(sums, rows, x, tokens, block, place);
}

template <int kTiles>
GPU_FN void multiply_block(GPU_LOCAL MmaSums<WideQ6_K, kTiles>& sums, GPU_LOCAL const MmaRow<WideQ6_K> (&rows)[2],
                           GPU_LOCAL const SuperInput& x, GPU_LOCAL const MmaTokens<kTiles>& tokens, int32_t block,
                           int32_t place) {
  int32_t products[kTiles][4];
  GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) products[tile][i] = 0;
  }
  GPU_UNROLL for (int32_t g = 0; g < 8; ++g) {
    GPU_UNROLL for (int32_t half = 0; half < 2; ++half) {
      const uint32_t a = codes_of_half(rows[0], g, half), a8 = codes_of_half(rows[1], g, half);
      int32_t scale[2];
      GPU_UNROLL for (int32_t r = 0; r < 2; ++r) scale[r] =
          signed_byte_of(word_at(&rows[r].scales, g / 2), 2 * (g % 2) + half);
      GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
        const uint32_t b = x.codes[(tokens.loaded[tile] + block) * 64 + 8 * g + 4 * half + place];
        const MmaSum zero = {{0, 0, 0, 0}};
        const MmaSum sum = mma_s8(zero, a, a8, b);
        GPU_UNROLL for (int32_t i = 0; i < 4; ++i) products[tile][i] += scale[i / 2] * sum.values[i];
      }
    }
  }
  GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
    GPU_UNROLL for (int32_t column = 0; column < 2; ++column) {
      const int64_t at = tokens.summed[tile][column] + block;
      const Words4 x_sums[2] = {load_words4(x.sums + at * 8), load_words4(x.sums + at * 8 + 4)};
      const float x_scale = x.scales[at * 8];
      GPU_UNROLL for (int32_t r = 0; r < 2; ++r) {
        const int32_t i = 2 * r + column;
        int32_t offsets = 0;
        GPU_UNROLL for (int32_t g = 0; g < 8; g += 2) {
          const uint32_t bytes = word_at(&rows[r].scales, g / 2);
          offsets = dot2_low(word_at(x_sums, g), bytes, offsets);
          offsets = dot2_high(word_at(x_sums, g + 1), bytes, offsets);
        }
        const float d = float_of_half(uint16_t(rows[r].d));
        sums.values[0][tile][i] = fma32(d * x_scale, float(products[tile][i] - 32 * offsets), sums.values[0][tile][i]);
      }
    }
  }
}

template <int kTiles>
GPU_FN void multiply_block(GPU_LOCAL MmaSums<WideQ8_0, kTiles>& sums, GPU_LOCAL const MmaRow<WideQ8_0> (&rows)[2],
                           GPU_LOCAL const SuperInput& x, GPU_LOCAL const MmaTokens<kTiles>& tokens, int32_t block,
                           int32_t place) {
  GPU_UNROLL for (int32_t g = 0; g < 8; ++g) {
    const Words2 a = rows[0].codes[g], a8 = rows[1].codes[g];
    float d[2];
    GPU_UNROLL for (int32_t r = 0; r < 2; ++r) d[r] =
        float_of_half(uint16_t(word_at(&rows[r].d, g / 2) >> (16 * (g % 2))));
    GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
      const Words2 b = load_words2(x.codes + (tokens.loaded[tile] + block) * 64 + 8 * g + 2 * place);
      const MmaSum zero = {{0, 0, 0, 0}};
      const MmaSum sum = mma_s8(zero, a.x, a8.x, a.y, a8.y, b.x, b.y);
      GPU_UNROLL for (int32_t column = 0; column < 2; ++column) {
        const float x_scale = x.scales[(tokens.summed[tile][column] + block) * 8 + g];
        GPU_UNROLL for (int32_t r = 0; r < 2; ++r) {
          const int32_t i = 2 * r + column;
          sums.values[g / 2][tile][i] = fma32(d[r] * x_scale, float(sum.values[i]), sums.values[g / 2][tile][i]);
        }
      }
    }
  }
}

/// A warp's blocks of 16 rows. @param is_first whether nobody has waited for the launch before this one yet
template <typename Block, int kTiles>
GPU_FN void multiply_slot(GPU_LOCAL MmaSums<Block, kTiles>& sums, DevicePtr<const Block> first,
                          DevicePtr<const Block> second, GPU_LOCAL const SuperInput& x,
                          GPU_LOCAL const MmaTokens<kTiles>& tokens, int32_t n_super, int32_t warp, int32_t place,
                          bool is_first) {
  GPU_UNROLL for (int32_t channel = 0; channel < SuperTraits<Block>::kChannels; ++channel) {
    GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) sums.values[channel][tile][i] = 0;
    }
  }
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
    multiply_block(sums, rows, x, tokens, block, place);
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
