// Products of quantized weights with many tokens on the int8 matrix units, with the bits of matvec: integers inside a
// group are exact, a group's value is rounded by group_product, and sums go the way of matvec's 32 slots.
//
// A block does 16 rows and kTokens tokens. Its eight warps share the columns: warp w has the groups of slots w, w + 8,
// w + 16 and w + 24, so that what warp_sum adds at distances 16 and 8 is in one thread, and the rest between warps.
#pragma once

#include "kernels/cuda/mma.h"
#include "kernels/portable/matvec.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kMatmulThreads = 256;
OUTPOST_CONSTANT int kMatmulWarps = kMatmulThreads / 32;
OUTPOST_CONSTANT int kMatmulRows = 16;
OUTPOST_CONSTANT int kMatmulSlots = 4;  ///< of a warp
/// Words of a decoded row in shared memory: a row further is four banks further, so that the words that a warp reads at
/// once (eight rows, four of each) lie in different banks.
OUTPOST_CONSTANT int kMatmulRowWords = 12;

/// y[t, row] = weight[row] * x[t] + bias[row]. Grid: (n_rows / 16, n_tokens / kTokens), rounded up.
/// @param weight [n_rows, n_groups / groups of a block], x_codes [n_tokens, n_groups, 8], x_scales and x_sums
///   [n_tokens, n_groups], bias [n_rows] or unused, y [n_tokens, n_rows]
template <typename Block, int kTokens>
GPU_KERNEL(kMatmulThreads)
matmul(GPU_IN(0, Block, weight), GPU_IN(1, uint32_t, x_codes), GPU_IN(2, float, x_scales), GPU_IN(3, uint32_t, x_sums),
       GPU_IN(4, float, bias), GPU_IO(5, float, y), GPU_PARAMS(6, MatvecParams, p) GPU_GRID) {
  constexpr int32_t kTiles = kTokens / 8, kGroups = BlockTraits<Block>::kGroups;
  GPU_SHARED(uint32_t, codes, kMatmulWarps * kMatmulRows * kMatmulRowWords);
  GPU_SHARED(float, factors, kMatmulWarps* kMatmulRows * 4);  // scales and offsets of the halves
  GPU_SHARED(float, parts, kMatmulWarps * 32 * 4);
  const Here here = GPU_HERE;
  const int32_t row = here.block_x * kMatmulRows, token = here.block_y * kTokens;
  const int32_t quad = here.lane / 4, place = here.lane % 4;
  const SharedPtr<uint32_t> warp_codes = codes + here.warp * kMatmulRows * kMatmulRowWords;
  const SharedPtr<float> warp_factors = factors + here.warp * kMatmulRows * 4;
  const int64_t n_blocks = p.n_groups / kGroups;

  float sums[kMatmulSlots][kTiles][4];
  GPU_UNROLL for (int32_t slot = 0; slot < kMatmulSlots; ++slot) {
    GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) sums[slot][tile][i] = 0;
    }
  }
  for (int32_t first = here.warp; first < p.n_groups; first += 32) {
    GPU_UNROLL for (int32_t slot = 0; slot < kMatmulSlots; ++slot) {
      const int32_t g = first + slot * kMatmulWarps;
      if (g < p.n_groups) {  // the whole warp
        if (here.lane < kMatmulRows) {
          const int64_t at = row + here.lane < p.n_rows ? row + here.lane : p.n_rows - 1;
          const Group group = decode_group(weight[at * n_blocks + g / kGroups], g % kGroups);
          GPU_UNROLL for (int32_t w = 0; w < 8; ++w) warp_codes[here.lane * kMatmulRowWords + w] = group.codes[w];
          GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
            warp_factors[here.lane * 4 + part] = group.scale[part];
            warp_factors[here.lane * 4 + 2 + part] = group.offset[part];
          }
        }
        warp_barrier();
        Group halves[2];  // factors of rows quad and quad + 8; codes are not used
        uint32_t a[2][2];
        GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
          const int32_t own_row = quad + 8 * i;
          GPU_UNROLL for (int32_t part = 0; part < 2; ++part) {
            a[i][part] = warp_codes[own_row * kMatmulRowWords + 4 * part + place];
            halves[i].scale[part] = warp_factors[own_row * 4 + part];
            halves[i].offset[part] = warp_factors[own_row * 4 + 2 + part];
          }
        }
        GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
          // A lane loads words of the column `quad` of B, and the scales of the two columns of its sums.
          const int32_t loaded = token + 8 * tile + quad;
          uint32_t b[2] = {0, 0};
          if (loaded < p.n_tokens) {
            const int64_t x_group = int64_t(loaded) * p.n_groups + g;
            b[0] = x_codes[x_group * 8 + place];
            b[1] = x_codes[x_group * 8 + 4 + place];
          }
          const MmaSum zero = {{0, 0, 0, 0}};
          const MmaSum in_first = mma_s8(zero, a[0][0], a[1][0], b[0]);
          const MmaSum in_second = mma_s8(zero, a[0][1], a[1][1], b[1]);
          GPU_UNROLL for (int32_t column = 0; column < 2; ++column) {
            const int32_t t = token + 8 * tile + 2 * place + column;
            if (t < p.n_tokens) {
              const int64_t x_group = int64_t(t) * p.n_groups + g;
              const float scale = x_scales[x_group];
              const uint32_t code_sums = BlockTraits<Block>::kHasOffset ? uint32_t(x_sums[x_group]) : 0u;
              GPU_UNROLL for (int32_t i = 0; i < 2; ++i) sums[slot][tile][2 * i + column] += group_product<Block>(
                  halves[i], in_first.values[2 * i + column], in_second.values[2 * i + column], scale, code_sums);
            }
          }
        }
        warp_barrier();
      }
    }
  }

  GPU_UNROLL for (int32_t tile = 0; tile < kTiles; ++tile) {
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
      const float pair = (sums[0][tile][i] + sums[2][tile][i]) + (sums[1][tile][i] + sums[3][tile][i]);
      parts[(here.warp * 32 + here.lane) * 4 + i] = pair;
    }
    block_barrier();
    if (here.warp < 4) {  // one value for each thread of four warps, of the lane and place that it stands for
      const int32_t i = here.warp;
      float halves[4];
      GPU_UNROLL for (int32_t w = 0; w < 4; ++w) halves[w] =
          parts[(w * 32 + here.lane) * 4 + i] + parts[((w + 4) * 32 + here.lane) * 4 + i];
      const float sum = (halves[0] + halves[2]) + (halves[1] + halves[3]);
      const int32_t own_row = row + quad + 8 * (i / 2), t = token + 8 * tile + 2 * place + i % 2;
      if (own_row < p.n_rows && t < p.n_tokens)
        y[int64_t(t) * p.n_rows + own_row] = sum + (p.has_bias ? float(bias[own_row]) : 0.0f);
    }
    block_barrier();
  }
}

}  // namespace gpu
}  // namespace outpost
