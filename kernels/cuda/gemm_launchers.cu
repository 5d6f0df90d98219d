#include "kernels/cuda/gemm_wgmma.h"
#include "kernels/launchers/launch.h"
#include "kernels/launchers/prefill_arguments.h"

namespace outpost::gpu {
namespace {

/// Says by its shared memory what it was compiled for: code for another architecture may run on the same device.
static __global__ void has_wgmma() {
#ifdef OUTPOST_HAS_WGMMA
  __shared__ volatile int32_t mark;
  mark = 1;
#endif
}

int64_t waves(const GemmParams& params, int32_t n_tokens, int32_t n_multiprocessors) {
  const int64_t n_blocks =
      int64_t{(params.n_tokens + n_tokens - 1) / n_tokens} * ((params.n_rows + kGemmRows - 1) / kGemmRows);
  return (n_blocks + n_multiprocessors - 1) / n_multiprocessors;
}

}  // namespace

GemmTile choose_gemm_tile(const GemmParams& params, int32_t n_multiprocessors) {
  // Half the tokens are more than half the work, as weights are decoded for fewer; but they may fill the device better.
  const bool is_large = 3 * waves(params, 256, n_multiprocessors) <= 2 * waves(params, 128, n_multiprocessors);
  return is_large ? kGemmLarge : kGemmSmall;
}

bool has_gemm() {
  cudaFuncAttributes attributes{};
  if (cudaFuncGetAttributes(&attributes, has_wgmma) != cudaSuccess) {
    (void)cudaGetLastError();
    return false;
  }
  return attributes.sharedSizeBytes > 0;
}

// The tiles are large where they are fast: it takes many tokens to fill the device with them.
PassTokens pass_tokens() { return has_gemm() ? PassTokens{2048, 512} : PassTokens{512, 64}; }

Error launch_halve(Stream stream, const float* x, uint32_t* image, float* scales, const HalveParams& params) {
  if (params.n_tokens == 0) return Error::kNone;  // an empty grid is an error
  const int32_t n_rows = (params.n_tokens + kImageTokens - 1) / kImageTokens * kImageTokens;
  return Launch(stream, n_rows, kHalveThreads)(halve_activations, x, image, scales, params);
}

Error launch_gemm(Stream stream, DeviceType type, const void* weight, const HalvedInput& x, const float* bias, float* y,
                  const GemmParams& params, GemmTile tile) {
  if (!can_gemm(type, int64_t{32} * params.n_groups) || !has_gemm()) return Error::kInvalidValue;
  if (params.n_tokens == 0) return Error::kNone;
  if (tile == kGemmAny) {
    int device = 0, n_multiprocessors = 0;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess)
      error = cudaDeviceGetAttribute(&n_multiprocessors, cudaDevAttrMultiProcessorCount, device);
    if (error != cudaSuccess) return static_cast<Error>(error);
    tile = choose_gemm_tile(params, n_multiprocessors);
  }
  return launch_gemm_type(stream, type, {weight, x.image, x.scales, bias, y, params, tile == kGemmSmall ? 128 : 256});
}

// Decoding weights takes about as long as multiplying them by 64 tokens, so that fewer save nothing; an expert of a
// little more than 64 has its weights decoded once with 128. Counted, not measured.
int32_t expert_tile_rows(int32_t n_choices, int32_t n_expert) { return n_choices / n_expert <= 48 ? 64 : 128; }

Error launch_experts_gemm(Stream stream, DeviceType type, const void* weight, const HalvedInput& x, const float* bias,
                          const ArrangedChoices& choices, float* y, const ExpertGemmParams& params) {
  if (!can_gemm(type, int64_t{32} * params.product.n_groups) || !has_gemm()) return Error::kInvalidValue;
  if (choices.tile_rows != 64 && choices.tile_rows != 128) return Error::kInvalidValue;
  return launch_gemm_type(stream, type, experts_launch(weight, x, bias, choices, y, params));
}

}  // namespace outpost::gpu
