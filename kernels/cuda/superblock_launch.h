// Launches of the products with one type of superblock. Private to superblock_type.cu.in.
#pragma once

#include <algorithm>

#include "kernels/cuda/superblock_mma.h"
#include "kernels/cuda/superblock_stream.h"
#include "kernels/launchers/launch.h"
#include "kernels/launchers/matvec_arguments.h"

namespace outpost::gpu {

template <typename Block, typename Kernel>
Error launch_super_kernel(Stream stream, const SuperLaunch& a, int32_t n_threads, int32_t rows_of_block,
                          Kernel kernel) {
  int32_t n_blocks = 0;
  for (int32_t i = 0; i < (a.is_gated ? 1 : kSuperMatrices); ++i)
    n_blocks += (a.params.n_rows[i] + rows_of_block - 1) / rows_of_block;
  if (n_blocks == 0) return Error::kNone;  // an empty grid is an error
  const auto weight = [&](int32_t i) { return static_cast<const Block*>(a.matrices[i].weight); };
  const MatrixProduct* m = a.matrices;
  const OverlappedLaunch launch(stream, Grid(n_blocks), n_threads);
  return launch(kernel, weight(0), weight(1), weight(2), a.x.codes, a.x.scales, a.x.sums, a.x.pairs, m[0].bias,
                m[1].bias, m[2].bias, m[0].y, m[1].y, m[2].y, a.params);
}

template <typename Block, int kTokens, bool kIsGated>
Error launch_stream(Stream stream, const SuperLaunch& a) {
  constexpr int32_t kRows = kIsGated ? kSuperMmaRows : kStreamRows;
  StreamParams params{a.params, a.fusion, 0, 0};
  for (int32_t i = 0; i < (kIsGated ? 1 : kSuperMatrices); ++i)
    params.n_tiles += (a.params.n_rows[i] + kRows - 1) / kRows;
  if (params.n_tiles == 0) return Error::kNone;  // an empty grid is an error
  params.n_blocks = std::min(params.n_tiles, stream_blocks());
  const auto weight = [&](int32_t i) { return static_cast<const uint8_t*>(a.matrices[i].weight); };
  const MatrixProduct* m = a.matrices;
  const OverlappedLaunch launch(stream, Grid(params.n_blocks), kStreamThreads,
                                StreamShape<Block, kTokens>::kSharedBytes);
  return launch(superblock_stream<Block, kTokens, kIsGated>, weight(0), weight(1), weight(2), a.x.codes, a.x.scales,
                a.x.sums, a.x.pairs, a.fused.values, a.fused.norm_weight, m[0].bias, m[1].bias, m[2].bias, m[0].y,
                m[1].y, m[2].y, params);
}

static_assert(kStreamColumns == kMostStreamColumns, "as launchers.h has it");

/// One token's product that is not fused: nobody has measured whether its weights come faster by bulk copies.
inline bool takes_bulk_copies(const SuperLaunch& a) {
  return a.path == kSuperBulkCopies || (a.path == kSuperAny && a.params.n_tokens > 1 && stream_blocks() > 0);
}

template <typename Block, bool kIsGated>
Error launch_super_tokens(Stream stream, const SuperLaunch& a) {
  if (takes_bulk_copies(a)) {
    if (stream_blocks() == 0) return Error::kInvalidValue;
    if (a.params.n_tokens == 1) {
      if (a.params.n_super * 256 > kStreamColumns) return Error::kInvalidValue;
      return launch_stream<Block, 1, kIsGated>(stream, a);
    }
    if (a.params.n_tokens <= 8) return launch_stream<Block, 8, kIsGated>(stream, a);
    return launch_stream<Block, 16, kIsGated>(stream, a);
  }
  if (a.params.n_tokens == 1) {
    return launch_super_kernel<Block>(stream, a, kSuperThreads, kIsGated ? kSuperBlockRows / 2 : kSuperBlockRows,
                                      superblock_matvec<Block, kIsGated>);
  }
  if (a.params.n_tokens <= 8) {
    return launch_super_kernel<Block>(stream, a, kSuperMmaThreads, kSuperMmaRows, superblock_mma<Block, 1, kIsGated>);
  }
  return launch_super_kernel<Block>(stream, a, kSuperMmaThreads, kSuperMmaRows, superblock_mma<Block, 2, kIsGated>);
}

/// kMatvecMaxTokens tokens at most.
template <typename Block>
Error launch_super(Stream stream, const SuperLaunch& a) {
  return a.is_gated ? launch_super_tokens<Block, true>(stream, a) : launch_super_tokens<Block, false>(stream, a);
}

}  // namespace outpost::gpu
