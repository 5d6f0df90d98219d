// What is done to each element alone, and rows that are copied from one place to another. All are bound by memory: a
// thread does one element.
#pragma once

#include "kernels/portable/gate.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kElementThreads = 256;

struct ElementParams {
  int32_t n;
  float factor;  ///< of the second operand, or the cap
  int32_t kind;  ///< ActivationKind or GateKind
};

struct RowParams {
  int32_t n_rows;
  int32_t width;  ///< columns that are copied or added
  int32_t y_stride, y_first;
  int32_t x_stride, x_first;
};

GPU_FN int64_t element_index(Here here) { return int64_t(here.block_x) * kElementThreads + here.thread_id; }

// Grid of all: n (or n_rows * width) / kElementThreads blocks, rounded up.

/// x += factor * y
GPU_KERNEL(kElementThreads)
add(GPU_IO(0, float, x), GPU_IO(1, const float, y), GPU_PARAMS(2, ElementParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const int64_t i = element_index(GPU_HERE);
  if (i < p.n) x[i] = fma32(p.factor, y[i], x[i]);
}

/// x *= factor
GPU_KERNEL(kElementThreads)
scale(GPU_IO(0, float, x), GPU_PARAMS(1, ElementParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const int64_t i = element_index(GPU_HERE);
  if (i < p.n) x[i] = p.factor * x[i];
}

/// x = factor * tanh(x / factor)
GPU_KERNEL(kElementThreads)
softcap(GPU_IO(0, float, x), GPU_PARAMS(1, ElementParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const int64_t i = element_index(GPU_HERE);
  if (i < p.n) x[i] = p.factor * tanh32(x[i] / p.factor);
}

/// x = activation(x)
GPU_KERNEL(kElementThreads)
activate(GPU_IO(0, float, x), GPU_PARAMS(1, ElementParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const int64_t i = element_index(GPU_HERE);
  if (i < p.n) x[i] = activated(x[i], p.kind);
}

/// y = gate function of (y, up)
GPU_KERNEL(kElementThreads)
gate(GPU_IO(0, float, y), GPU_RESULT(1, float, up), GPU_PARAMS(2, ElementParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const int64_t i = element_index(GPU_HERE);
  if (i < p.n) y[i] = gated(y[i], up[i], p.kind);
}

/// x[r] += sigmoid(logits[r]) * y[r], rows of `width`
GPU_KERNEL(kElementThreads)
add_gated(GPU_IO(0, float, x), GPU_RESULT(1, float, y), GPU_RESULT(2, float, logits),
          GPU_PARAMS(3, RowParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const int64_t i = element_index(GPU_HERE);
  if (i < int64_t(p.n_rows) * p.width) x[i] = fma32(sigmoid32(logits[i / p.width]), y[i], x[i]);
}

/// y[r, y_first + i] = x[r, x_first + i] for `width` columns; rows are y_stride and x_stride elements apart.
GPU_KERNEL(kElementThreads)
copy_columns(GPU_IO(0, float, y), GPU_RESULT(1, float, x), GPU_PARAMS(2, RowParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const int64_t i = element_index(GPU_HERE);
  if (i >= int64_t(p.n_rows) * p.width) return;
  const int64_t row = i / p.width, column = i % p.width;
  y[row * p.y_stride + p.y_first + column] = x[row * p.x_stride + p.x_first + column];
}

/// y[r] = x[rows[r]], rows of `width`
GPU_KERNEL(kElementThreads)
gather_rows(GPU_IO(0, float, y), GPU_RESULT(1, float, x), GPU_IN(2, int32_t, rows),
            GPU_PARAMS(3, RowParams, p) GPU_GRID) {
  allow_next();
  wait_for_previous();
  const int64_t i = element_index(GPU_HERE);
  if (i >= int64_t(p.n_rows) * p.width) return;
  y[i] = x[int64_t(rows[i / p.width]) * p.width + i % p.width];
}

}  // namespace gpu
}  // namespace outpost
