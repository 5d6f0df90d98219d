// RMSNorm and LayerNorm. A block does one row, in one order of summation whatever the number of rows.
#pragma once

#include "kernels/portable/activations.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kNormThreads = 256;
OUTPOST_CONSTANT int kNormWarps = kNormThreads / 32;

struct NormParams {
  int32_t width;
  float eps;
  int32_t has_bias;
};

/// y[r, i] = x[r, i] * weight[i] / sqrt(mean_i(x[r, i]^2) + eps)   (arXiv:1910.07467); y may be x.
/// Grid: a block for each row.
GPU_KERNEL(kNormThreads)
rms_norm(GPU_IO(0, float, y), GPU_IO(1, const float, x), GPU_IN(2, float, weight),
         GPU_PARAMS(3, NormParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kNormWarps);
  const Here here = GPU_HERE;
  const int64_t row = int64_t(here.block_x) * p.width;
  float sum = 0;
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads) {
    const float value = x[row + i];
    sum = fma32(value, value, sum);
  }
  sum = block_sum<kNormWarps>(sum, scratch, here);
  const float factor = 1.0f / sqrt32(sum / float(p.width) + p.eps);
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads) y[row + i] = x[row + i] * factor * weight[i];
}

struct ResidualNormParams {
  int32_t width;  ///< a multiple of 32
  float eps;
  int32_t has_addend;
  float factor;  ///< of the addend
};

/// What follows each other between the layers, to the same bits in one launch: add (if has_addend), rms_norm and
/// quantize_activations: x += factor * addend, y = rms_norm(x), and y as groups of codes.
/// Grid: a block for each row.
GPU_KERNEL(kNormThreads)
residual_norm(GPU_IO(0, float, y), GPU_IO(1, float, x), GPU_IN(2, float, addend), GPU_IN(3, float, weight),
              GPU_IO(4, uint32_t, codes), GPU_IO(5, float, scales), GPU_IO(6, uint32_t, sums),
              GPU_PARAMS(7, ResidualNormParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kNormWarps);
  const Here here = GPU_HERE;
  const int64_t row = int64_t(here.block_x) * p.width;
  float sum = 0;
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads) {
    float value = x[row + i];
    if (p.has_addend) {
      value = fma32(p.factor, addend[row + i], value);
      x[row + i] = value;
    }
    sum = fma32(value, value, sum);
  }
  sum = block_sum<kNormWarps>(sum, scratch, here);
  const float factor = 1.0f / sqrt32(sum / float(p.width) + p.eps);
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads) {  // whole warps: the width is a multiple of 32
    const float value = x[row + i] * factor * weight[i];
    y[row + i] = value;
    const QuantizedGroup group = quantize_group(value, here.lane);
    store_group(group, (row + i) / 32, here.lane, codes, scales, sums);
  }
}

/// y[r, i] = (x[r, i] - mean) * weight[i] / sqrt(variance + eps) + bias[i]   (arXiv:1607.06450); y may be x.
/// Grid: a block for each row.
GPU_KERNEL(kNormThreads)
layer_norm(GPU_IO(0, float, y), GPU_IO(1, const float, x), GPU_IN(2, float, weight), GPU_IN(3, float, bias),
           GPU_PARAMS(4, NormParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kNormWarps);
  GPU_SHARED(float, scratch_of_squares, kNormWarps);
  const Here here = GPU_HERE;
  const int64_t row = int64_t(here.block_x) * p.width;
  float sum = 0;
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads) sum += x[row + i];
  const float mean = block_sum<kNormWarps>(sum, scratch, here) / float(p.width);
  // A second pass over what the caches still have: the mean of squares minus the square of the mean would cancel.
  float squares = 0;
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads) {
    const float distance = x[row + i] - mean;
    squares = fma32(distance, distance, squares);
  }
  const float variance = block_sum<kNormWarps>(squares, scratch_of_squares, here) / float(p.width);
  const float factor = 1.0f / sqrt32(variance + p.eps);
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads)
    y[row + i] = (x[row + i] - mean) * factor * weight[i] + (p.has_bias ? float(bias[i]) : 0.0f);
}

}  // namespace gpu
}  // namespace outpost
