// The products that the emulated device has: some types of blocks, which the tests of the backend take. The kernels of
// all types are tested without a backend.
#include "kernels/common/wide_blocks.h"
#include "kernels/cuda/gemm_launch.h"
#include "kernels/cuda/matvec_launch.h"
#include "kernels/cuda/superblock_launch.h"

namespace outpost::gpu {

template cudaError_t launch_block<BlockQ4_0>(cudaStream_t, const MatvecLaunch&);
template cudaError_t launch_block<BlockQ4_K>(cudaStream_t, const MatvecLaunch&);
template cudaError_t launch_block<BlockMXFP4>(cudaStream_t, const MatvecLaunch&);
template cudaError_t launch_block<WideQ8_0>(cudaStream_t, const MatvecLaunch&);
template cudaError_t launch_super<BlockQ4_K>(cudaStream_t, const SuperLaunch&);
template cudaError_t launch_super<WideQ8_0>(cudaStream_t, const SuperLaunch&);

#define OUTPOST_NOT_EMULATED(Block)                                    \
  template <>                                                          \
  cudaError_t launch_block<Block>(cudaStream_t, const MatvecLaunch&) { \
    return cudaErrorInvalidValue;                                      \
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
cudaError_t launch_super<BlockQ5_K>(cudaStream_t, const SuperLaunch&) {
  return cudaErrorInvalidValue;
}
template <>
cudaError_t launch_super<WideQ6_K>(cudaStream_t, const SuperLaunch&) {
  return cudaErrorInvalidValue;
}

// As a device before 9.0.
bool has_gemm() { return false; }
cudaError_t launch_halve(cudaStream_t, const float*, uint32_t*, float*, const HalveParams&) {
  return cudaErrorInvalidValue;
}
cudaError_t launch_gemm(cudaStream_t, DeviceType, const void*, const HalvedInput&, const float*, float*,
                        const GemmParams&, GemmTile) {
  return cudaErrorInvalidValue;
}

}  // namespace outpost::gpu
