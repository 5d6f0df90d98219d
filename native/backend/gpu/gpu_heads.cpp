#include "backend/gpu/gpu_backend.h"

namespace outpost {
namespace {

/// Rows of heads that are multiplied at once: enough to fill a device, and of 512 numbers each 16 MiB.
constexpr int32_t kMostHeadRows = 8192;

}  // namespace

std::unique_ptr<HeadWeights> GpuBackend::load_heads(const WeightView& view, int32_t n_head) {
  if (n_head > gpu::kMaxExperts) {
    throw EngineError(ErrorCode::kModelUnsupported,
                      concat("Tensor ", in_quotes(view.name), " has matrices of ", n_head,
                             " heads; a GPU computes up to ", gpu::kMaxExperts, ". Choose the CPU."));
  }
  use();
  if (DeviceBytes& choices = head_choices_[n_head]; choices.size() == 0) {
    std::vector<int32_t> heads(kMostHeadRows);
    for (int32_t i = 0; i < kMostHeadRows; ++i) heads[static_cast<size_t>(i)] = i % n_head;
    choices = DeviceBytes(heads.size() * sizeof(int32_t), "the order of heads");
    check_gpu(gpu::copy(choices.data(), heads.data(), choices.size(), gpu::Copy::kToDevice), "copying a list");
    wait_for_copies();
  }
  return std::make_unique<GpuHeads>(load_matrix(view), n_head);
}

void GpuBackend::matmul_heads(DeviceSpan<float> y, int32_t y_stride, const HeadWeights& weights,
                              DeviceSpan<const float> x, int32_t x_stride, int32_t n_tokens) {
  settle({x, y});
  write(y);
  const auto& heads = static_cast<const GpuHeads&>(weights);
  const GpuMatrix& matrix = heads.matrix();
  const int32_t n_head = heads.n_head(), n_rows = heads.n_rows(), n_cols = matrix.n_cols();
  const bool is_halved = takes_halves(matrix, n_tokens);
  if (n_tokens > gpu::kMatvecMaxTokens && !is_halved)
    return multiply_each_head(heads, y, y_stride, x, x_stride, n_tokens);
  for (int32_t first = 0; first < n_tokens; first += kMostHeadRows / n_head) {
    const int32_t n = std::min(kMostHeadRows / n_head, n_tokens - first), n_choices = n * n_head;
    const int64_t first_row = int64_t{first} * n_head;
    const auto n_x = static_cast<size_t>(n_choices) * static_cast<size_t>(n_cols);
    DeviceSpan<const float> inputs = {x.data + first_row * x_stride, n_x};
    if (x_stride != n_cols) {
      float* packed = reserve(spare_, n_x);
      quantized_ = {};  // of what was there
      launched(gpu::launch_copy_columns(stream_, packed, inputs.data, {n_choices, n_cols, n_cols, 0, x_stride, 0}),
               "copy_columns");
      inputs.data = packed;
    }
    float* to = y.data + first_row * y_stride;
    float* results =
        y_stride == n_rows ? to : reserve(other_spare_, static_cast<size_t>(n_choices) * static_cast<size_t>(n_rows));
    multiply_heads(heads, results, inputs, n, is_halved);
    if (results != to) {
      launched(gpu::launch_copy_columns(stream_, to, results, {n_choices, n_rows, y_stride, 0, n_rows, 0}),
               "copy_columns");
    }
  }
}

void GpuBackend::multiply_heads(const GpuHeads& heads, float* y, DeviceSpan<const float> x, int32_t n_tokens,
                                bool is_halved) {
  const GpuMatrix& matrix = heads.matrix();
  const int32_t n_head = heads.n_head(), n_rows = heads.n_rows(), n_cols = matrix.n_cols();
  const int32_t n_choices = n_tokens * n_head;
  const auto* choices = head_choices_.at(n_head).as<const int32_t>();
  if (is_halved) {
    const gpu::ArrangedChoices rows = arrange(choices, n_choices, n_head);
    auto* image = reinterpret_cast<uint32_t*>(reserve(image_, gpu::image_words(rows.n_rows, n_cols)));
    float* scales = reserve(image_scales_, static_cast<size_t>(rows.n_rows));
    halved_ = {};
    launched(
        gpu::launch_halve_choices(stream_, x.data, nullptr, rows.rows, image, scales, {rows.n_rows, n_cols, 1, 0, 0}),
        "halve_choices");
    const gpu::ExpertGemmParams params{{n_rows, n_cols / 32, rows.n_rows, 0}, 0, 0};
    launched(gpu::launch_experts_gemm(stream_, matrix.type(), matrix.data(), {image, scales}, nullptr, rows, y, params),
             "products of heads");
  } else if (matrix.has_blocks()) {
    const gpu::ExpertLists lists = list_heads(n_head, n_tokens);
    const gpu::ExpertParams params{{n_rows, n_cols / 32, 0, 0, 0}, 1, 0, 0};
    launched(gpu::launch_experts_matvec(stream_, matrix.type(), matrix.data(), quantize(x, matrix.type()), nullptr,
                                        lists, y, params),
             "products of heads");
  } else {
    const gpu::FloatExpertParams params{{n_rows, n_cols, n_choices, 0}, 1, 0, 0};
    launched(gpu::launch_float_experts(stream_, matrix.type().type, matrix.data(), x.data, nullptr, choices, nullptr, y,
                                       params),
             "products of heads");
  }
}

void GpuBackend::multiply_each_head(const GpuHeads& heads, DeviceSpan<float> y, int32_t y_stride,
                                    DeviceSpan<const float> x, int32_t x_stride, int32_t n_tokens) {
  const GpuMatrix& matrix = heads.matrix();
  const int32_t n_head = heads.n_head(), n_rows = heads.n_rows(), n_cols = matrix.n_cols();
  float* inputs = reserve(spare_, static_cast<size_t>(n_tokens) * static_cast<size_t>(n_cols));
  float* results = reserve(other_spare_, static_cast<size_t>(n_tokens) * static_cast<size_t>(n_rows));
  quantized_ = {};  // of what was there
  const size_t n_bytes = gpu::device_bytes(matrix.type(), int64_t{n_rows} * n_cols);
  const auto* weight = static_cast<const std::byte*>(matrix.data());
  for (int32_t h = 0; h < n_head; ++h, weight += n_bytes) {
    launched(gpu::launch_copy_columns(stream_, inputs, x.data,
                                      {n_tokens, n_cols, n_cols, 0, n_head * x_stride, h * x_stride}),
             "copy_columns");
    launched(gpu::launch_float_matvec(stream_, matrix.type().type, weight, inputs, nullptr, results,
                                      {n_rows, n_cols, n_tokens, 0}),
             "float_matvec");
    launched(gpu::launch_copy_columns(stream_, y.data, results,
                                      {n_tokens, n_rows, n_head * y_stride, h * y_stride, n_rows, 0}),
             "copy_columns");
  }
}

gpu::ExpertLists GpuBackend::list_heads(int32_t n_head, int32_t n_tokens) {
  const int32_t n_choices = n_tokens * n_head;
  const auto count = static_cast<size_t>(n_choices);
  auto* order = reinterpret_cast<int32_t*>(reserve(head_order_, count));
  auto* tiles = reinterpret_cast<int32_t*>(reserve(head_tiles_, 3 * count));
  auto* n_tiles = reinterpret_cast<int32_t*>(reserve(n_head_tiles_, 1));
  if (!is_in_pass_ || listed_heads_ != std::pair(n_head, n_tokens)) {
    launched(gpu::launch_group_experts(stream_, head_choices_.at(n_head).as<const int32_t>(), order, tiles, n_tiles,
                                       {n_head, n_choices}),
             "group_experts");
    listed_heads_ = {n_head, n_tokens};
  }
  return {order, tiles, n_tiles, n_choices, n_head};
}

}  // namespace outpost
