// A warp's work of superblock_mma and superblock_stream: a block of 16 rows, times up to 16 tokens, on the int8 matrix
// units. Inside a group of 32 columns the order does not matter, so a lane takes the bytes that lie side by side: of
// Q4_K, Q5_K and Q8_0 columns 8c to 8c + 7 (c = lane % 4, its place), of Q6_K, which has a scale for each 16 columns,
// 4c to 4c + 3 of both halves. Its rows are lane / 4, its quad, and the one eight further.
#pragma once

#include "kernels/cuda/mma.h"
#include "kernels/portable/superblock_matvec.h"

namespace outpost {
namespace gpu {

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

template <typename Block, int kTiles>
GPU_FN void clear(GPU_LOCAL MmaSums<Block, kTiles>& sums) {
  GPU_UNROLL for (int32_t channel = 0; channel < SuperTraits<Block>::kChannels; ++channel) {
    GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) sums.values[channel][tile][i] = 0;
    }
  }
}

// ---- adds a block of the lane's rows, quad and quad + 8, to the sums.
// Input says where activations of this block are: codes(tile), the 64 words of token 8 * tile + quad; scales, sums and
// pairs(tile, i), those of token 8 * tile + 2 * place + i.

template <typename Block, int kTiles, typename Input>
GPU_FN void multiply_k4_block(GPU_LOCAL MmaSums<Block, kTiles>& sums, GPU_LOCAL const MmaRow<Block> (&rows)[2],
                              GPU_LOCAL const Input& x, int32_t place) {
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
      const Words2 b = load_words2(x.codes(tile) + 8 * g + 2 * place);
      const MmaSum zero = {{0, 0, 0, 0}};
      const MmaSum sum = mma_s8(zero, a.x, a8.x, a.y, a8.y, b.x, b.y);
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) products[tile][i] += scale[i / 2] * sum.values[i];
    }
  }
  GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
    GPU_UNROLL for (int32_t column = 0; column < 2; ++column) {
      const Words4 pairs = load_words4(x.pairs(tile, column));
      const float x_scale = x.scales(tile, column)[0];
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

template <int kTiles, typename Input>
GPU_FN void multiply_block(GPU_LOCAL MmaSums<BlockQ4_K, kTiles>& sums, GPU_LOCAL const MmaRow<BlockQ4_K> (&rows)[2],
                           GPU_LOCAL const Input& x, int32_t place) {
  multiply_k4_block(sums, rows, x, place);
}
template <int kTiles, typename Input>
GPU_FN void multiply_block(GPU_LOCAL MmaSums<BlockQ5_K, kTiles>& sums, GPU_LOCAL const MmaRow<BlockQ5_K> (&rows)[2],
                           GPU_LOCAL const Input& x, int32_t place) {
  multiply_k4_block(sums, rows, x, place);
}

template <int kTiles, typename Input>
GPU_FN void multiply_block(GPU_LOCAL MmaSums<WideQ6_K, kTiles>& sums, GPU_LOCAL const MmaRow<WideQ6_K> (&rows)[2],
                           GPU_LOCAL const Input& x, int32_t place) {
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
        const uint32_t b = x.codes(tile)[8 * g + 4 * half + place];
        const MmaSum zero = {{0, 0, 0, 0}};
        const MmaSum sum = mma_s8(zero, a, a8, b);
        GPU_UNROLL for (int32_t i = 0; i < 4; ++i) products[tile][i] += scale[i / 2] * sum.values[i];
      }
    }
  }
  GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
    GPU_UNROLL for (int32_t column = 0; column < 2; ++column) {
      const Words4 x_sums[2] = {load_words4(x.sums(tile, column)), load_words4(x.sums(tile, column) + 4)};
      const float x_scale = x.scales(tile, column)[0];
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

template <int kTiles, typename Input>
GPU_FN void multiply_block(GPU_LOCAL MmaSums<WideQ8_0, kTiles>& sums, GPU_LOCAL const MmaRow<WideQ8_0> (&rows)[2],
                           GPU_LOCAL const Input& x, int32_t place) {
  GPU_UNROLL for (int32_t g = 0; g < 8; ++g) {
    const Words2 a = rows[0].codes[g], a8 = rows[1].codes[g];
    float d[2];
    GPU_UNROLL for (int32_t r = 0; r < 2; ++r) d[r] =
        float_of_half(uint16_t(word_at(&rows[r].d, g / 2) >> (16 * (g % 2))));
    GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
      const Words2 b = load_words2(x.codes(tile) + 8 * g + 2 * place);
      const MmaSum zero = {{0, 0, 0, 0}};
      const MmaSum sum = mma_s8(zero, a.x, a8.x, a.y, a8.y, b.x, b.y);
      GPU_UNROLL for (int32_t column = 0; column < 2; ++column) {
        const float x_scale = x.scales(tile, column)[g];
        GPU_UNROLL for (int32_t r = 0; r < 2; ++r) {
          const int32_t i = 2 * r + column;
          sums.values[g / 2][tile][i] = fma32(d[r] * x_scale, float(sum.values[i]), sums.values[g / 2][tile][i]);
        }
      }
    }
  }
}

}  // namespace gpu
}  // namespace outpost
