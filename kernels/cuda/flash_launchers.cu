#include "kernels/cuda/flash_prefill.h"
#include "kernels/launchers/launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {
namespace {

template <int kDim>
constexpr int32_t kFlashBytes = 2 * PrefillShape<kDim>::kShared;

template <int kDim>
Error launch_flash_dim(Stream stream, const AttentionArrays& a, int32_t n_tiles, const AttentionKernelParams& params) {
  return Launch(stream, Grid(n_tiles, params.kv.n_head_kv), kPrefillThreads, kFlashBytes<kDim>)(
      flash_prefill<kDim>, a.q, a.pages, a.page_tables, a.tiles, a.sinks, a.y, params);
}

}  // namespace

int32_t flash_rows() { return kPrefillRows; }

bool has_flash(int32_t head_dim_k, int32_t head_dim_v) {
  if (head_dim_k != head_dim_v) return false;
  if (head_dim_k != 256) return head_dim_k == 64 || head_dim_k == 80 || head_dim_k == 96 || head_dim_k == 128;
  // The largest needs more shared memory than blocks of most devices before 9.0 can have.
  return max_shared_bytes() >= kFlashBytes<256> + 1024;
}

Error launch_flash(Stream stream, const AttentionArrays& arrays, int32_t n_tiles, const AttentionKernelParams& params) {
  if (!has_flash(params.kv.head_dim_k, params.kv.head_dim_v)) return Error::kInvalidValue;
  if (n_tiles == 0) return Error::kNone;  // an empty grid is an error
  switch (params.kv.head_dim_k) {
    case 64: return launch_flash_dim<64>(stream, arrays, n_tiles, params);
    case 80: return launch_flash_dim<80>(stream, arrays, n_tiles, params);
    case 96: return launch_flash_dim<96>(stream, arrays, n_tiles, params);
    case 128: return launch_flash_dim<128>(stream, arrays, n_tiles, params);
    default: return launch_flash_dim<256>(stream, arrays, n_tiles, params);
  }
}

}  // namespace outpost::gpu
