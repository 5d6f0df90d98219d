// One block of each format. Private to quant/: callers use dequantize().
#pragma once

#include "kernels/common/block_layouts.h"

namespace outpost {

// Blocks of 32 (dequantize_small.cpp).
void dequantize_block(const BlockQ4_0& block, float* out);
void dequantize_block(const BlockQ4_1& block, float* out);
void dequantize_block(const BlockQ5_0& block, float* out);
void dequantize_block(const BlockQ5_1& block, float* out);
void dequantize_block(const BlockQ8_0& block, float* out);
void dequantize_block(const BlockIQ4_NL& block, float* out);
void dequantize_block(const BlockMXFP4& block, float* out);

// Superblocks of 256: dequantize_k.cpp,
void dequantize_block(const BlockQ2_K& block, float* out);
void dequantize_block(const BlockQ3_K& block, float* out);
void dequantize_block(const BlockQ4_K& block, float* out);
void dequantize_block(const BlockQ5_K& block, float* out);
void dequantize_block(const BlockQ6_K& block, float* out);
void dequantize_block(const BlockQ8_K& block, float* out);
void dequantize_block(const BlockIQ4_XS& block, float* out);
void dequantize_block(const BlockTQ1_0& block, float* out);
void dequantize_block(const BlockTQ2_0& block, float* out);
// and those with a codebook in dequantize_iq.cpp.
void dequantize_block(const BlockIQ2_XXS& block, float* out);
void dequantize_block(const BlockIQ2_XS& block, float* out);
void dequantize_block(const BlockIQ2_S& block, float* out);
void dequantize_block(const BlockIQ3_XXS& block, float* out);
void dequantize_block(const BlockIQ3_S& block, float* out);
void dequantize_block(const BlockIQ1_S& block, float* out);
void dequantize_block(const BlockIQ1_M& block, float* out);

}  // namespace outpost
