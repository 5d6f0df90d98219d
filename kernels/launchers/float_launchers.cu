#include "kernels/launchers/device_block.h"
#include "kernels/launchers/launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {
namespace {

constexpr int32_t kMostGridY = 65535;  // of CUDA

template <typename Element, int kTokens>
Error launch_tokens(Stream stream, const void* weight, const float* x, const float* bias, float* y,
                    const FloatMatvecParams& params) {
  const Grid grid((params.n_rows + kMatvecBlockRows - 1) / kMatvecBlockRows, (params.n_tokens + kTokens - 1) / kTokens);
  return OverlappedLaunch(stream, grid, kMatvecThreads)(float_matvec<Element, kTokens>,
                                                        static_cast<const Element*>(weight), x, bias, y, params);
}

template <typename Element>
Error launch_element(Stream stream, const void* weight, const float* x, const float* bias, float* y,
                     const FloatMatvecParams& params) {
  if (params.n_tokens == 0) return Error::kNone;
  const auto launch = params.n_tokens == 1   ? launch_tokens<Element, 1>
                      : params.n_tokens <= 8 ? launch_tokens<Element, 8>
                                             : launch_tokens<Element, 16>;
  return launch(stream, weight, x, bias, y, params);
}

uint32_t embed_blocks(int64_t n_threads) {
  return static_cast<uint32_t>((n_threads + kEmbedThreads - 1) / kEmbedThreads);
}

template <typename Element>
Error launch_float_embed(Stream stream, const void* table, const int32_t* tokens, float* y, const EmbedParams& params) {
  return Launch(stream, embed_blocks(int64_t{params.n_tokens} * params.n_cols), kEmbedThreads)(
      float_embed<Element>, static_cast<const Element*>(table), tokens, y, params);
}

struct LaunchEmbed {
  Stream stream;
  const void* table;
  const int32_t* tokens;
  float* y;
  const EmbedParams& params;
  Error error = Error::kNone;

  template <typename Block>
  void operator()() {
    error = Launch(stream, embed_blocks(int64_t{params.n_tokens} * params.n_cols / 32), kEmbedThreads)(
        embed<Block>, static_cast<const Block*>(table), tokens, y, params);
  }
};

}  // namespace

Error launch_float_matvec(Stream stream, TensorType type, const void* weight, const float* x, const float* bias,
                          float* y, const FloatMatvecParams& params) {
  switch (type) {
    case TensorType::kF32: return launch_element<ElementF32>(stream, weight, x, bias, y, params);
    case TensorType::kF16: return launch_element<ElementF16>(stream, weight, x, bias, y, params);
    case TensorType::kBF16: return launch_element<ElementBF16>(stream, weight, x, bias, y, params);
    default: return Error::kInvalidValue;
  }
}

Error launch_float_experts(Stream stream, TensorType type, const void* weight, const float* x, const float* bias,
                           const int32_t* choices, const int32_t* places, float* y, const FloatExpertParams& params) {
  const FloatMatvecParams& product = params.product;
  if (product.n_tokens == 0) return Error::kNone;
  if (product.n_tokens > kMostGridY) return Error::kInvalidValue;
  const Grid grid((product.n_rows + kMatvecBlockRows - 1) / kMatvecBlockRows, product.n_tokens);
  switch (type) {
    case TensorType::kF32:
      return OverlappedLaunch(stream, grid, kMatvecThreads)(
          float_experts<ElementF32>, static_cast<const ElementF32*>(weight), x, bias, choices, places, y, params);
    case TensorType::kF16:
      return OverlappedLaunch(stream, grid, kMatvecThreads)(
          float_experts<ElementF16>, static_cast<const ElementF16*>(weight), x, bias, choices, places, y, params);
    case TensorType::kBF16:
      return OverlappedLaunch(stream, grid, kMatvecThreads)(
          float_experts<ElementBF16>, static_cast<const ElementBF16*>(weight), x, bias, choices, places, y, params);
    default: return Error::kInvalidValue;
  }
}

Error launch_embed(Stream stream, DeviceType type, const void* table, const int32_t* tokens, float* y,
                   const EmbedParams& params) {
  if (params.n_tokens == 0) return Error::kNone;
  switch (type.type) {
    case TensorType::kF32: return launch_float_embed<ElementF32>(stream, table, tokens, y, params);
    case TensorType::kF16: return launch_float_embed<ElementF16>(stream, table, tokens, y, params);
    case TensorType::kBF16: return launch_float_embed<ElementBF16>(stream, table, tokens, y, params);
    default: break;
  }
  LaunchEmbed launch{stream, table, tokens, y, params};
  return visit_device_block(type, launch) ? launch.error : Error::kInvalidValue;
}

}  // namespace outpost::gpu
