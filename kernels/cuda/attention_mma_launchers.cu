#include "kernels/cuda/attention_mma.h"
#include "kernels/launchers/attention_arguments.h"

namespace outpost::gpu {
namespace {

/// Splits in blocks of their own, of tiles of kRows. Blocks with all splits have kAttentionRows.
template <int kRows, int kMaxDimK, int kMaxDimV>
Error launch_tiles(const TilesLaunch& a) {
  return launch_tiles_by(a, a.is_split() ? attention_mma<kRows, kMaxDimK, kMaxDimV, true>
                                         : attention_mma<kAttentionRows, kMaxDimK, kMaxDimV, false>);
}

template <int kRows, int kMaxDim>
Error launch_rope_tiles(const TilesLaunch& a) {
  return launch_rope_tiles_by(a, a.is_split() ? rope_and_attention_mma<kRows, kMaxDim, true>
                                              : rope_and_attention_mma<kAttentionRows, kMaxDim, false>);
}

template <int kRows>
Error launch_rows(const TilesLaunch& a) {
  const int32_t dim_k = a.params.attention.kv.head_dim_k, dim_v = a.params.attention.kv.head_dim_v;
  const bool has_rope = a.rope != nullptr;
  if constexpr (kRows <= most_mma_rows(128)) {
    if (dim_k <= 64 && dim_v <= 64) return has_rope ? launch_rope_tiles<kRows, 64>(a) : launch_tiles<kRows, 64, 64>(a);
    if (dim_k <= 128 && dim_v <= 128)
      return has_rope ? launch_rope_tiles<kRows, 128>(a) : launch_tiles<kRows, 128, 128>(a);
  }
  if constexpr (kRows <= most_mma_rows(576)) {
    if (dim_k <= 256 && dim_v <= 256)
      return has_rope ? launch_rope_tiles<kRows, 256>(a) : launch_tiles<kRows, 256, 256>(a);
    if (!has_rope) return launch_tiles<kRows, 576, 512>(a);
  }
  return Error::kInvalidValue;
}

}  // namespace

bool has_attention_units(int32_t head_dim_k, int32_t head_dim_v) {
  return head_dim_k % 8 == 0 && head_dim_v % 8 == 0 && head_dim_k <= 576 && head_dim_v <= 512;
}

int32_t most_attention_rows(int32_t head_dim_k, int32_t head_dim_v) {
  if (!has_attention_units(head_dim_k, head_dim_v)) return kAttentionRows;
  return most_mma_rows(head_dim_k > head_dim_v ? head_dim_k : head_dim_v);
}

Error launch_tiles_on_units(const TilesLaunch& a) {
  switch (a.arrays.n_tile_rows) {
    case 8: return launch_rows<8>(a);
    case 16: return launch_rows<16>(a);
    case 32: return launch_rows<32>(a);
    default: return Error::kInvalidValue;
  }
}

}  // namespace outpost::gpu
