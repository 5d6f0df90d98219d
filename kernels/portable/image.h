// Activations as f16 in the order and layout that products on matrix units want (kernels/cuda/gemm_mma.h and
// gemm_wgmma.h, kernels/metal/gemm_simdgroup.h): an image that a block copies to its shared memory as it is.
//
// Columns come in slices of 128, and a slice in two steps of 64. A thread of the product has, of a row of weights, the
// group of 32 whose number in the slice is its place c of four; step `half` takes elements 16 half to 16 half + 15 of
// all four groups. The matrix instruction wants columns 2c, 2c + 1, 2c + 8 and 2c + 9 of 16 from that thread: it gets
// four neighbours of the thread's group for them. A sum may be in any order, as long as both sides are in the same.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kImageStep = 64;     ///< columns of a step: a row of 128 bytes
OUTPOST_CONSTANT int kImageSlice = 128;   ///< columns that are permuted among themselves
OUTPOST_CONSTANT int kImageTokens = 256;  ///< an image has a multiple of so many rows
OUTPOST_CONSTANT int kGemmMatrices = 3;

/// Of a product of weights and an image.
struct GemmParams {
  int32_t n_rows;
  int32_t n_groups;  ///< of 32 columns, in one row
  int32_t n_tokens;
  int32_t has_bias;
};

/// Of products of up to kGemmMatrices matrices with one image.
struct GemmSetParams {
  int32_t n_rows[kGemmMatrices];  ///< 0: there is no such matrix
  int32_t n_groups;
  int32_t n_tokens;
  int32_t has_bias;  ///< a bit for each matrix
};

/// What is too large for f16 becomes its largest finite value; a NaN stays.
GPU_FN float within_half(float x) {
  const float kLargest = 65504.0f;
  if (x > kLargest) return kLargest;
  return x < -kLargest ? -kLargest : x;
}

GPU_FN int32_t image_steps(int32_t n_cols) { return (n_cols + kImageSlice - 1) / kImageSlice * 2; }
GPU_FN int32_t image_rows(int32_t n_tokens) { return (n_tokens + kImageTokens - 1) / kImageTokens * kImageTokens; }

/// Where two neighbouring columns go, of which the first is even: a word (of 32) of a step.
GPU_FN int32_t image_step(int32_t column) { return column / kImageSlice * 2 + column % 32 / 16; }
GPU_FN int32_t image_word(int32_t column) {
  const int32_t place = column % kImageSlice / 32, in_sixteen = column % 16;
  return in_sixteen / 4 * 8 + in_sixteen % 4 / 2 * 4 + place;
}

/// Where that word lies in its row: pieces of 16 bytes change places by the row, so that the rows that are read at once
/// lie in different banks (the 128-byte swizzle of the PTX ISA's shared memory matrix layouts).
GPU_FN int32_t image_place(int32_t row, int32_t word) { return (word / 4 ^ row % 8) * 4 + word % 4; }

/// Of a product of experts' weights and an image whose rows are choices (kernels/portable/expert_rows.h).
struct ExpertGemmParams {
  GemmParams product;  ///< n_rows and n_groups of one expert; n_tokens: expert_rows
  int32_t has_slots;   ///< 0: all experts are resident
  int32_t round;       ///< whose experts are computed
};

/// Where a product puts the result of row t of an image, up to `end`: as row of(t).
struct TokenRows {
  int32_t end;
  GPU_FN int32_t of(int32_t t) const { return t; }
};
struct ChoiceRows {
  DevicePtr<const int32_t> rows;  ///< as arrange_choices leaves them
  int32_t end;
  GPU_FN int32_t of(int32_t t) const { return rows[t]; }
};

}  // namespace gpu
}  // namespace outpost
