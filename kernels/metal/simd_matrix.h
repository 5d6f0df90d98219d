// Metal's matrix units, and under the emulator their definition: matrices [8, 8] that a warp (a simdgroup) holds
// together, f16 or f32. Metal Shading Language Specification, "SIMD-group Matrix Data Types" and "SIMD-group Matrix
// Functions". Part of the dialect for kernels that are Metal's alone: CUDA has other shapes (kernels/cuda/mma.h).
//
// All lanes of a warp come to every function with the same arguments. Which lane holds which elements is not defined:
// a matrix is only seen through memory, with a warp or block barrier in between.
#pragma once

#include "kernels/portable/dialect.h"

#ifndef __METAL_VERSION__
#include "kernels/emulator/simd_matrix.h"
#endif

namespace outpost {
namespace gpu {

#ifdef __METAL_VERSION__

using SimdHalf8x8 = metal::simdgroup_half8x8;
using SimdFloat8x8 = metal::simdgroup_float8x8;

/// All elements 0.
GPU_FN void simd_clear(thread SimdFloat8x8& matrix) { matrix = metal::make_filled_simdgroup_matrix<float, 8, 8>(0.0f); }

/// Element [row, column] is from[row * stride + column] if not kIsTransposed, else from[column * stride + row].
/// Rows in memory begin at multiples of 16 bytes, which the emulator insists on and Metal does not.
template <bool kIsTransposed>
GPU_FN void simd_load(thread SimdHalf8x8& matrix, threadgroup const uint16_t* from, int32_t stride) {
  metal::simdgroup_load(matrix, reinterpret_cast<threadgroup const half*>(from), ulong(stride), metal::ulong2(0),
                        kIsTransposed);
}

/// to[row * stride + column] becomes element [row, column]. Rows as of simd_load.
GPU_FN void simd_store(thread SimdFloat8x8& matrix, threadgroup float* to, int32_t stride) {
  metal::simdgroup_store(matrix, to, ulong(stride));
}

/// sum += a * b, products of f16 added up in f32 in any order.
GPU_FN void simd_multiply_add(thread SimdFloat8x8& sum, thread SimdHalf8x8& a, thread SimdHalf8x8& b) {
  metal::simdgroup_multiply_accumulate(sum, a, b, sum);
}

GPU_FN threadgroup const uint16_t* as_halves(threadgroup const uint32_t* words) {
  return reinterpret_cast<threadgroup const uint16_t*>(words);
}
GPU_FN threadgroup float* as_floats(threadgroup uint32_t* words) { return reinterpret_cast<threadgroup float*>(words); }
GPU_FN device const uint32_t* as_words(device const uint16_t* halves) {
  return reinterpret_cast<device const uint32_t*>(halves);
}

#else

struct SimdHalf8x8 : emulator::SimdMatrix {};
struct SimdFloat8x8 : emulator::SimdMatrix {};

GPU_FN void simd_clear(SimdFloat8x8& matrix, Site site = Site::here()) { emulator::fill_matrix(matrix, 0, site); }

template <bool kIsTransposed>
GPU_FN void simd_load(SimdHalf8x8& matrix, SharedPtr<const uint16_t> from, int32_t stride, Site site = Site::here()) {
  emulator::load_matrix(matrix, {from.region(), from.offset(), stride}, kIsTransposed, half_to_float, site);
}

GPU_FN void simd_store(const SimdFloat8x8& matrix, SharedPtr<float> to, int32_t stride, Site site = Site::here()) {
  emulator::store_matrix(matrix, {to.region(), to.offset(), stride}, site);
}

GPU_FN void simd_multiply_add(SimdFloat8x8& sum, const SimdHalf8x8& a, const SimdHalf8x8& b, Site site = Site::here()) {
  emulator::multiply_add(sum, a, b, site);
}

GPU_FN SharedPtr<const uint16_t> as_halves(SharedPtr<const uint32_t> words) { return {words.region(), words.offset()}; }
GPU_FN SharedPtr<float> as_floats(SharedPtr<uint32_t> words) { return {words.region(), words.offset()}; }
GPU_FN DevicePtr<const uint32_t> as_words(DevicePtr<const uint16_t> halves) {
  return {halves.region(), halves.offset()};
}

#endif

/// Words of a tile of f16 in shared memory: matrices [8, 8], each of 128 bytes without a gap, so that the rows of one
/// lie in different banks; those of eight rows follow each other.
OUTPOST_CONSTANT int kSimdMatrixWords = 32;

/// The word at which eight columns of a row begin.
GPU_FN int32_t tile_word(int32_t row, int32_t eight, int32_t n_eights) {
  return (row / 8 * n_eights + eight) * kSimdMatrixWords + row % 8 * 4;
}

/// What the i-th sixteen bytes of such a tile are: threads that fill it in this order write to different banks.
struct TilePiece {
  int32_t row, eight;
};
GPU_FN TilePiece tile_piece(int32_t i, int32_t n_eights) { return {i / 8 / n_eights * 8 + i % 8, i / 8 % n_eights}; }

/// Loads columns 8 eight to 8 eight + 7 of rows 8 rows to 8 rows + 7 of such a tile.
template <bool kIsTransposed>
GPU_FN void load_of_tile(GPU_LOCAL SimdHalf8x8& matrix, SharedPtr<const uint32_t> tile, int32_t rows, int32_t eight,
                         int32_t n_eights) {
  simd_load<kIsTransposed>(matrix, as_halves(tile + tile_word(8 * rows, eight, n_eights)), 8);
}

/// Two f16, `low` in the low bits.
GPU_FN uint32_t half_words(float low, float high) {
  return uint32_t(half_of_float(low)) | uint32_t(half_of_float(high)) << 16;
}

}  // namespace gpu
}  // namespace outpost
