// Weights are nobody's result: a product that starts early asks for more of them than its registers hold to come to the
// device's cache, before it waits for its input. Nor are most pages of the KV cache; and what of them is one comes
// there as it was written, as no cache is between.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

/// What a warp asks for. All that a device holds at once (an H200: 2,640 of superblock_matvec) then ask for 12 MB,
/// which is what memory gives while a short kernel runs; more would delay what that kernel reads. Not measured on a GPU
/// yet.
OUTPOST_CONSTANT int kPrefetchBytes = 4608;

/// A part of a row from block `first` on: n_bytes, or to the row's end.
/// @param part which of 32 parts of it: a line each, and those 32 lines on
template <typename Block>
GPU_FN void prefetch_row(DevicePtr<const Block> row, int32_t first, int32_t n_blocks, int32_t n_bytes, int32_t part) {
  const int32_t kLine = 128, kBlock = sizeof(Block);
  const int32_t begin = first * kBlock, row_end = n_blocks * kBlock;
  const int32_t end = begin + n_bytes < row_end ? begin + n_bytes : row_end;
  for (int32_t at = begin + kLine * part; at < end; at += 32 * kLine)
    prefetch_line(reinterpret_cast<BlockBytes>(&row[at / kBlock]) + at % kBlock);
}

/// n elements, by threads of which each asks for a line. @param part which thread this is, of `n_parts`
template <typename T>
GPU_FN void prefetch_elements(DevicePtr<const T> first, int32_t n, int32_t part, int32_t n_parts) {
  const int32_t kLine = 128 / sizeof(T);
  for (int32_t i = kLine * part; i < n; i += kLine * n_parts) prefetch_line(first + i);
}

}  // namespace gpu
}  // namespace outpost
