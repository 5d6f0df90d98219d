#include "kernels/cuda/device_block.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/launchers.h"

namespace outpost::gpu {
namespace {

template <typename Element, int kTokens>
cudaError_t launch_tokens(cudaStream_t stream, const void* weight, const float* x, const float* bias, float* y,
                          const FloatMatvecParams& params) {
  const uint32_t n_blocks = (params.n_rows + kMatvecBlockRows - 1) / kMatvecBlockRows;
  return Launch(stream, n_blocks, kMatvecThreads)(float_matvec<Element, kTokens>, static_cast<const Element*>(weight),
                                                  x, bias, y, params);
}

template <typename Element>
cudaError_t launch_element(cudaStream_t stream, const void* weight, const float* x, const float* bias, float* y,
                           const FloatMatvecParams& params) {
  for (int32_t first = 0; first < params.n_tokens; first += kMatvecMaxTokens) {
    FloatMatvecParams part = params;
    part.n_tokens = params.n_tokens - first < kMatvecMaxTokens ? params.n_tokens - first : kMatvecMaxTokens;
    const float* x_part = x + int64_t{first} * params.n_cols;
    float* y_part = y + int64_t{first} * params.n_rows;
    const auto launch = part.n_tokens == 1   ? launch_tokens<Element, 1>
                        : part.n_tokens <= 8 ? launch_tokens<Element, 8>
                                             : launch_tokens<Element, 16>;
    if (const cudaError_t error = launch(stream, weight, x_part, bias, y_part, part); error != cudaSuccess)
      return error;
  }
  return cudaSuccess;
}

uint32_t embed_blocks(int64_t n_threads) {
  return static_cast<uint32_t>((n_threads + kEmbedThreads - 1) / kEmbedThreads);
}

template <typename Element>
cudaError_t launch_float_embed(cudaStream_t stream, const void* table, const int32_t* tokens, float* y,
                               const EmbedParams& params) {
  return Launch(stream, embed_blocks(int64_t{params.n_tokens} * params.n_cols), kEmbedThreads)(
      float_embed<Element>, static_cast<const Element*>(table), tokens, y, params);
}

struct LaunchEmbed {
  cudaStream_t stream;
  const void* table;
  const int32_t* tokens;
  float* y;
  const EmbedParams& params;
  cudaError_t error = cudaSuccess;

  template <typename Block>
  void operator()() {
    error = Launch(stream, embed_blocks(int64_t{params.n_tokens} * params.n_cols / 32), kEmbedThreads)(
        embed<Block>, static_cast<const Block*>(table), tokens, y, params);
  }
};

}  // namespace

cudaError_t launch_float_matvec(cudaStream_t stream, TensorType type, const void* weight, const float* x,
                                const float* bias, float* y, const FloatMatvecParams& params) {
  switch (type) {
    case TensorType::kF32: return launch_element<ElementF32>(stream, weight, x, bias, y, params);
    case TensorType::kF16: return launch_element<ElementF16>(stream, weight, x, bias, y, params);
    case TensorType::kBF16: return launch_element<ElementBF16>(stream, weight, x, bias, y, params);
    default: return cudaErrorInvalidValue;
  }
}

cudaError_t launch_float_experts(cudaStream_t stream, TensorType type, const void* weight, const float* x,
                                 const float* bias, const int32_t* choices, const int32_t* places, float* y,
                                 const FloatExpertParams& params) {
  const FloatMatvecParams& product = params.product;
  if (product.n_tokens == 0) return cudaSuccess;
  const dim3 grid((product.n_rows + kMatvecBlockRows - 1) / kMatvecBlockRows, product.n_tokens);
  switch (type) {
    case TensorType::kF32:
      return Launch(stream, grid, kMatvecThreads)(float_experts<ElementF32>, static_cast<const ElementF32*>(weight), x,
                                                  bias, choices, places, y, params);
    case TensorType::kF16:
      return Launch(stream, grid, kMatvecThreads)(float_experts<ElementF16>, static_cast<const ElementF16*>(weight), x,
                                                  bias, choices, places, y, params);
    case TensorType::kBF16:
      return Launch(stream, grid, kMatvecThreads)(float_experts<ElementBF16>, static_cast<const ElementBF16*>(weight),
                                                  x, bias, choices, places, y, params);
    default: return cudaErrorInvalidValue;
  }
}

cudaError_t launch_embed(cudaStream_t stream, DeviceType type, const void* table, const int32_t* tokens, float* y,
                         const EmbedParams& params) {
  if (params.n_tokens == 0) return cudaSuccess;
  switch (type.type) {
    case TensorType::kF32: return launch_float_embed<ElementF32>(stream, table, tokens, y, params);
    case TensorType::kF16: return launch_float_embed<ElementF16>(stream, table, tokens, y, params);
    case TensorType::kBF16: return launch_float_embed<ElementBF16>(stream, table, tokens, y, params);
    default: break;
  }
  LaunchEmbed launch{stream, table, tokens, y, params};
  return visit_device_block(type, launch) ? launch.error : cudaErrorInvalidValue;
}

}  // namespace outpost::gpu
