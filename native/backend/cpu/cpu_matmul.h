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

/// A tile in the form that a kernel takes.
struct KernelTile {
  TensorType type;
  const std::byte* data;
};

class CpuMatmul {
 public:
  CpuMatmul(const CpuKernelTable& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  void matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens);
  void matmul_gated(DeviceSpan<float> y, const GatedPair& pair, DeviceSpan<const float> x, int32_t n_tokens, Gate gate);
  void matmul_heads(DeviceSpan<float> y, int32_t y_stride, std::span<const std::unique_ptr<Weight>> weights,
                    DeviceSpan<const float> x, int32_t x_stride, int32_t n_tokens);

  // One tile for all input rows, on the calling thread.
  /// Good until the thread's next call.
  static KernelTile kernel_tile(TensorType type, const std::byte* tile, int64_t n_cols);
  /// @param n_rows of the tile that are the matrix's; `bias` and the rows of y begin at the tile's first
  void multiply_tile(const KernelTile& tile, int n_rows, const MatmulInput& input, const float* bias, float* y,
                     int64_t y_stride) const;
  /// y = gate function of y and the product with a tile of `up`. @param bias as above
  void gate_with_tile(const KernelTile& up, int n_rows, const MatmulInput& input, const float* bias, Gate kind,
                      float* y, int64_t y_stride) const;

 private:
  /// 16 results for each of n_rows <= kMaxTileTokens input rows from `first` on.
  void run_kernel(const KernelTile& tile, const MatmulInput& input, int64_t first, int n_rows, float* y,
                  int64_t y_stride) const;
  MatmulInput prepare(const float* x, int64_t n_cols, int64_t n_rows, std::span<const MatmulInputKind> kinds);
  void multiply_tile(const CpuWeight& weight, int64_t i_tile, const MatmulInput& input, DeviceSpan<const float> bias,
                     float* y, int64_t y_stride) const;

  const CpuKernelTable& kernels_;
  ThreadPool& pool_;
  // Of the input in use; kept from call to call.
  std::vector<ActivationBlock> superblocks_;
  std::vector<ActivationBlock32> blocks_;
};

}  // namespace outpost
