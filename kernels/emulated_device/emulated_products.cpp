// The products that the emulated device has: some types of blocks, which the tests of the backend take. The kernels of
// all types are tested without a backend.
#include "kernels/common/wide_blocks.h"
#include "kernels/cuda/matvec_launch.h"
#include "kernels/cuda/superblock_launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {

template Error launch_block<BlockQ4_0>(Stream, const MatvecLaunch&);
template Error launch_block<BlockQ4_K>(Stream, const MatvecLaunch&);
template Error launch_block<BlockMXFP4>(Stream, const MatvecLaunch&);
template Error launch_block<WideQ8_0>(Stream, const MatvecLaunch&);
template Error launch_super<BlockQ4_K>(Stream, const SuperLaunch&);
template Error launch_super<WideQ8_0>(Stream, const SuperLaunch&);

#define OUTPOST_NOT_EMULATED(Block)                        \
  template <>                                              \
  Error launch_block<Block>(Stream, const MatvecLaunch&) { \
    return Error::kInvalidValue;                           \
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
int32_t stream_blocks() { return 2; }

// As a device before 9.0.
bool has_gemm() { return false; }
PassTokens pass_tokens() { return {512, 64}; }
Error launch_halve(Stream, const float*, uint32_t*, float*, const HalveParams&) { return Error::kInvalidValue; }
Error launch_gemm(Stream, DeviceType, const void*, const HalvedInput&, const float*, float*, const GemmParams&,
                  GemmTile) {
  return Error::kInvalidValue;
}
int32_t expert_tile_rows(int32_t, int32_t) { return 0; }
Error launch_experts_gemm(Stream, DeviceType, const void*, const HalvedInput&, const float*, const ArrangedChoices&,
                          float*, const ExpertGemmParams&) {
  return Error::kInvalidValue;
}

}  // namespace outpost::gpu
