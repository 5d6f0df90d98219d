// The kernels as the tests run them: under the SIMT emulator (operations_emulator.cpp, part of outpost-tests), or with
// OUTPOST_ON_GPU on a real device through the launchers that the backend uses (operations_cuda.cpp, outpost-gpu-tests).
// The same cases, the same references, the same tolerances.
#pragma once

#include <cstring>
#include <vector>

#include "kernels/launchers/launch_types.h"
#include "kernels/portable/attention_merge.h"
#include "kernels/portable/elementwise.h"
#include "kernels/portable/expert_rows.h"
#include "kernels/portable/experts.h"
#include "kernels/portable/float_matvec.h"
#include "kernels/portable/halve.h"
#include "kernels/portable/norm.h"
#include "kernels/portable/rope_attention.h"
#include "kernels/portable/shortlist.h"
#include "kernels/portable/superblock_matvec.h"
#include "kernels/portable/widen.h"
#include "tests/support/quantized_data.h"

#ifdef OUTPOST_ON_GPU
#include "kernels/launchers/launchers.h"
#include "kernels/tests/cuda_array.h"
#else
#include "kernels/emulator/simt.h"
#endif

namespace outpost::test {

using emulator::RegionKind;
using emulator::Schedule;
#ifdef OUTPOST_ON_GPU
using cuda::DeviceArray;
#else
using emulator::DeviceArray;
#endif

/// The blocks of a matrix in file layout.
inline DeviceArray<std::byte> device_bytes_of(const FileMatrix& matrix) { return {"weight", matrix.bytes}; }

/// Arrays that belong together, and quantizing them.
struct DeviceActivations {
  DeviceArray<uint32_t> codes;
  DeviceArray<float> scales;
  DeviceArray<uint32_t> sums, pairs;
  int32_t n_groups;
  bool is_super;  ///< 256 values share a scale, rather than 32

  explicit DeviceActivations(const std::vector<float>& x, bool is_in_super_groups = false);
  /// As the backend quantizes them for weights of this type.
  DeviceActivations(const std::vector<float>& x, gpu::DeviceType type)
      : DeviceActivations(x, takes_super_groups(type)) {}
  /// Not written yet.
  explicit DeviceActivations(int32_t n, bool is_in_super_groups = false)
      : codes("codes", static_cast<size_t>(n) * 8),
        scales("scales", static_cast<size_t>(n)),
        sums("sums", static_cast<size_t>(n)),
        pairs("pairs", static_cast<size_t>(n + 1) / 2),
        n_groups(n),
        is_super(is_in_super_groups) {}
};

/// The choices of experts, sorted.
struct DeviceLists {
  DeviceArray<int32_t> order, tiles, n_tiles;
  DeviceArray<int32_t>* places = nullptr;  ///< as resolve_experts has left them; null: all experts are resident
  int32_t n_choices;
  int32_t n_expert = 0;  ///< since they were sorted

  explicit DeviceLists(int32_t n)
      : order("order", static_cast<size_t>(n)),
        tiles("tiles", static_cast<size_t>(3 * n)),
        n_tiles("n_tiles", 1),
        n_choices(n) {}
};

/// The choices as rows of an image.
struct DeviceRows {
  int32_t n_expert, n_choices, tile_rows, n_rows, n_tiles;
  DeviceArray<int32_t> rows, tiles;
  DeviceArray<int32_t>* places = nullptr;  ///< as resolve_experts has left them; null: all experts are resident

  DeviceRows(const std::vector<int32_t>& choices, int32_t n_experts, int32_t n_tile_rows);
};

struct DeviceAttention {
  DeviceArray<float>& q;
  DeviceArray<uint16_t>& pages;
  DeviceArray<int32_t>& page_tables;
  DeviceArray<gpu::AttentionTile>& tiles;
  DeviceArray<int32_t>& positions;
  DeviceArray<float>& sinks;
  DeviceArray<float>& y;
  DeviceArray<float>& partial;
  DeviceArray<float>& states;
  int32_t n_tiles, n_splits;
  bool is_split;
  DeviceActivations* codes = nullptr;  ///< not null: y as codes too, of splits
  bool is_on_units = false;            ///< on matrix units, which a launcher takes wherever it can
};

/// Whether heads of these dimensions can be attended on matrix units; and the largest tiles of splits there.
inline bool can_be_on_units(int32_t dim_k, int32_t dim_v) { return dim_k % 8 == 0 && dim_v % 8 == 0; }
int32_t most_rows_on_units(int32_t dim_k, int32_t dim_v);

/// What a pass adds to the cache, and how it is rotated.
struct DeviceNewKv {
  DeviceArray<float>& k;
  DeviceArray<float>& v;
  DeviceArray<float>& turns;
};

/// Rows that tiles of attention may have where a case asks for n: the launcher has one size.
int32_t tile_rows(int32_t n);

// The arguments are those of the kernels. A schedule is the emulator's.
void run_residual_norm(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<float>& addend,
                       DeviceArray<float>& weight, DeviceActivations& codes, int32_t n_rows,
                       const gpu::ResidualNormParams& params);
void run_rms_norm(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<float>& weight, int32_t n_rows,
                  const gpu::NormParams& params, Schedule schedule = Schedule::kInOrder);
void run_layer_norm(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<float>& weight, DeviceArray<float>& bias,
                    int32_t n_rows, const gpu::NormParams& params);
void run_add(DeviceArray<float>& x, DeviceArray<float>& y, const gpu::ElementParams& params);
void run_scale(DeviceArray<float>& x, const gpu::ElementParams& params);
void run_softcap(DeviceArray<float>& x, const gpu::ElementParams& params);
void run_activate(DeviceArray<float>& x, const gpu::ElementParams& params);
void run_gate(DeviceArray<float>& y, DeviceArray<float>& up, const gpu::ElementParams& params);
void run_add_gated(DeviceArray<float>& x, DeviceArray<float>& y, DeviceArray<float>& logits,
                   const gpu::RowParams& params);
void run_copy_columns(DeviceArray<float>& y, DeviceArray<float>& x, const gpu::RowParams& params);
void run_gather_rows(DeviceArray<float>& y, DeviceArray<float>& x, DeviceArray<int32_t>& rows,
                     const gpu::RowParams& params);
void run_rope_and_store_kv(DeviceArray<float>& q, DeviceArray<float>& k, DeviceArray<float>& v,
                           DeviceArray<float>& turns, DeviceArray<int32_t>& positions, DeviceArray<int32_t>& slots,
                           DeviceArray<uint16_t>& pages, int32_t n_tokens, const gpu::RopeKvParams& params);
/// @param n_rows of a tile
void run_attention(const DeviceAttention& arrays, const gpu::AttentionKernelParams& params, int32_t n_rows,
                   Schedule schedule = Schedule::kInOrder);
void run_rope_and_attention(const DeviceAttention& arrays, const DeviceNewKv& added,
                            const gpu::RopeAttentionParams& params, int32_t n_rows,
                            Schedule schedule = Schedule::kInOrder);
void run_flash(DeviceArray<float>& q, DeviceArray<uint16_t>& pages, DeviceArray<int32_t>& page_tables,
               DeviceArray<gpu::AttentionTile>& tiles, DeviceArray<float>& sinks, DeviceArray<float>& y,
               int32_t n_tiles, const gpu::AttentionKernelParams& params, Schedule schedule = Schedule::kInOrder);
/// @param groups [2, n_rows, params.n_groups]
void run_shortlist(DeviceArray<float>& logits, DeviceArray<float>& groups, DeviceArray<float>& lists, int32_t n_rows,
                   const gpu::ShortlistParams& params, Schedule schedule = Schedule::kInOrder);
void run_widen(TensorType type, DeviceArray<std::byte>& narrow, DeviceArray<std::byte>& wide, int64_t n_elements);
/// Up to kMatvecMaxTokens tokens.
void run_matvec(gpu::DeviceType type, DeviceArray<std::byte>& weight, DeviceActivations& x, DeviceArray<float>& bias,
                DeviceArray<float>& y, const gpu::MatvecParams& params, Schedule schedule = Schedule::kInOrder);
/// Whether there are products by kSuperBulkCopies.
bool has_stream_kernel();
/// One token, by kSuperBulkCopies. @param values read if fusion says so, in place of x
struct FusedArrays {
  DeviceArray<float>&values, &norm_weight;
};
void run_fused(gpu::DeviceType type, DeviceArray<std::byte>* (&weights)[3], DeviceActivations& x,
               const FusedArrays& fused, DeviceArray<float>* (&biases)[3], DeviceArray<float>* (&ys)[3],
               const gpu::SuperParams& params, const gpu::SuperFusion& fusion, bool is_gated);
/// Three matrices with one input. Only types that is_superblock.
void run_matvec_set(gpu::DeviceType type, DeviceArray<std::byte>* (&weights)[3], DeviceActivations& x,
                    DeviceArray<float>* (&biases)[3], DeviceArray<float>* (&ys)[3], const gpu::SuperParams& params,
                    gpu::SuperPath path = gpu::kSuperAny, Schedule schedule = Schedule::kRandom);
void run_matvec_gated(gpu::DeviceType type, DeviceArray<std::byte>& gate, DeviceArray<std::byte>& up,
                      DeviceActivations& x, DeviceArray<float>& gate_bias, DeviceArray<float>& up_bias,
                      DeviceArray<float>& y, const gpu::MatvecParams& params, gpu::SuperPath path = gpu::kSuperAny);
void run_float_matvec(TensorType type, DeviceArray<std::byte>& weight, DeviceArray<float>& x, DeviceArray<float>& bias,
                      DeviceArray<float>& y, const gpu::FloatMatvecParams& params);
void run_float_experts(TensorType type, DeviceArray<std::byte>& weight, DeviceArray<float>& x, DeviceArray<float>& bias,
                       DeviceArray<int32_t>& choices, DeviceArray<float>& y, const gpu::FloatExpertParams& params,
                       DeviceArray<int32_t>* places = nullptr);
void run_embed(gpu::DeviceType type, DeviceArray<std::byte>& table, DeviceArray<int32_t>& tokens, DeviceArray<float>& y,
               const gpu::EmbedParams& params);
void run_route_experts(DeviceArray<float>& logits, DeviceArray<float>& bias, DeviceArray<int32_t>& experts,
                       DeviceArray<float>& weights, int32_t n_tokens, const gpu::RouterKernelParams& params);
void run_group_experts(DeviceArray<int32_t>& experts, DeviceLists& lists, int32_t n_expert);
void run_experts_gated(gpu::DeviceType type, DeviceArray<std::byte>& gate, DeviceArray<std::byte>& up,
                       DeviceActivations& x, DeviceArray<float>& gate_bias, DeviceArray<float>& up_bias,
                       DeviceLists& lists, DeviceArray<float>& y, const gpu::ExpertParams& params);
void run_experts_matvec(gpu::DeviceType type, DeviceArray<std::byte>& weight, DeviceActivations& x,
                        DeviceArray<float>& bias, DeviceLists& lists, DeviceArray<float>& y,
                        const gpu::ExpertParams& params);
void run_arrange_choices(DeviceArray<int32_t>& experts, DeviceRows& rows);
/// @param up null without params.is_gated
void run_halve_choices(DeviceArray<float>& x, DeviceArray<float>* up, DeviceRows& rows, DeviceArray<uint32_t>& image,
                       DeviceArray<float>& scales, const gpu::HalveChoicesParams& params);
void run_combine_experts(DeviceArray<float>& x, DeviceArray<float>& weights, DeviceArray<float>& y,
                         const gpu::CombineParams& params);
void run_quantize(DeviceArray<float>& x, DeviceActivations& result);
/// @param up null without params.is_gated
void run_halve(DeviceArray<float>& x, DeviceArray<float>* up, DeviceArray<uint32_t>& image, DeviceArray<float>& scales,
               const gpu::HalveParams& params);
/// @param addend null without params.has_addend
void run_halve_normed(DeviceArray<float>& x, DeviceArray<float>* addend, DeviceArray<float>& weight,
                      DeviceArray<uint32_t>& image, DeviceArray<float>& scales, const gpu::HalveNormedParams& params);
/// The kinds that there are.
std::vector<gpu::GemmUnits> gemm_units();
struct GemmMatrix {
  DeviceArray<std::byte>& weight;
  DeviceArray<float>& bias;
  DeviceArray<float>& y;
};
/// @param matrices as many as have rows
void run_gemm(gpu::DeviceType type, const std::vector<GemmMatrix>& matrices, DeviceArray<uint32_t>& image,
              DeviceArray<float>& scales, const gpu::GemmSetParams& params, gpu::GemmUnits units,
              gpu::GemmTile tile = gpu::kGemmAny, Schedule schedule = Schedule::kInOrder);

/// Tiles of 64 rows, or if units are the best, of 128.
void run_experts_gemm(gpu::DeviceType type, DeviceArray<std::byte>& weight, DeviceArray<uint32_t>& image,
                      DeviceArray<float>& scales, DeviceArray<float>& bias, DeviceRows& rows, DeviceArray<float>& y,
                      const gpu::ExpertGemmParams& params, gpu::GemmUnits units,
                      Schedule schedule = Schedule::kInOrder);

inline DeviceRows::DeviceRows(const std::vector<int32_t>& choices, int32_t n_experts, int32_t n_tile_rows)
    : n_expert(n_experts),
      n_choices(static_cast<int32_t>(choices.size())),
      tile_rows(n_tile_rows),
      n_rows(gpu::expert_rows(n_choices, n_expert)),
      n_tiles(gpu::expert_tiles(n_choices, n_expert, tile_rows)),
      rows("rows", static_cast<size_t>(n_rows)),
      tiles("tiles", 3 * static_cast<size_t>(n_tiles)) {
  DeviceArray<int32_t> experts("experts", choices);
  run_arrange_choices(experts, *this);
}

inline DeviceActivations::DeviceActivations(const std::vector<float>& x, bool is_in_super_groups)
    : DeviceActivations(static_cast<int32_t>(x.size() / 32), is_in_super_groups) {
  DeviceArray<float> input("x", x);
  run_quantize(input, *this);
}

}  // namespace outpost::test
