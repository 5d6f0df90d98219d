#include "backend/gpu/gpu_backend.h"

#include <algorithm>

namespace outpost {

void GpuBackend::matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) {
  if (n_tokens <= gpu::kMatvecMaxTokens) {
    settle();
    const GpuMatrix& first = static_cast<const GpuWeight*>(tasks[0].weight)->matrix();
    if (!takes_norm(first, x)) {
      settle({x});
      if (n_tokens == 1 && tasks.size() == 1 && gpu::can_fuse(first.type(), first.n_cols())) {
        product_ = {&first, tasks[0].result, x, tasks[0].bias.data};
        return;
      }
    }
  }
  while (!tasks.empty()) tasks = tasks.subspan(multiply_alike(tasks, x, n_tokens));
}

void GpuBackend::issue_product() {
  if (product_.matrix == nullptr) return;
  const PendingProduct product = std::exchange(product_, {});
  const GpuMatrix& matrix = *product.matrix;
  const bool adds = product.is_discarded;
  const PendingAdd addend = adds ? std::exchange(pending_, {}) : PendingAdd{};
  gpu::FusedInput fused;
  gpu::QuantizedInput codes{};
  if (is_quantized(product.x, matrix.type()))
    codes = quantize(product.x, matrix.type());
  else
    fused.values = product.x.data;
  const gpu::MatrixProduct task = {matrix.data(), product.bias, write(adds ? addend.x : product.y), matrix.n_rows()};
  launched(gpu::launch_fused(stream_, matrix.type(), &task, 1, codes, fused, matrix.n_cols() / 32, adds, addend.factor),
           "a product");
}

void GpuBackend::matmul_gated(DeviceSpan<float> y, const GatedPair& pair, DeviceSpan<const float> x, int32_t n_tokens,
                              Gate gate) {
  const GpuMatrix& a = static_cast<const GpuWeight*>(pair.gate)->matrix();
  const GpuMatrix& b = static_cast<const GpuWeight*>(pair.up)->matrix();
  if (n_tokens > gpu::kMatvecMaxTokens) {
    issue_gate();  // of others, whose memory is taken
    const DeviceSpan<float> up = {reserve(up_, y.size), y.size};
    const MatmulTask both[] = {{pair.gate, y, pair.gate_bias}, {pair.up, up, pair.up_bias}};
    matmul(both, x, n_tokens);
    gate_ = {y, up, static_cast<int32_t>(gate)};
    return;
  }
  settle();
  const bool is_alike = a.type().type == b.type().type && a.type().is_wide == b.type().is_wide &&
                        (pair.gate_bias.size > 0) == (pair.up_bias.size > 0);
  const gpu::MatvecParams params{a.n_rows(), a.n_cols() / 32, n_tokens, pair.gate_bias.size > 0 ? 1 : 0,
                                 static_cast<int32_t>(gate)};
  if (is_alike && takes_norm(a, x)) {
    const gpu::FusedInput input = normed_input();
    launched(gpu::launch_fused_gated(stream_, a.type(), a.data(), b.data(), input, pair.gate_bias.data,
                                     pair.up_bias.data, write(y), params),
             "a gated product");
    return;
  }
  settle({x});
  if (a.has_blocks() && is_alike) {
    const gpu::QuantizedInput input = quantize(x, a.type());
    launched(gpu::launch_matvec_gated(stream_, a.type(), a.data(), b.data(), input, pair.gate_bias.data,
                                      pair.up_bias.data, write(y), params),
             "matvec_gated");
    return;
  }
  issue_gate();
  const DeviceSpan<float> up = {reserve(up_, y.size), y.size};
  multiply(a, y, x, pair.gate_bias.data, n_tokens);
  multiply(b, up, x, pair.up_bias.data, n_tokens);
  launched(gpu::launch_gate(stream_, write(y), up.data, {int_of(y.size), 0, static_cast<int32_t>(gate)}), "gate");
}

gpu::QuantizedOutput GpuBackend::reserve_codes(size_t n) {
  reserve(codes_, n / 4);
  reserve(scales_, n / 32);
  reserve(sums_, n / 32);
  reserve(pairs_, n / 64);
  return {codes_.as<uint32_t>(), scales_.as<float>(), sums_.as<uint32_t>(), pairs_.as<uint32_t>()};
}

bool GpuBackend::is_quantized(DeviceSpan<const float> x, gpu::DeviceType type) const {
  return quantized_.data == x.data && quantized_.size == x.size && is_quantized_super_ == gpu::takes_super_groups(type);
}

gpu::QuantizedInput GpuBackend::quantize(DeviceSpan<const float> x, gpu::DeviceType type) {
  const bool is_super = gpu::takes_super_groups(type);
  const gpu::QuantizedOutput codes = reserve_codes(x.size);
  if (!is_quantized(x, type)) {
    launched(gpu::launch_quantize(stream_, x.data, codes, {int_of(x.size / 32), is_super ? 1 : 0}),
             "quantize_activations");
    quantized_ = x;
    is_quantized_super_ = is_super;
  }
  return {codes.codes, codes.scales, codes.sums, codes.pairs};
}

gpu::HalvedInput GpuBackend::halve(DeviceSpan<const float> x, int32_t n_tokens, int32_t n_cols) {
  const size_t size = static_cast<size_t>(n_tokens) * static_cast<size_t>(n_cols);
  auto* image = reinterpret_cast<uint32_t*>(reserve(image_, gpu::image_words(n_tokens, n_cols)));
  float* scales = reserve(image_scales_, static_cast<size_t>(n_tokens));
  if (halved_.data == x.data && halved_.size == size) return {image, scales};
  if (is_norm(x) && norm_.n_rows == n_tokens) {
    const PendingAdd addend = take_addend();
    launched(gpu::launch_halve_normed(stream_, const_cast<float*>(norm_.x.data), addend.y.data, norm_.weight.data,
                                      image, scales,
                                      {n_tokens, n_cols, norm_.eps, addend.y.data != nullptr ? 1 : 0, addend.factor}),
             "halve_normed");
  } else {
    const bool is_gated = is_gate(x);
    if (!is_gated) settle({x});
    launched(gpu::launch_halve(stream_, x.data, is_gated ? gate_.up.data : nullptr, image, scales,
                               {n_tokens, n_cols, is_gated ? 1 : 0, is_gated ? gate_.kind : 0}),
             "halve_activations");
  }
  halved_ = {x.data, size};
  return {image, scales};
}

void GpuBackend::multiply_halves(const GpuMatrix& first, std::span<const gpu::MatrixProduct> products,
                                 DeviceSpan<const float> x, int32_t n_tokens) {
  const gpu::HalvedInput input = halve(x, n_tokens, first.n_cols());
  settle();
  for (const gpu::MatrixProduct& product : products)
    write({product.y, static_cast<size_t>(n_tokens) * static_cast<size_t>(product.n_rows)});
  launched(gpu::launch_gemm(stream_, first.type(), products.data(), int_of(products.size()), input, first.n_cols() / 32,
                            n_tokens),
           "products of many tokens");
}

void GpuBackend::multiply(const GpuMatrix& matrix, DeviceSpan<float> y, DeviceSpan<const float> x, const float* bias,
                          int32_t n_tokens) {
  if (takes_halves(matrix, n_tokens)) {
    const gpu::MatrixProduct product = {matrix.data(), bias, y.data, matrix.n_rows()};
    multiply_halves(matrix, {&product, 1}, x, n_tokens);
    return;
  }
  settle({x});
  if (!matrix.has_blocks()) {
    const gpu::FloatMatvecParams params{matrix.n_rows(), matrix.n_cols(), n_tokens, bias != nullptr ? 1 : 0};
    launched(gpu::launch_float_matvec(stream_, matrix.type().type, matrix.data(), x.data, bias, write(y), params),
             "float_matvec");
    return;
  }
  const gpu::QuantizedInput input = quantize(x, matrix.type());
  const gpu::MatvecParams params{matrix.n_rows(), matrix.n_cols() / 32, n_tokens, bias != nullptr ? 1 : 0, 0};
  launched(gpu::launch_matvec(stream_, matrix.type(), matrix.data(), input, bias, write(y), params), "matvec");
}

size_t GpuBackend::multiply_alike(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) {
  const GpuMatrix& first = static_cast<const GpuWeight*>(tasks[0].weight)->matrix();
  size_t n = 0;
  gpu::MatrixProduct products[gpu::kSuperMatrices];
  for (; n < std::min(tasks.size(), size_t{gpu::kSuperMatrices}); ++n) {
    const GpuMatrix& matrix = static_cast<const GpuWeight*>(tasks[n].weight)->matrix();
    if (matrix.type().type != first.type().type || matrix.type().is_wide != first.type().is_wide) break;
    products[n] = {matrix.data(), tasks[n].bias.data, tasks[n].result.data, matrix.n_rows()};
  }
  if (takes_halves(first, n_tokens)) {
    multiply_halves(first, {products, n}, x, n_tokens);
    return n;
  }
  if (takes_norm(first, x)) {
    const gpu::FusedInput input = normed_input();
    for (size_t i = 0; i < n; ++i) write(tasks[i].result);
    launched(gpu::launch_fused(stream_, first.type(), products, int_of(n), {}, input, first.n_cols() / 32), "products");
    return n;
  }
  settle({x});
  if (n < 2 || !gpu::is_superblock(first.type())) {
    multiply(first, tasks[0].result, x, tasks[0].bias.data, n_tokens);
    return 1;
  }
  const gpu::QuantizedInput input = quantize(x, first.type());
  for (size_t i = 0; i < n; ++i) write(tasks[i].result);
  launched(gpu::launch_matvec_set(stream_, first.type(), products, int_of(n), input, first.n_cols() / 32, n_tokens),
           "matvec_set");
  return n;
}

}  // namespace outpost
