#include "kernels/cuda/flash_latent.h"
#include "kernels/launchers/launch.h"
#include "kernels/launchers/prefill_arguments.h"

namespace outpost::gpu {
namespace {

template <int kDim>
constexpr int32_t kFlashBytes = 2 * PrefillShape<kDim>::kShared;
constexpr int32_t kLatentDimK = 576, kLatentDimV = 512;
constexpr int32_t kLatentBytes = 2 * LatentShape<kLatentDimK, kLatentDimV>::kShared;

bool is_latent(int32_t head_dim_k, int32_t head_dim_v) {
  return head_dim_k == kLatentDimK && head_dim_v == kLatentDimV;
}

struct LaunchFlash {
  Stream stream;
  const AttentionArrays& a;
  int32_t n_tiles;
  const AttentionKernelParams& params;
  Error error = Error::kInvalidValue;

  template <int kDim>
  void operator()() {
    error = Launch(stream, Grid(n_tiles, params.kv.n_head_kv), kPrefillThreads, kFlashBytes<kDim>)(
        flash_prefill<kDim>, a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, params);
  }
};

struct FlashBytes {
  size_t n_bytes = 0;

  template <int kDim>
  void operator()() {
    n_bytes = kFlashBytes<kDim>;
  }
};

}  // namespace

int32_t flash_rows() { return kPrefillRows; }

/// Of the largest heads the kernel needs more shared memory than blocks of many devices can have: with 256 numbers most
/// before 9.0, with 96 and more those of 7.5; latent heads need 151 KiB, which 8.0, 9.0 and 10.0 have.
bool has_flash(int32_t head_dim_k, int32_t head_dim_v) {
  FlashBytes needed;
  if (is_latent(head_dim_k, head_dim_v))
    needed.n_bytes = kLatentBytes;
  else if (head_dim_k != head_dim_v || !visit_flash_dim(head_dim_k, needed))
    return false;
  return max_shared_bytes() >= needed.n_bytes + 1024;
}

Error launch_flash(Stream stream, const AttentionArrays& arrays, int32_t n_tiles, const AttentionKernelParams& params) {
  if (!has_flash(params.kv.head_dim_k, params.kv.head_dim_v)) return Error::kInvalidValue;
  if (n_tiles == 0) return Error::kNone;  // an empty grid is an error
  if (is_latent(params.kv.head_dim_k, params.kv.head_dim_v)) {
    const AttentionArrays& a = arrays;
    return Launch(stream, Grid(n_tiles, params.kv.n_head_kv), kLatentThreads, kLatentBytes)(
        flash_latent<kLatentDimK, kLatentDimV>, a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, params);
  }
  LaunchFlash launch{stream, arrays, n_tiles, params};
  visit_flash_dim(params.kv.head_dim_k, launch);
  return launch.error;
}

}  // namespace outpost::gpu
