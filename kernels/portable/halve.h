// Activations become f16 as an image (image.h), and what is done to them right before along with it.
#pragma once

#include "kernels/portable/gate.h"
#include "kernels/portable/image.h"
#include "kernels/portable/norm.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kHalveThreads = kNormThreads;
OUTPOST_CONSTANT int kHalveHeld = 4;  ///< eights of a row that a thread holds: all of a row of up to 16,384 columns
OUTPOST_CONSTANT int kClearedRows = 16;

struct HalveParams {
  int32_t n_tokens;
  int32_t n_cols;    ///< a multiple of 32
  int32_t is_gated;  ///< whether rows are gates, and `up` has what they let through
  int32_t gate;      ///< GateKind
};

/// Rows of the values that become an image: eight neighbours at once, from multiples of eight on.
struct PlainRow {
  DevicePtr<const float> values;
  GPU_FN void load(GPU_LOCAL float (&eight)[8], int32_t first) const { load_eight(eight, values + first); }
};
struct GatedRow {
  DevicePtr<const float> gates, up;
  int32_t gate;
  GPU_FN void load(GPU_LOCAL float (&eight)[8], int32_t first) const {
    float others[8];
    load_eight(eight, gates + first);
    load_eight(others, up + first);
    GPU_UNROLL for (int32_t i = 0; i < 8; ++i) eight[i] = gated(eight[i], others[i], gate);
  }
};
struct NormedRow {
  DevicePtr<const float> values, weight;
  float factor;
  GPU_FN void apply(GPU_LOCAL float (&eight)[8], int32_t first) const {
    float weights[8];
    load_eight(weights, weight + first);
    GPU_UNROLL for (int32_t i = 0; i < 8; ++i) eight[i] = eight[i] * factor * weights[i];
  }
  GPU_FN void load(GPU_LOCAL float (&eight)[8], int32_t first) const {
    load_eight(eight, values + first);
    apply(eight, first);
  }
};

/// The larger of `max` and the magnitudes. A NaN counts as an infinity.
GPU_FN float largest_magnitude(float max, GPU_LOCAL const float (&eight)[8]) {
  GPU_UNROLL for (int32_t i = 0; i < 8; ++i) {
    const float magnitude = abs32(eight[i]);
    max = max32(max, magnitude < infinity32() ? magnitude : infinity32());
  }
  return max;
}

/// The first column of eight that a thread has in step `step` of a row.
GPU_FN int32_t first_of_eight(int32_t step, Here here) { return 8 * (step * kHalveThreads + here.thread_id); }

/// A row of an image, where it is.
struct ImageRow {
  DevicePtr<uint32_t> image;
  DevicePtr<float> scales;
  int32_t row, n_rows, n_cols;

  /// Eight columns times a factor; zeros if that is 0.
  GPU_FN void store(GPU_LOCAL const float (&eight)[8], float factor, int32_t first) const {
    const int64_t step_words = int64_t(image_rows(n_rows)) * (kImageStep / 2);
    const DevicePtr<uint32_t> words = image + (image_step(first) * step_words + int64_t(row) * (kImageStep / 2));
    GPU_UNROLL for (int32_t i = 0; i < 8; i += 2) {
      const uint32_t pair = uint32_t(half_of_float(eight[i] * factor)) | uint32_t(half_of_float(eight[i + 1] * factor))
                                                                             << 16;
      words[image_place(row, image_word(first + i))] = factor > 0 ? pair : 0u;
    }
  }
};

/// Zeros in rows of an image, from `first` up to `end`. The whole block.
GPU_FN void clear_rows(DevicePtr<uint32_t> image, int32_t first, int32_t end, int32_t n_rows, int32_t n_cols,
                       Here here) {
  const int32_t of_step = (end - first) * (kImageStep / 2), n_words = image_steps(n_cols) * of_step;
  const int64_t step_words = int64_t(image_rows(n_rows)) * (kImageStep / 2);
  for (int32_t i = here.thread_id; i < n_words; i += kHalveThreads)
    image[i / of_step * step_words + int64_t(first) * (kImageStep / 2) + i % of_step] = 0u;
}

/// The part of a block without a row of its own: those past the n_rows that there are.
GPU_FN void clear_padding(DevicePtr<uint32_t> image, int32_t n_rows, int32_t n_cols, Here here) {
  const int32_t first = n_rows + (here.block_x - n_rows) * kClearedRows, n_all = image_rows(n_rows);
  clear_rows(image, first, first + kClearedRows < n_all ? first + kClearedRows : n_all, n_rows, n_cols, here);
}

/// One row of an image: f16 of the values times a power of two that brings the largest magnitude to 2^14 or just above,
/// and the inverse of that power. A row with an infinity or a NaN gets zeros, and NaN for the inverse.
/// @param held what this thread's first kHalveHeld steps have of the values; values: where all are
/// @param scratch [kNormWarps]
template <typename Values>
GPU_FN void finish_row(GPU_LOCAL const ImageRow& to, GPU_LOCAL const float (&held)[kHalveHeld][8],
                       GPU_LOCAL const Values& values, SharedPtr<float> scratch, Here here) {
  float max = 0;
  GPU_UNROLL for (int32_t step = 0; step < kHalveHeld; ++step) {
    if (first_of_eight(step, here) < to.n_cols) max = largest_magnitude(max, held[step]);
  }
  for (int32_t first = first_of_eight(kHalveHeld, here); first < to.n_cols; first += 8 * kHalveThreads) {
    float eight[8];
    values.load(eight, first);
    max = largest_magnitude(max, eight);
  }
  max = block_max<kNormWarps>(max, scratch, here);
  const bool is_finite = max < infinity32();
  // Biased exponents: below 2^-100 nothing is gained, and the factor has to be finite.
  const int32_t found = int32_t(bits_of_float(max) >> 23), exponent = found > 27 ? found : 27;
  const float factor = is_finite ? float_of_bits(uint32_t(127 + 14 + 127 - exponent) << 23) : 0.0f;
  if (here.thread_id == 0)
    to.scales[to.row] = is_finite ? float_of_bits(uint32_t(exponent - 14) << 23) : float_of_bits(0x7fc00000u);

  const float zeros[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  const int32_t n_padded = image_steps(to.n_cols) * kImageStep;
  GPU_UNROLL for (int32_t step = 0; step < kHalveHeld; ++step) {
    const int32_t first = first_of_eight(step, here);
    if (first < to.n_cols)
      to.store(held[step], factor, first);
    else if (first < n_padded)
      to.store(zeros, 0.0f, first);
  }
  for (int32_t first = first_of_eight(kHalveHeld, here); first < n_padded; first += 8 * kHalveThreads) {
    float eight[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (first < to.n_cols) values.load(eight, first);
    to.store(eight, first < to.n_cols ? factor : 0.0f, first);
  }
}

/// A row of an image of these values, by finish_row.
template <typename Values>
GPU_FN void halve_row(GPU_LOCAL const ImageRow& to, GPU_LOCAL const Values& values, SharedPtr<float> scratch,
                      Here here) {
  float held[kHalveHeld][8];
  GPU_UNROLL for (int32_t step = 0; step < kHalveHeld; ++step) {
    const int32_t first = first_of_eight(step, here);
    if (first < to.n_cols) values.load(held[step], first);
  }
  finish_row(to, held, values, scratch, here);
}

/// A row of x, or of gated(x, up).
GPU_FN void halve_input(GPU_LOCAL const ImageRow& to, DevicePtr<const float> x, DevicePtr<const float> up,
                        bool is_gated, int32_t gate, SharedPtr<float> scratch, Here here) {
  if (is_gated) {
    const GatedRow gated_row = {x, up, gate};
    halve_row(to, gated_row, scratch, here);
  } else {
    const PlainRow plain = {x};
    halve_row(to, plain, scratch, here);
  }
}

/// Rows of x, or of gated(x, up), as an image. Grid: a block for each token, and for every kClearedRows rows of the
/// image past them, or a part of so many, another. x and up begin at multiples of 16 bytes.
/// @param x [n_tokens, n_cols], up alike or unused
/// @param image [image_steps(n_cols), image_rows(n_tokens), 32] words of two, scales [n_tokens]
GPU_KERNEL(kHalveThreads, 2)
halve_activations(GPU_RESULT(0, float, x), GPU_RESULT(1, float, up), GPU_IO(2, uint32_t, image),
                  GPU_IO(3, float, scales), GPU_PARAMS(4, HalveParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kNormWarps);
  const Here here = GPU_HERE;
  if (here.block_x >= p.n_tokens) return clear_padding(image, p.n_tokens, p.n_cols, here);
  const int64_t first = int64_t(here.block_x) * p.n_cols;
  const ImageRow to = {image, scales, here.block_x, p.n_tokens, p.n_cols};
  halve_input(to, x + first, up + first, p.is_gated != 0, p.gate, scratch, here);
}

struct HalveNormedParams {
  int32_t n_tokens;
  int32_t n_cols;  ///< a multiple of 32
  float eps;
  int32_t has_addend;
  float factor;  ///< of the addend
};

/// Eight of x += factor * addend, or of x.
GPU_FN void add_to_row(GPU_LOCAL float (&eight)[8], DevicePtr<float> x, DevicePtr<const float> addend,
                       GPU_PARAMS_REF(HalveNormedParams) p) {
  load_eight(eight, x);
  if (p.has_addend) {
    float addends[8];
    load_eight(addends, addend);
    GPU_UNROLL for (int32_t i = 0; i < 8; ++i) eight[i] = fma32(p.factor, addends[i], eight[i]);
    store_eight(x, eight);
  }
}

/// x += factor * addend (if has_addend), and rms_norm(x) as an image, to the bits of residual_norm and
/// halve_activations. Grid as of halve_activations. x, addend and weight begin at multiples of 16 bytes.
GPU_KERNEL(kHalveThreads, 2)
halve_normed(GPU_IO(0, float, x), GPU_RESULT(1, float, addend), GPU_IN(2, float, weight), GPU_IO(3, uint32_t, image),
             GPU_IO(4, float, scales), GPU_PARAMS(5, HalveNormedParams, p) GPU_GRID) {
  GPU_SHARED(float, scratch, kNormWarps);
  GPU_SHARED(float, scratch_of_squares, kNormWarps);
  const Here here = GPU_HERE;
  if (here.block_x >= p.n_tokens) return clear_padding(image, p.n_tokens, p.n_cols, here);
  const int64_t row = int64_t(here.block_x) * p.n_cols;
  float held[kHalveHeld][8];
  float sum = 0;
  GPU_UNROLL for (int32_t step = 0; step < kHalveHeld; ++step) {
    const int32_t first = first_of_eight(step, here);
    if (first < p.n_cols) {
      add_to_row(held[step], x + row + first, addend + row + first, p);
      GPU_UNROLL for (int32_t i = 0; i < 8; ++i) sum = add_square(sum, held[step][i]);
    }
  }
  for (int32_t first = first_of_eight(kHalveHeld, here); first < p.n_cols; first += 8 * kHalveThreads) {
    float eight[8];
    add_to_row(eight, x + row + first, addend + row + first, p);
    GPU_UNROLL for (int32_t i = 0; i < 8; ++i) sum = add_square(sum, eight[i]);
  }
  sum = block_sum<kNormWarps>(sum, scratch_of_squares, here);
  const NormedRow normed = {x + row, weight, norm_factor(sum, p.n_cols, p.eps)};
  GPU_UNROLL for (int32_t step = 0; step < kHalveHeld; ++step) {
    const int32_t first = first_of_eight(step, here);
    if (first < p.n_cols) normed.apply(held[step], first);
  }
  const ImageRow to = {image, scales, here.block_x, p.n_tokens, p.n_cols};
  finish_row(to, held, normed, scratch, here);
}

}  // namespace gpu
}  // namespace outpost
