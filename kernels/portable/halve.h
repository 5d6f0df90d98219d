// Activations as f16 in the order and layout that products on matrix units want (kernels/cuda/gemm_mma.h and
// gemm_wgmma.h, kernels/metal/gemm_simdgroup.h): an image that a block copies to its shared memory as it is.
//
// Columns come in slices of 128, and a slice in two steps of 64. A thread of the product has, of a row of weights, the
// group of 32 whose number in the slice is its place c of four; step `half` takes elements 16 half to 16 half + 15 of
// all four groups. The matrix instruction wants columns 2c, 2c + 1, 2c + 8 and 2c + 9 of 16 from that thread: it gets
// four neighbours of the thread's group for them. A sum may be in any order, as long as both sides are in the same.
#pragma once

#include "kernels/portable/reduce.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kHalveThreads = 256;
OUTPOST_CONSTANT int kImageStep = 64;     ///< columns of a step: a row of 128 bytes
OUTPOST_CONSTANT int kImageSlice = 128;   ///< columns that are permuted among themselves
OUTPOST_CONSTANT int kImageTokens = 256;  ///< an image has a multiple of so many rows

struct HalveParams {
  int32_t n_tokens;
  int32_t n_cols;  ///< even
};

/// Of a product of weights and an image.
struct GemmParams {
  int32_t n_rows;
  int32_t n_groups;  ///< of 32 columns, in one row
  int32_t n_tokens;
  int32_t has_bias;
};

/// What is too large for f16 becomes its largest finite value; a NaN stays.
GPU_FN float within_half(float x) {
  const float kLargest = 65504.0f;
  if (x > kLargest) return kLargest;
  return x < -kLargest ? -kLargest : x;
}

GPU_FN int32_t image_steps(int32_t n_cols) { return (n_cols + kImageSlice - 1) / kImageSlice * 2; }
GPU_FN int32_t image_rows(int32_t n_tokens) { return (n_tokens + kImageTokens - 1) / kImageTokens * kImageTokens; }

/// The first of the two neighbouring columns that word `word` (of 32) of a step holds.
GPU_FN int32_t image_column(int32_t step, int32_t word) {
  const int32_t in_sixteen = word % 8, place = in_sixteen % 4, is_high = in_sixteen / 4;
  return step / 2 * kImageSlice + 32 * place + 16 * (step % 2) + 4 * (word / 8) + 2 * is_high;
}

/// Where that word lies in its row: pieces of 16 bytes change places by the row, so that the rows that are read at once
/// lie in different banks (the 128-byte swizzle of the PTX ISA's shared memory matrix layouts).
GPU_FN int32_t image_place(int32_t row, int32_t word) { return (word / 4 ^ row % 8) * 4 + word % 4; }

/// One row of an image: f16 of the values times a power of two that brings the largest magnitude to 2^14 or just above,
/// and the inverse of that power. A row with an infinity or a NaN gets zeros, and NaN for the inverse.
/// @param n_rows of the image
/// @param is_there the whole block: otherwise the row becomes zeros, and `values` and `scales` are not used
/// @param scratch [kHalveThreads / 32]
GPU_FN void halve_row(DevicePtr<uint32_t> image, DevicePtr<float> scales, DevicePtr<const float> values, bool is_there,
                      int32_t row, int32_t n_rows, int32_t n_cols, SharedPtr<float> scratch, Here here) {
  float max = 0;
  if (is_there) {
    for (int32_t i = here.thread_id; i < n_cols; i += kHalveThreads) {
      const float magnitude = abs32(values[i]);
      max = max32(max, magnitude < infinity32() ? magnitude : infinity32());  // a NaN counts as an infinity
    }
  }
  max = block_max<kHalveThreads / 32>(max, scratch, here);
  const bool is_finite = max < infinity32();
  // Biased exponents: below 2^-100 nothing is gained, and the factor has to be finite.
  const int32_t found = int32_t(bits_of_float(max) >> 23), exponent = found > 27 ? found : 27;
  const float factor = is_there && is_finite ? float_of_bits(uint32_t(127 + 14 + 127 - exponent) << 23) : 0.0f;
  if (is_there && here.thread_id == 0)
    scales[row] = is_finite ? float_of_bits(uint32_t(exponent - 14) << 23) : float_of_bits(0x7fc00000u);

  const int32_t n_words = image_steps(n_cols) * (kImageStep / 2);
  const int64_t step_words = int64_t(image_rows(n_rows)) * (kImageStep / 2);
  for (int32_t i = here.thread_id; i < n_words; i += kHalveThreads) {
    const int32_t step = i / (kImageStep / 2), word = i % (kImageStep / 2);
    const int32_t column = image_column(step, word);
    uint32_t pair = 0;
    if (factor > 0 && column < n_cols)
      pair = uint32_t(half_of_float(values[column] * factor)) | uint32_t(half_of_float(values[column + 1] * factor))
                                                                    << 16;
    image[step * step_words + int64_t(row) * (kImageStep / 2) + image_place(row, word)] = pair;
  }
}

/// Rows of x as an image, by halve_row.
/// Grid: image_rows(n_tokens) blocks, one row each; those past n_tokens become zeros.
/// @param x [n_tokens, n_cols], image [image_steps(n_cols), image_rows(n_tokens), 32] words of two, scales [n_tokens]
GPU_KERNEL(kHalveThreads)
halve_activations(GPU_RESULT(0, float, x), GPU_IO(1, uint32_t, image), GPU_IO(2, float, scales),
                  GPU_PARAMS(3, HalveParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kHalveThreads / 32);
  const Here here = GPU_HERE;
  const int32_t row = here.block_x;
  const bool is_token = row < p.n_tokens;
  halve_row(image, scales, x + int64_t(is_token ? row : 0) * p.n_cols, is_token, row, p.n_tokens, p.n_cols, scratch,
            here);
}

}  // namespace gpu
}  // namespace outpost
