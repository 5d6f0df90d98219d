// Products of a matrix per head: each must be the plain product of that head, bit for bit, in its place.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/cpu_backends.h"
#include "tests/support/multiply.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr float kUntouched = 12345.0f;

struct Layout {
  int32_t n_head, n_rows, n_cols, x_gap, y_gap;  // gaps are elements between heads
};

/// The matrix of one head of those that lie on one another.
FileMatrix head_of(const FileMatrix& heads, const Layout& layout, int32_t h) {
  const auto n_bytes = static_cast<int64_t>(heads.bytes.size()) / layout.n_head;
  const auto first = heads.bytes.begin() + h * n_bytes;
  return {heads.type, layout.n_rows, layout.n_cols, {first, first + n_bytes}};
}

/// x, [n_tokens, n_head, n_cols + gap]. NaN in the gaps: whoever reads them shows it.
std::vector<float> strided_input(const Layout& layout, int32_t n_tokens) {
  const int32_t stride = layout.n_cols + layout.x_gap;
  std::vector<float> x = random_f32(static_cast<size_t>(n_tokens * layout.n_head * stride), /*seed=*/31);
  for (size_t i = 0; i < x.size(); ++i)
    if (static_cast<int32_t>(i) % stride >= layout.n_cols) x[i] = NAN;
  return x;
}

/// Head after head through `multiply` of the scalar kernels; gaps keep kUntouched.
std::vector<float> one_by_one(const FileMatrix& heads, const Layout& layout, const std::vector<float>& x) {
  const auto backend = create_cpu_backend(CpuKernels::kScalar, 1);
  const int32_t x_stride = layout.n_cols + layout.x_gap, y_stride = layout.n_rows + layout.y_gap;
  const auto n_tokens = static_cast<int32_t>(x.size()) / (layout.n_head * x_stride);
  std::vector<float> y(static_cast<size_t>(n_tokens * layout.n_head * y_stride), kUntouched);
  for (int32_t h = 0; h < layout.n_head; ++h) {
    std::vector<float> head;
    for (int32_t t = 0; t < n_tokens; ++t) {
      const auto row = x.begin() + (t * layout.n_head + h) * x_stride;
      head.insert(head.end(), row, row + layout.n_cols);
    }
    const std::vector<float> product = multiply(*backend, head_of(heads, layout, h), head);
    for (int32_t t = 0; t < n_tokens; ++t)
      std::copy_n(product.begin() + t * layout.n_rows, layout.n_rows, y.begin() + (t * layout.n_head + h) * y_stride);
  }
  return y;
}

void check_heads(TensorType type, const Layout& layout, std::span<const int32_t> token_counts) {
  const int32_t n_most = *std::max_element(token_counts.begin(), token_counts.end());
  const FileMatrix heads = random_matrix(type, int64_t{layout.n_head} * layout.n_rows, layout.n_cols, /*seed=*/30);
  const auto x = strided_input(layout, n_most);
  const auto expected = one_by_one(heads, layout, x);
  const int32_t x_stride = layout.n_cols + layout.x_gap, y_stride = layout.n_rows + layout.y_gap;
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    const auto weights = backend->load_heads(heads.view(), layout.n_head);
    for (const int32_t n_tokens : token_counts) {
      CAPTURE(n_tokens);
      // The last tokens: their place in the batch differs, too.
      const std::vector<float> part(x.end() - n_tokens * layout.n_head * x_stride, x.end());
      std::vector<float> y(static_cast<size_t>(n_tokens * layout.n_head * y_stride), kUntouched);
      backend->matmul_heads(span_of(y), y_stride, *weights, span_of(part), x_stride, n_tokens);
      CHECK(std::equal(y.begin(), y.end(), expected.end() - static_cast<int64_t>(y.size())));
    }
  }
}

}  // namespace

TEST_CASE("matmul_heads is each head's plain product, strided, for every type") {
  const std::vector<int32_t> token_counts = {1, 2, 7, 9, 33};
  const Layout layouts[] = {{3, 17, 256, 7, 5}, {1, 16, 512, 0, 0}, {5, 1, 256, 64, 1}, {2, 70, 256, 0, 3}};
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    for (const Layout& layout : layouts) {
      CAPTURE(layout.n_rows);
      check_heads(type, layout, token_counts);
    }
  }
}

TEST_CASE("matmul_heads takes widths that are no multiple of 256 where the type does") {
  const std::vector<int32_t> token_counts = {1, 8, 35};
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    check_heads(type, {4, 19, 1, 2, 2}, token_counts);
    check_heads(type, {4, 19, 61, 0, 0}, token_counts);
    check_heads(type, {2, 33, 300, 1, 1}, token_counts);
  }
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ8_0}) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    check_heads(type, {4, 19, 32, 3, 2}, token_counts);
    check_heads(type, {2, 33, 288, 0, 4}, token_counts);
  }
}

TEST_CASE("matmul_heads gives the same bits for 1 to 70 tokens") {
  std::vector<int32_t> token_counts;
  for (int32_t n = 1; n <= 70; ++n) token_counts.push_back(n);
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kF16, TensorType::kQ8_0}) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    check_heads(type, {2, 18, 256, 5, 3}, token_counts);
  }
}
