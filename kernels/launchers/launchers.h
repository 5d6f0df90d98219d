// The kernels as launches: one function per operation, raw device pointers in, the error of the launch
// out. Shapes and meaning are at the kernels; nothing here waits for the device. Launches of nothing are no errors.
//
// C++ sources may include this too: of the kernels, they use the structures of parameters.
#pragma once

#include "kernels/launchers/launch_types.h"
#include "kernels/portable/activations.h"
#include "kernels/portable/attention_codes.h"
#include "kernels/portable/attention_merge.h"
#include "kernels/portable/elementwise.h"
#include "kernels/portable/expert_rows.h"
#include "kernels/portable/expert_slots.h"
#include "kernels/portable/experts.h"
#include "kernels/portable/float_matvec.h"
#include "kernels/portable/halve.h"
#include "kernels/portable/norm.h"
#include "kernels/portable/pack_codes.h"
#include "kernels/portable/rope_attention.h"
#include "kernels/portable/rope_codes.h"
#include "kernels/portable/shortlist.h"
#include "kernels/portable/superblock_matvec.h"
#include "kernels/portable/turned_merge.h"
#include "kernels/portable/widen.h"
#include "kernels/runtime/runtime.h"

namespace outpost::gpu {

// ---- vector_launchers.cu
/// @param addend null: none
Error launch_residual_norm(Stream stream, float* y, float* x, const float* addend, const float* weight,
                           const QuantizedOutput& codes, int32_t n_rows, const ResidualNormParams& params);
/// @param narrow blocks of the file, n_elements in all, can_widen
Error launch_widen(Stream stream, TensorType type, const void* narrow, void* wide, int64_t n_elements);
Error launch_quantize(Stream stream, const float* x, const QuantizedOutput& codes, const QuantizeParams& params);
Error launch_rms_norm(Stream stream, float* y, const float* x, const float* weight, int32_t n_rows,
                      const NormParams& params);
Error launch_layer_norm(Stream stream, float* y, const float* x, const float* weight, const float* bias, int32_t n_rows,
                        const NormParams& params);
Error launch_add(Stream stream, float* x, const float* y, const ElementParams& params);
Error launch_scale(Stream stream, float* x, const ElementParams& params);
Error launch_softcap(Stream stream, float* x, const ElementParams& params);
Error launch_activate(Stream stream, float* x, const ElementParams& params);
Error launch_gate(Stream stream, float* y, const float* up, const ElementParams& params);
Error launch_add_gated(Stream stream, float* x, const float* y, const float* logits, const RowParams& params);
Error launch_copy_columns(Stream stream, float* y, const float* x, const RowParams& params);
Error launch_gather_rows(Stream stream, float* y, const float* x, const int32_t* rows, const RowParams& params);
Error launch_rope_and_store_kv(Stream stream, float* q, const float* k, const float* v, const float* turns,
                               const int32_t* positions, const int32_t* slots, uint16_t* pages, int32_t n_tokens,
                               const RopeKvParams& params);
/// @param groups room for 2 * n_rows * params.n_groups numbers, lists [n_rows, kShortlistWords]
Error launch_shortlist(Stream stream, const float* logits, float* groups, float* lists, int32_t n_rows,
                       const ShortlistParams& params);
Error launch_route_experts(Stream stream, const float* logits, const float* bias, int32_t* experts, float* weights,
                           int32_t n_tokens, const RouterKernelParams& params);
Error launch_group_experts(Stream stream, const int32_t* experts, int32_t* order, int32_t* tiles, int32_t* n_tiles,
                           const GroupParams& params);
Error launch_arrange_choices(Stream stream, const int32_t* experts, int32_t* rows, int32_t* tiles,
                             const ArrangeParams& params);
/// @param up null without params.is_gated
Error launch_halve(Stream stream, const float* x, const float* up, uint32_t* image, float* scales,
                   const HalveParams& params);
/// @param addend null without params.has_addend
Error launch_halve_normed(Stream stream, float* x, const float* addend, const float* weight, uint32_t* image,
                          float* scales, const HalveNormedParams& params);
/// @param up null without params.is_gated
Error launch_halve_choices(Stream stream, const float* x, const float* up, const int32_t* rows, uint32_t* image,
                           float* scales, const HalveChoicesParams& params);
Error launch_combine_experts(Stream stream, const float* x, const float* weights, float* y,
                             const CombineParams& params);

// ---- attention_launchers.cu, flash_launchers.cu
/// Rows of a tile that append_tiles has to be given for these tiles: that many, or where splits have blocks of their
/// own twice or four times as many, up to most_attention_rows. The bits are the same.
inline constexpr int32_t kAttentionRows = 8;
int32_t most_attention_rows(int32_t head_dim_k, int32_t head_dim_v);

struct AttentionArrays {
  const float* q;
  const uint16_t* pages;
  const int32_t* page_tables;
  const AttentionTile* tiles;
  const int32_t* positions;
  const float* sinks;  ///< null: none
  float* y;
  float* partial;  ///< null: all splits of a tile in one block
  float* states;
  /// What y is as codes, where can_merge_codes; null: not wanted.
  const QuantizedOutput* codes = nullptr;
  bool is_super = false;
  int32_t n_tile_rows = kAttentionRows;
};

/// Whether launch_attention with splits in blocks of their own can leave y as codes as well: there are few splits, and
/// groups do not go over rows.
bool can_merge_codes(int32_t n_splits, bool is_super, const AttentionKernelParams& params);

/// @param n_splits up to the last position of any token
/// @return Error::kInvalidValue for dimensions without a kernel (not a multiple of 4, above 576 and 512) and for larger
///   tiles than there are kernels for
Error launch_attention(Stream stream, const AttentionArrays& arrays, int32_t n_tiles, int32_t n_splits,
                       const AttentionKernelParams& params);

/// What rope_and_store_kv would take. `q` and `pages` are those of AttentionArrays.
struct RopeKvArrays {
  const float* k;
  const float* v;
  const float* turns;  ///< null without pairs
  uint16_t* pages;
};
/// Whether launch_rope_and_attention computes with heads of these dimensions.
bool can_rope_and_attend(int32_t head_dim_k, int32_t head_dim_v);
/// launch_rope_and_store_kv and launch_attention to the same bits, at most kMaxNewPositions tokens of each sequence; q
/// is left as it is. No sequence of the pass reads what another adds.
/// @return Error::kInvalidValue where can_rope_and_attend says no, and as launch_attention
Error launch_rope_and_attention(Stream stream, const AttentionArrays& arrays, const RopeKvArrays& rope, int32_t n_tiles,
                                int32_t n_splits, const RopeAttentionParams& params);

/// Rows of a tile that append_tiles has to be given for launch_flash.
int32_t flash_rows();
/// Whether launch_flash computes with heads of these dimensions on the current device.
bool has_flash(int32_t head_dim_k, int32_t head_dim_v);
/// Many tokens at once, on matrix units. Tiles that are long should come first. positions, partial and states are not
/// used. @return Error::kInvalidValue where has_flash says no
Error launch_flash(Stream stream, const AttentionArrays& arrays, int32_t n_tiles, const AttentionKernelParams& params);

// ---- codes_launchers.cu: keys and values in pages of codes (kernels/portable/kv_codes.h). Error::kInvalidValue for
// dimensions without a kernel: not a multiple of 4, above 576 and 512.
struct CodesMemory {
  uint32_t* arena;       ///< what `forms` counts from; null, and forms are addresses in words
  const int64_t* forms;  ///< [n_page, kForms]
};
struct TurnMatrices {
  const float* matrices;
  const float* means;  ///< read if params.has_means
};
Error launch_rope_and_store_codes(Stream stream, float* q, const float* k, const float* v, const float* turns,
                                  const int32_t* positions, const int32_t* slots, const CodesMemory& memory,
                                  const TurnMatrices& turn, const RopeCodesParams& params);
Error launch_turn_back(Stream stream, float* y, const TurnMatrices& turn, const RopeCodesParams& params);
Error launch_pack_pages(Stream stream, const int32_t* pages, int32_t n_pages, const CodesMemory& memory,
                        const CodesLayout& kv);
Error launch_unpack_pages(Stream stream, const UnpackedPage* entries, int32_t n_entries, const CodesMemory& memory,
                          uint16_t* pages, const CodesLayout& kv, const KvLayout& result);

struct CodesAttentionArrays {
  const float* q;
  CodesMemory memory;
  const int32_t* page_tables;
  const AttentionTile* tiles;  ///< of n_tile_rows, by append_page_tiles
  const int32_t* positions;
  const float* sinks;  ///< null: none
  float* y;
  float* partial;  ///< [n_spans, n_tokens, n_head, head_dim_v]
  float* states;   ///< [n_spans, n_tokens, n_head, 2]
  /// This many, or twice as many, up to most_codes_rows. The bits are the same.
  int32_t n_tile_rows = kAttentionRows;
};
int32_t most_codes_rows();
/// Of up to kMatvecMaxTokens tokens; y is turned back.
/// @param n_spans of kCodesSpan, up to the last position of any token
/// @param codes what launch_turn_back would get, its layout that of the layer
Error launch_attention_codes(Stream stream, const CodesAttentionArrays& arrays, int32_t n_tiles, int32_t n_spans,
                             const TurnMatrices& turn, const RopeCodesParams& codes,
                             const AttentionKernelParams& params);

// ---- float_launchers.cu. Error::kInvalidValue for a type with blocks, except of launch_embed.
/// Any number of tokens.
Error launch_float_matvec(Stream stream, TensorType type, const void* weight, const float* x, const float* bias,
                          float* y, const FloatMatvecParams& params);
/// @param places null without params.has_slots
Error launch_float_experts(Stream stream, TensorType type, const void* weight, const float* x, const float* bias,
                           const int32_t* choices, const int32_t* places, float* y, const FloatExpertParams& params);
/// A table of any type.
Error launch_embed(Stream stream, DeviceType type, const void* table, const int32_t* tokens, float* y,
                   const EmbedParams& params);

// ---- matvec_launchers.cu. Error::kInvalidValue for a type without blocks, and for more than kMatvecMaxTokens tokens
// but with experts. An array of blocks begins at a multiple of 16 bytes.
Error launch_matvec(Stream stream, DeviceType type, const void* weight, const QuantizedInput& x, const float* bias,
                    float* y, const MatvecParams& params);
/// Whether the current device has superblock_stream: compute capability 9.0 with 227 KiB of shared memory.
bool has_stream();
/// Whether one token's products with matrices of this type and width may take a FusedInput and an addition.
bool can_fuse(DeviceType type, int64_t n_cols);
/// Products of up to kSuperMatrices matrices of one type with the same input, in one launch where is_superblock.
Error launch_matvec_set(Stream stream, DeviceType type, const MatrixProduct* products, int32_t n_products,
                        const QuantizedInput& x, int32_t n_groups, int32_t n_tokens, SuperPath path = kSuperAny);
/// One token, and only where can_fuse says so: result += factor * product if `adds`, else as launch_matvec_set.
/// @param x not used if fused.values are given
Error launch_fused(Stream stream, DeviceType type, const MatrixProduct* products, int32_t n_products,
                   const QuantizedInput& x, const FusedInput& fused, int32_t n_groups, bool adds = false,
                   float factor = 1.0f);
/// The same of a gated pair. @param params n_tokens is 1
Error launch_fused_gated(Stream stream, DeviceType type, const void* gate, const void* up, const FusedInput& fused,
                         const float* gate_bias, const float* up_bias, float* y, const MatvecParams& params);
/// Both weights are of one type.
Error launch_matvec_gated(Stream stream, DeviceType type, const void* gate, const void* up, const QuantizedInput& x,
                          const float* gate_bias, const float* up_bias, float* y, const MatvecParams& params,
                          SuperPath path = kSuperAny);

// ---- gemm_launchers.cu: products with many tokens on matrix units
/// Words of the image.
inline size_t image_words(int32_t n_tokens, int32_t n_cols) {
  return static_cast<size_t>((n_cols + kImageSlice - 1) / kImageSlice * kImageSlice / 2) *
         static_cast<size_t>((n_tokens + kImageTokens - 1) / kImageTokens * kImageTokens);
}
/// Tokens of a long pass that the device is best at, and fewer of which take it about as long.
struct PassTokens {
  int32_t best, least;
};
PassTokens pass_tokens();
/// Whether kUnitsBest of the current device is something else than kUnitsMma.
bool has_wgmma();
/// What kGemmAny is on the current device.
GemmTile choose_gemm_tile(const MatrixProduct* products, int32_t n_products, int32_t n_tokens, GemmUnits units);
/// Products of up to kGemmMatrices matrices of one type, in one launch. Weights begin at multiples of 16 bytes.
/// @return Error::kInvalidValue where can_gemm says no
Error launch_gemm(Stream stream, DeviceType type, const MatrixProduct* products, int32_t n_products,
                  const HalvedInput& x, int32_t n_groups, int32_t n_tokens, GemmTile tile = kGemmAny,
                  GemmUnits units = kUnitsBest);

/// Rows of a tile for so many choices: what launch_experts_gemm takes.
int32_t expert_tile_rows(int32_t n_choices, int32_t n_expert, GemmUnits units = kUnitsBest);
/// launch_gemm with the experts that were chosen. @param x as halve_choices leaves it
/// @param weight begins at a multiple of 16 bytes
/// @return Error::kInvalidValue where can_gemm says no, and for tiles of other sizes
Error launch_experts_gemm(Stream stream, DeviceType type, const void* weight, const HalvedInput& x, const float* bias,
                          const ArrangedChoices& choices, float* y, const ExpertGemmParams& params,
                          GemmUnits units = kUnitsBest);

// ---- matrix_rate.cu
/// Nothing but bf16 products of inputs that are there, to measure what the matrix units can do.
/// @param y [n_blocks, 256] @param n_operations multiplications and additions that it does
Error launch_matrix_rate(Stream stream, float* y, int32_t n_blocks, int32_t n_rounds, double& n_operations);

// ---- matvec_launchers.cu
Error launch_experts_gated(Stream stream, DeviceType type, const void* gate, const void* up, const QuantizedInput& x,
                           const float* gate_bias, const float* up_bias, const ExpertLists& lists, float* y,
                           const ExpertParams& params);
Error launch_experts_matvec(Stream stream, DeviceType type, const void* weight, const QuantizedInput& x,
                            const float* bias, const ExpertLists& lists, float* y, const ExpertParams& params);

// ---- expert_cache_launchers.cu: experts of a layer that are not all on the device
/// What a layer keeps from pass to pass.
struct SlotTable {
  int32_t* slot_of;    ///< [n_expert]
  int32_t* expert_of;  ///< [n_slots]
  int64_t* used_at;    ///< [n_slots]
  int64_t* counters;   ///< [kSlotCounters], of all layers
};
/// What a pass has to know of a layer.
struct SlotPlan {
  int32_t* places;    ///< [n_expert, 2]
  int32_t* copies;    ///< [n_expert, 2]
  int32_t* n_copies;  ///< [2]
};
/// Rounds that n_choices may need.
inline int32_t expert_rounds(int32_t n_choices, const SlotParams& params) {
  const int32_t n_chosen = n_choices < params.n_expert ? n_choices : params.n_expert;
  return (n_chosen + params.n_slots - 1) / params.n_slots;
}
Error launch_resolve_experts(Stream stream, const ExpertLists& lists, const SlotTable& table, const SlotPlan& plan,
                             const SlotParams& params);
/// A matrix of all experts in memory of the host that the device reads, and its slots. Both begin at a multiple of 16
/// bytes, and an expert takes a multiple of 16.
struct ExpertCopy {
  const void* from;
  void* to;
  int64_t n_bytes;  ///< of one expert
};
/// @param copies n_matrices, at most kCopyMatrices
Error launch_copy_experts(Stream stream, const ExpertCopy* copies, int32_t n_matrices, const SlotPlan& plan,
                          int32_t n_choices, int32_t n_slots, int32_t round);

}  // namespace outpost::gpu
