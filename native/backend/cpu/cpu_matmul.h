// Matrix products of the CPU backend: activations are prepared once, tiles are shared out among the threads.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/cpu_memory.h"
#include "core/thread_pool.h"

namespace outpost {

/// Tiles that a thread takes at once, of one matrix after the other. A few hundred microseconds of work would leave one
/// thread waiting at the end of a product; a single tile would make the shared counter the bottleneck, and where gate
/// and up alternate it is too short for the processor to read ahead: 19 GB/s in place of 30 for one token.
inline constexpr int64_t kTilesPerItem = 4;

/// A product's input rows in the forms that its weights need.
struct MatmulInput {
  const float* dense;
  int64_t dense_stride;                ///< of two rows of `dense`
  const ActivationBlock* superblocks;  ///< [n_cols / 256, n_rows]
  const ActivationBlock32* blocks;     ///< [n_cols / 256 rounded up, n_rows]
  int64_t n_cols, n_rows;
};

/// Tiles of a matrix one after the other.
struct TileRange {
  TensorType type;
  const std::byte* first;
  size_t tile_bytes;
  int64_t n_rows;  ///< of the matrix, in these tiles
};

class CpuMatmul {
 public:
  CpuMatmul(const CpuKernelTable& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  void matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens);
  void matmul_gated(DeviceSpan<float> y, const GatedPair& pair, DeviceSpan<const float> x, int32_t n_tokens, Gate gate);
  void matmul_heads(DeviceSpan<float> y, int32_t y_stride, const HeadWeights& weights, DeviceSpan<const float> x,
                    int32_t x_stride, int32_t n_tokens);

  // Some tiles for all input rows, on the calling thread.
  /// @param bias of the tiles' rows, or null; the rows of y begin at the first tile's first
  void multiply_tiles(const TileRange& tiles, const MatmulInput& input, const float* bias, float* y,
                      int64_t y_stride) const;
  /// y = gate function of y and the product with tiles of `up`. @param bias as above
  void gate_with_tiles(const TileRange& up, const MatmulInput& input, const float* bias, Gate kind, float* y,
                       int64_t y_stride) const;

 private:
  /// The products of up to kMaxTiles tiles, first to last, with the n_rows <= kMaxTileTokens input rows from `row0` on.
  void run_kernel(const TileRange& tiles, const MatmulInput& input, int64_t row0, int n_rows, float* y,
                  int64_t y_stride) const;
  template <typename Use>
  void for_products(const TileRange& tiles, const MatmulInput& input, const Use& use) const;
  MatmulInput prepare(const float* x, int64_t n_cols, int64_t n_rows, std::span<const MatmulInputKind> kinds);

  const CpuKernelTable& kernels_;
  ThreadPool& pool_;
  // Of the input in use; kept from call to call.
  std::vector<ActivationBlock> superblocks_;
  std::vector<ActivationBlock32> blocks_;
};

}  // namespace outpost
