// Entry points for the portable kernels: an instance of each template under the name by which the host finds it. The
// kernels that are no templates are entry points already.
#include "kernels/metal/flash_simdgroup.h"
#include "kernels/metal/gemm_simdgroup.h"
#include "kernels/portable/activations.h"
#include "kernels/portable/attention.h"
#include "kernels/portable/attention_codes.h"
#include "kernels/portable/attention_merge.h"
#include "kernels/portable/elementwise.h"
#include "kernels/portable/expert_slots.h"
#include "kernels/portable/experts.h"
#include "kernels/portable/float_matvec.h"
#include "kernels/portable/halve.h"
#include "kernels/portable/norm.h"
#include "kernels/portable/pack_codes.h"
#include "kernels/portable/rope_codes.h"
#include "kernels/portable/rope_kv.h"
#include "kernels/portable/sample.h"
#include "kernels/portable/widen.h"

namespace outpost {
namespace gpu {

#ifndef OUTPOST_INSTANCE  // kernels/metal/check has its own: C++ allows no attribute here
#define OUTPOST_INSTANCE(name, ...) template [[host_name(name)]] kernel decltype(__VA_ARGS__) __VA_ARGS__;
#endif

#define OUTPOST_MATVEC(Block)                                        \
  OUTPOST_INSTANCE("matvec_1_" #Block, matvec<Block, 1>)             \
  OUTPOST_INSTANCE("matvec_8_" #Block, matvec<Block, 8>)             \
  OUTPOST_INSTANCE("matvec_16_" #Block, matvec<Block, 16>)           \
  OUTPOST_INSTANCE("matvec_gated_1_" #Block, matvec_gated<Block, 1>) \
  OUTPOST_INSTANCE("matvec_gated_8_" #Block, matvec_gated<Block, 8>) \
  OUTPOST_INSTANCE("experts_gated_" #Block, experts_gated<Block>)    \
  OUTPOST_INSTANCE("experts_matvec_" #Block, experts_matvec<Block>)  \
  OUTPOST_INSTANCE("gemm_simdgroup_" #Block, gemm_simdgroup<Block>)

OUTPOST_MATVEC(BlockQ4_0)
OUTPOST_MATVEC(BlockQ4_1)
OUTPOST_MATVEC(BlockQ5_0)
OUTPOST_MATVEC(BlockQ5_1)
OUTPOST_MATVEC(BlockQ8_0)
OUTPOST_MATVEC(BlockIQ4_NL)
OUTPOST_MATVEC(BlockMXFP4)
OUTPOST_MATVEC(BlockQ2_K)
OUTPOST_MATVEC(BlockQ3_K)
OUTPOST_MATVEC(BlockQ4_K)
OUTPOST_MATVEC(BlockQ5_K)
OUTPOST_MATVEC(BlockQ6_K)
OUTPOST_MATVEC(BlockQ8_K)
OUTPOST_MATVEC(BlockIQ4_XS)
OUTPOST_MATVEC(BlockTQ1_0)
OUTPOST_MATVEC(BlockTQ2_0)
OUTPOST_MATVEC(BlockIQ2_XXS)
OUTPOST_MATVEC(BlockIQ2_XS)
OUTPOST_MATVEC(BlockIQ2_S)
OUTPOST_MATVEC(BlockIQ3_XXS)
OUTPOST_MATVEC(BlockIQ3_S)
OUTPOST_MATVEC(BlockIQ1_S)
OUTPOST_MATVEC(BlockIQ1_M)
OUTPOST_MATVEC(WideQ8_0)
OUTPOST_MATVEC(WideQ6_K)

#define OUTPOST_FLOAT_MATVEC(Element)                                      \
  OUTPOST_INSTANCE("float_matvec_1_" #Element, float_matvec<Element, 1>)   \
  OUTPOST_INSTANCE("float_matvec_8_" #Element, float_matvec<Element, 8>)   \
  OUTPOST_INSTANCE("float_matvec_16_" #Element, float_matvec<Element, 16>) \
  OUTPOST_INSTANCE("float_experts_" #Element, float_experts<Element>)      \
  OUTPOST_INSTANCE("float_embed_" #Element, float_embed<Element>)

OUTPOST_FLOAT_MATVEC(ElementF32)
OUTPOST_FLOAT_MATVEC(ElementF16)
OUTPOST_FLOAT_MATVEC(ElementBF16)

OUTPOST_INSTANCE("gemm_simdgroup_ElementF16", gemm_simdgroup<ElementF16>)
OUTPOST_INSTANCE("gemm_simdgroup_ElementBF16", gemm_simdgroup<ElementBF16>)

#define OUTPOST_ATTENTION(dim_k, dim_v)                                                                \
  OUTPOST_INSTANCE("attention_split_" #dim_k "_" #dim_v, attention<8, dim_k, dim_v, true>)             \
  OUTPOST_INSTANCE("attention_" #dim_k "_" #dim_v, attention<8, dim_k, dim_v, false>)

OUTPOST_ATTENTION(128, 128)
OUTPOST_ATTENTION(256, 256)
OUTPOST_ATTENTION(576, 512)

OUTPOST_INSTANCE("flash_simdgroup_64", flash_simdgroup<64>)
OUTPOST_INSTANCE("flash_simdgroup_80", flash_simdgroup<80>)
OUTPOST_INSTANCE("flash_simdgroup_96", flash_simdgroup<96>)
OUTPOST_INSTANCE("flash_simdgroup_128", flash_simdgroup<128>)
OUTPOST_INSTANCE("flash_simdgroup_256", flash_simdgroup<256>)

OUTPOST_INSTANCE("attention_merge_split", attention_merge<kKvSplit>)
OUTPOST_INSTANCE("attention_merge_span", attention_merge<kCodesSpan>)
OUTPOST_INSTANCE("attention_merge_codes", attention_merge_codes<kKvSplit>)

#define OUTPOST_CODES(dim)                                                    \
  OUTPOST_INSTANCE("attention_codes_" #dim, attention_codes<8, dim>)          \
  OUTPOST_INSTANCE("rope_and_store_codes_" #dim, rope_and_store_codes<dim>)   \
  OUTPOST_INSTANCE("turn_back_" #dim, turn_back<dim>)

OUTPOST_CODES(128)
OUTPOST_CODES(256)
OUTPOST_CODES(576)

}  // namespace gpu
}  // namespace outpost
