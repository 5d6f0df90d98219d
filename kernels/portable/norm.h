// RMSNorm and LayerNorm. A block does one row, in one order of summation whatever the number of rows.
#pragma once

#include "kernels/portable/activations.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kNormThreads = 512;
OUTPOST_CONSTANT int kNormWarps = kNormThreads / 32;

struct NormParams {
  int32_t width;
  float eps;
  int32_t has_bias;
  /// x is read from y, and is not there itself: arguments of Metal's kernels must not overlap (its specification, 5.2).
  /// Launchers set it.
  int32_t is_in_place;
};

GPU_FN float add_square(float sum, float value) { return fma32(value, value, sum); }
/// What an RMSNorm multiplies a row by, whose squares add up to `sum`.
GPU_FN float norm_factor(float sum, int32_t width, float eps) { return 1.0f / sqrt32(sum / float(width) + eps); }

/// y[r, i] = x[r, i] * weight[i] / sqrt(mean_i(x[r, i]^2) + eps)   (arXiv:1910.07467)
/// Squares are added in eights of neighbours, as residual_norm does. Grid: a block for each row.
GPU_KERNEL(kNormThreads)
rms_norm(GPU_IO(0, float, y), GPU_RESULT(1, float, x), GPU_IN(2, float, weight),
         GPU_PARAMS(3, NormParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kNormWarps);
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int64_t row = int64_t(here.block_x) * p.width;
  const DevicePtr<const float> from = p.is_in_place ? DevicePtr<const float>(y) : x;
  float sum = 0;
  for (int32_t first = 8 * here.thread_id; first < p.width; first += 8 * kNormThreads) {
    GPU_UNROLL for (int32_t i = 0; i < 8; ++i) {
      if (first + i < p.width) sum = add_square(sum, from[row + first + i]);
    }
  }
  sum = block_sum<kNormWarps>(sum, scratch, here);
  const float factor = norm_factor(sum, p.width, p.eps);
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads) y[row + i] = from[row + i] * factor * weight[i];
}

struct ResidualNormParams {
  int32_t width;  ///< a multiple of 32, and of 256 if is_super
  float eps;
  int32_t has_addend;
  float factor;      ///< of the addend
  int32_t is_super;  ///< see QuantizeParams
};

/// What follows each other between the layers, to the same bits in one launch: add (if has_addend), rms_norm and
/// quantize_activations: x += factor * addend, y = rms_norm(x), and y as codes.
/// Grid: a block for each row. x, addend, weight and y begin at multiples of 16 bytes.
GPU_KERNEL(kNormThreads)
residual_norm(GPU_IO(0, float, y), GPU_IO(1, float, x), GPU_RESULT(2, float, addend), GPU_IN(3, float, weight),
              GPU_IO(4, uint32_t, codes), GPU_IO(5, float, scales), GPU_IO(6, uint32_t, sums),
              GPU_IO(7, uint32_t, pairs), GPU_PARAMS(8, ResidualNormParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kNormWarps);
  allow_next();
  const Here here = GPU_HERE;
  const int64_t row = int64_t(here.block_x) * p.width;
  float own_weight[8] = {0, 0, 0, 0, 0, 0, 0, 0};  // of the first step: asked for before there is anything to norm
  if (8 * here.thread_id < p.width) load_eight(own_weight, weight + 8 * here.thread_id);
  wait_for_previous();
  const int32_t n_steps = (p.width + 8 * kNormThreads - 1) / (8 * kNormThreads);
  float values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  float sum = 0;
  for (int32_t step = 0; step < n_steps; ++step) {
    const int32_t first = 8 * (step * kNormThreads + here.thread_id);
    if (first < p.width) {
      load_eight(values, x + row + first);
      if (p.has_addend) {
        float addends[8];
        load_eight(addends, addend + row + first);
        GPU_UNROLL for (int32_t i = 0; i < 8; ++i) values[i] = fma32(p.factor, addends[i], values[i]);
        store_eight(x + row + first, values);
      }
      GPU_UNROLL for (int32_t i = 0; i < 8; ++i) sum = add_square(sum, values[i]);
    }
  }
  sum = block_sum<kNormWarps>(sum, scratch, here);
  const float factor = norm_factor(sum, p.width, p.eps);
  for (int32_t step = 0; step < n_steps; ++step) {
    const int32_t first = 8 * (step * kNormThreads + here.thread_id);
    if (first - 8 * here.lane >= p.width) break;  // the whole warp
    const bool is_there = first < p.width;
    float normed[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (is_there) {
      if (n_steps > 1) load_eight(values, x + row + first);  // of one step they are still there
      if (step > 0) load_eight(own_weight, weight + first);
      GPU_UNROLL for (int32_t i = 0; i < 8; ++i) normed[i] = values[i] * factor * own_weight[i];
      store_eight(y + row + first, normed);
    }
    quantize_eight(normed, (row + first) / 8, is_there, p.is_super != 0, here.lane, codes, scales, sums, pairs);
  }
}

/// y[r, i] = (x[r, i] - mean) * weight[i] / sqrt(variance + eps) + bias[i]   (arXiv:1607.06450)
/// Grid: a block for each row.
GPU_KERNEL(kNormThreads)
layer_norm(GPU_IO(0, float, y), GPU_RESULT(1, float, x), GPU_IN(2, float, weight), GPU_IN(3, float, bias),
           GPU_PARAMS(4, NormParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kNormWarps);
  GPU_SHARED(float, scratch_of_squares, kNormWarps);
  allow_next();
  wait_for_previous();
  const Here here = GPU_HERE;
  const int64_t row = int64_t(here.block_x) * p.width;
  const DevicePtr<const float> from = p.is_in_place ? DevicePtr<const float>(y) : x;
  float sum = 0;
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads) sum += from[row + i];
  const float mean = block_sum<kNormWarps>(sum, scratch, here) / float(p.width);
  // A second pass over what the caches still have: the mean of squares minus the square of the mean would cancel.
  float squares = 0;
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads) {
    const float distance = from[row + i] - mean;
    squares = fma32(distance, distance, squares);
  }
  const float variance = block_sum<kNormWarps>(squares, scratch_of_squares, here) / float(p.width);
  const float factor = 1.0f / sqrt32(variance + p.eps);
  for (int32_t i = here.thread_id; i < p.width; i += kNormThreads)
    y[row + i] = (from[row + i] - mean) * factor * weight[i] + (p.has_bias ? float(bias[i]) : 0.0f);
}

}  // namespace gpu
}  // namespace outpost
