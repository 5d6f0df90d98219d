// The kernels that Metal's launchers launch. Two files are made of this list: kernels.metal, which compiles an instance
// of each template under the name by which the host finds it, and the host's table of these names (kernel_table.h).
//
//   OUTPOST_INSTANCE(name, kernel)   an instance of a template
//   OUTPOST_KERNEL(kernel)           what is no template, and has its own name
#pragma once

#define OUTPOST_BLOCKS(OF) \
  OF(BlockQ4_0)            \
  OF(BlockQ4_1)            \
  OF(BlockQ5_0)            \
  OF(BlockQ5_1)            \
  OF(BlockQ8_0)            \
  OF(BlockIQ4_NL)          \
  OF(BlockMXFP4)           \
  OF(BlockQ2_K)            \
  OF(BlockQ3_K)            \
  OF(BlockQ4_K)            \
  OF(BlockQ5_K)            \
  OF(BlockQ6_K)            \
  OF(BlockQ8_K)            \
  OF(BlockIQ4_XS)          \
  OF(BlockTQ1_0)           \
  OF(BlockTQ2_0)           \
  OF(BlockIQ2_XXS)         \
  OF(BlockIQ2_XS)          \
  OF(BlockIQ2_S)           \
  OF(BlockIQ3_XXS)         \
  OF(BlockIQ3_S)           \
  OF(BlockIQ1_S)           \
  OF(BlockIQ1_M)           \
  OF(WideQ8_0)             \
  OF(WideQ6_K)

/// Of a type of blocks.
#define OUTPOST_BLOCK_KERNELS(Block)                                   \
  OUTPOST_INSTANCE("matvec_1_" #Block, matvec<Block, 1>)               \
  OUTPOST_INSTANCE("matvec_8_" #Block, matvec<Block, 8>)               \
  OUTPOST_INSTANCE("matvec_16_" #Block, matvec<Block, 16>)             \
  OUTPOST_INSTANCE("matvec_gated_1_" #Block, matvec_gated<Block, 1>)   \
  OUTPOST_INSTANCE("matvec_gated_8_" #Block, matvec_gated<Block, 8>)   \
  OUTPOST_INSTANCE("matvec_gated_16_" #Block, matvec_gated<Block, 16>) \
  OUTPOST_INSTANCE("experts_gated_" #Block, experts_gated<Block>)      \
  OUTPOST_INSTANCE("experts_matvec_" #Block, experts_matvec<Block>)    \
  OUTPOST_INSTANCE("embed_" #Block, embed<Block>)                      \
  OUTPOST_INSTANCE("gemm_simdgroup_" #Block, gemm_simdgroup<Block>)    \
  OUTPOST_INSTANCE("experts_simdgroup_" #Block, experts_simdgroup<Block>)

/// Of a type without blocks.
#define OUTPOST_ELEMENT_KERNELS(Element)                                   \
  OUTPOST_INSTANCE("float_matvec_1_" #Element, float_matvec<Element, 1>)   \
  OUTPOST_INSTANCE("float_matvec_8_" #Element, float_matvec<Element, 8>)   \
  OUTPOST_INSTANCE("float_matvec_16_" #Element, float_matvec<Element, 16>) \
  OUTPOST_INSTANCE("float_experts_" #Element, float_experts<Element>)      \
  OUTPOST_INSTANCE("float_embed_" #Element, float_embed<Element>)

/// Of the largest head dimensions.
#define OUTPOST_ATTENTION_KERNELS(dim_k, dim_v)                                            \
  OUTPOST_INSTANCE("attention_split_" #dim_k "_" #dim_v, attention<8, dim_k, dim_v, true>) \
  OUTPOST_INSTANCE("attention_" #dim_k "_" #dim_v, attention<8, dim_k, dim_v, false>)
#define OUTPOST_ROPE_ATTENTION_KERNELS(dim)                                                 \
  OUTPOST_INSTANCE("rope_and_attention_split_" #dim, rope_and_attention<8, dim, dim, true>) \
  OUTPOST_INSTANCE("rope_and_attention_" #dim, rope_and_attention<8, dim, dim, false>)
#define OUTPOST_CODES_KERNELS(dim)                                                                   \
  OUTPOST_INSTANCE("attention_codes_" #dim, attention_codes<8, dim>)                                 \
  OUTPOST_INSTANCE("merge_and_turn_back_" #dim, merge_and_turn_back<dim>)                            \
  OUTPOST_INSTANCE("rope_and_store_codes_" #dim, rope_and_store_codes<dim, TurnShape<dim>::kTokens>) \
  OUTPOST_INSTANCE("rope_and_store_codes_one_" #dim, rope_and_store_codes<dim, 1>)                   \
  OUTPOST_INSTANCE("turn_back_" #dim, turn_back<dim>)

#define OUTPOST_FLASH_KERNEL(dim) OUTPOST_INSTANCE("flash_simdgroup_" #dim, flash_simdgroup<dim>)

/// All that are not of a type of blocks.
#define OUTPOST_OTHER_KERNELS                                                       \
  OUTPOST_ELEMENT_KERNELS(ElementF32)                                               \
  OUTPOST_ELEMENT_KERNELS(ElementF16)                                               \
  OUTPOST_ELEMENT_KERNELS(ElementBF16)                                              \
  OUTPOST_ATTENTION_KERNELS(128, 128)                                               \
  OUTPOST_ATTENTION_KERNELS(256, 256)                                               \
  OUTPOST_ATTENTION_KERNELS(576, 512)                                               \
  OUTPOST_ROPE_ATTENTION_KERNELS(128)                                               \
  OUTPOST_ROPE_ATTENTION_KERNELS(256)                                               \
  OUTPOST_INSTANCE("attention_merge_split", attention_merge<kKvSplit>)              \
  OUTPOST_INSTANCE("attention_merge_codes", attention_merge_codes<kKvSplit>)        \
  OUTPOST_INSTANCE("gemm_simdgroup_ElementF16", gemm_simdgroup<ElementF16>)         \
  OUTPOST_INSTANCE("gemm_simdgroup_ElementBF16", gemm_simdgroup<ElementBF16>)       \
  OUTPOST_INSTANCE("experts_simdgroup_ElementF16", experts_simdgroup<ElementF16>)   \
  OUTPOST_INSTANCE("experts_simdgroup_ElementBF16", experts_simdgroup<ElementBF16>) \
  OUTPOST_FLASH_KERNEL(64)                                                          \
  OUTPOST_FLASH_KERNEL(80)                                                          \
  OUTPOST_FLASH_KERNEL(96)                                                          \
  OUTPOST_FLASH_KERNEL(128)                                                         \
  OUTPOST_FLASH_KERNEL(256)                                                         \
  OUTPOST_CODES_KERNELS(128)                                                        \
  OUTPOST_CODES_KERNELS(256)                                                        \
  OUTPOST_CODES_KERNELS(576)                                                        \
  OUTPOST_KERNEL(activate)                                                          \
  OUTPOST_KERNEL(add)                                                               \
  OUTPOST_KERNEL(add_gated)                                                         \
  OUTPOST_KERNEL(arrange_choices)                                                   \
  OUTPOST_KERNEL(best_of_groups)                                                    \
  OUTPOST_KERNEL(combine_experts)                                                   \
  OUTPOST_KERNEL(copy_columns)                                                      \
  OUTPOST_KERNEL(copy_experts)                                                      \
  OUTPOST_KERNEL(gate)                                                              \
  OUTPOST_KERNEL(gather_rows)                                                       \
  OUTPOST_KERNEL(group_experts)                                                     \
  OUTPOST_KERNEL(halve_activations)                                                 \
  OUTPOST_KERNEL(halve_normed)                                                      \
  OUTPOST_KERNEL(halve_choices)                                                     \
  OUTPOST_KERNEL(layer_norm)                                                        \
  OUTPOST_KERNEL(pack_pages)                                                        \
  OUTPOST_KERNEL(quantize_activations)                                              \
  OUTPOST_KERNEL(residual_norm)                                                     \
  OUTPOST_KERNEL(resolve_experts)                                                   \
  OUTPOST_KERNEL(rms_norm)                                                          \
  OUTPOST_KERNEL(rope_and_store_kv)                                                 \
  OUTPOST_KERNEL(route_experts)                                                     \
  OUTPOST_KERNEL(scale)                                                             \
  OUTPOST_KERNEL(shortlist)                                                         \
  OUTPOST_KERNEL(softcap)                                                           \
  OUTPOST_KERNEL(unpack_pages)                                                      \
  OUTPOST_KERNEL(widen_q6_k)                                                        \
  OUTPOST_KERNEL(widen_q8_0)
