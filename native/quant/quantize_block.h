// One block of each format. Private to quant/: callers use quantize().
#pragma once

#include "kernels/common/block_layouts.h"

namespace outpost {

// Blocks of 32 (quantize_small.cpp).
void quantize_block(const float* x, BlockQ4_0& block);
void quantize_block(const float* x, BlockQ4_1& block);
void quantize_block(const float* x, BlockQ5_0& block);
void quantize_block(const float* x, BlockQ5_1& block);
void quantize_block(const float* x, BlockQ8_0& block);
void quantize_block(const float* x, BlockIQ4_NL& block);
void quantize_block(const float* x, BlockMXFP4& block);

// Superblocks of 256: quantize_k.cpp,
void quantize_block(const float* x, BlockQ2_K& block);
void quantize_block(const float* x, BlockQ3_K& block);
void quantize_block(const float* x, BlockQ4_K& block);
void quantize_block(const float* x, BlockQ5_K& block);
void quantize_block(const float* x, BlockQ6_K& block);
void quantize_block(const float* x, BlockIQ4_XS& block);
// and quantize_ternary.cpp.
void quantize_block(const float* x, BlockTQ1_0& block);
void quantize_block(const float* x, BlockTQ2_0& block);

}  // namespace outpost
