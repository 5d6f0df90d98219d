// The products that the emulated device has: some types of blocks, which the tests of the backend take. The kernels of
// all types are tested without a backend.
#include "kernels/common/wide_blocks.h"
#include "kernels/cuda/device_units.h"
#include "kernels/cuda/gemm_mma_launch.h"
#include "kernels/cuda/superblock_launch.h"
#include "kernels/launchers/block_launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {

// As a device before 9.0, which has mma and no wgmma.
template <typename Block>
Error launch_gemm_block(Stream stream, const GemmLaunch& a) {
  return launch_mma_block<Block>(stream, a);
}

#define OUTPOST_EMULATED(Block)                                    \
  template Error launch_block<Block>(Stream, const MatvecLaunch&); \
  template Error launch_gemm_block<Block>(Stream, const GemmLaunch&);
OUTPOST_EMULATED(BlockQ4_0)
OUTPOST_EMULATED(BlockQ4_K)
OUTPOST_EMULATED(BlockMXFP4)
OUTPOST_EMULATED(WideQ8_0)
template Error launch_gemm_block<ElementF16>(Stream, const GemmLaunch&);
template Error launch_gemm_block<ElementBF16>(Stream, const GemmLaunch&);
template Error launch_super<BlockQ4_K>(Stream, const SuperLaunch&);
template Error launch_super<WideQ8_0>(Stream, const SuperLaunch&);

#define OUTPOST_NOT_EMULATED(Block)                           \
  template <>                                                 \
  Error launch_block<Block>(Stream, const MatvecLaunch&) {    \
    return Error::kInvalidValue;                              \
  }                                                           \
  template <>                                                 \
  Error launch_gemm_block<Block>(Stream, const GemmLaunch&) { \
    return Error::kInvalidValue;                              \
  }

OUTPOST_NOT_EMULATED(BlockQ4_1)
OUTPOST_NOT_EMULATED(BlockQ5_0)
OUTPOST_NOT_EMULATED(BlockQ5_1)
OUTPOST_NOT_EMULATED(BlockQ8_0)
OUTPOST_NOT_EMULATED(BlockIQ4_NL)
OUTPOST_NOT_EMULATED(BlockQ2_K)
OUTPOST_NOT_EMULATED(BlockQ3_K)
OUTPOST_NOT_EMULATED(BlockQ5_K)
OUTPOST_NOT_EMULATED(BlockQ6_K)
OUTPOST_NOT_EMULATED(BlockQ8_K)
OUTPOST_NOT_EMULATED(BlockIQ4_XS)
OUTPOST_NOT_EMULATED(BlockTQ1_0)
OUTPOST_NOT_EMULATED(BlockTQ2_0)
OUTPOST_NOT_EMULATED(BlockIQ2_XXS)
OUTPOST_NOT_EMULATED(BlockIQ2_XS)
OUTPOST_NOT_EMULATED(BlockIQ2_S)
OUTPOST_NOT_EMULATED(BlockIQ3_XXS)
OUTPOST_NOT_EMULATED(BlockIQ3_S)
OUTPOST_NOT_EMULATED(BlockIQ1_S)
OUTPOST_NOT_EMULATED(BlockIQ1_M)
OUTPOST_NOT_EMULATED(WideQ6_K)

template <>
Error launch_super<BlockQ5_K>(Stream, const SuperLaunch&) {
  return Error::kInvalidValue;
}
template <>
Error launch_super<WideQ6_K>(Stream, const SuperLaunch&) {
  return Error::kInvalidValue;
}

// Two multiprocessors, so that blocks of superblock_stream go on from tile to tile.
int32_t stream_blocks() { return n_multiprocessors(); }

bool has_wgmma() { return false; }
int32_t n_multiprocessors() { return 2; }

}  // namespace outpost::gpu
