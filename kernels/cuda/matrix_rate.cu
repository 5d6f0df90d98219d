#include "kernels/cuda/wgmma.h"
#include "kernels/launchers/launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {
namespace {

constexpr int32_t kStages = 4, kStageBytes = 256 * 128, kRateThreads = 256, kProducts = 4;

/// Products m64n256k16 of bf16 whose inputs are there: what a kernel that had to bring nothing would reach.
/// Grid: any; two warpgroups each. @param y [blocks, 256], so that nothing is left out
static __global__ void __launch_bounds__(kRateThreads, 1) only_multiply(float* y, int32_t n_rounds) {
#ifdef OUTPOST_HAS_WGMMA
  extern __shared__ uint8_t dynamic_shared[];
  uint8_t* stages = dynamic_shared + (0u - shared_address(dynamic_shared)) % 1024u;
  // Random signs and fractions of magnitudes from 1 to 2: a device computes faster with zeros, which cost it less
  // power.
  uint32_t random = (blockIdx.x * kRateThreads + threadIdx.x) * 2654435761u + 12345u;
  const auto next = [&random] {
    random = random * 1664525u + 1013904223u;
    return ((random >> 8 ^ random << 7) & 0x807f807fu) | 0x3f803f80u;
  };
  for (int32_t i = threadIdx.x; i < kStages * kStageBytes / 4; i += kRateThreads)
    reinterpret_cast<uint32_t*>(stages)[i] = next();
  uint32_t a[kProducts][4];
  GPU_UNROLL for (int32_t k = 0; k < kProducts; ++k) {
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
      a[k][i] = next();
      asm volatile("" : "+r"(a[k][i]));  // in a register of its own, and not computed again
    }
  }
  float sums[128];
  GPU_UNROLL for (int32_t i = 0; i < 128; ++i) sums[i] = 0;
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  const uint64_t b = wgmma_descriptor(shared_address(stages));
  for (int32_t round = 0; round < n_rounds; ++round) {
    wgmma_fence();
    const uint64_t stage = b + round % kStages * (kStageBytes >> 4);
    GPU_UNROLL for (int32_t k = 0; k < kProducts; ++k)
        wgmma_bf16(sums, a[k][0], a[k][1], a[k][2], a[k][3], stage + 2 * k);
    wgmma_commit();
    wgmma_wait<1>();
  }
  wgmma_wait<0>();
  float sum = 0;
  GPU_UNROLL for (int32_t i = 0; i < 128; ++i) sum += sums[i];
  y[blockIdx.x * kRateThreads + threadIdx.x] = sum;
#endif
}

}  // namespace

Error launch_matrix_rate(Stream stream, float* y, int32_t n_blocks, int32_t n_rounds, double& n_operations) {
  if (!has_wgmma()) return Error::kInvalidValue;
  constexpr int32_t kSharedBytes = 1024 + kStages * kStageBytes;
  n_operations = 2.0 * 64 * 256 * 16 * kProducts * 2 * n_blocks * n_rounds;
  return Launch(stream, n_blocks, kRateThreads, kSharedBytes)(only_multiply, y, n_rounds);
}

}  // namespace outpost::gpu
