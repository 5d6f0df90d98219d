// Products of a matrix per head on the device: each is its head's sum, in its place, however many tokens there are.
#include <doctest/doctest.h>

#include <cmath>

#include "backend/gpu_devices.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr float kUntouched = 12345.0f;

struct Layout {
  int32_t n_head, n_rows, n_cols, x_gap, y_gap;  // gaps are elements between heads

  int32_t x_stride() const { return n_cols + x_gap; }
  int32_t y_stride() const { return n_rows + y_gap; }
};

/// [n_tokens, n_head, n_cols + gap], whose quantization loses nothing. NaN in the gaps: whoever reads them shows it.
std::vector<float> input(const Layout& layout, int32_t n_tokens) {
  const auto n = static_cast<size_t>(n_tokens * layout.n_head);
  const auto n_cols = static_cast<size_t>(layout.n_cols), stride = static_cast<size_t>(layout.x_stride());
  const auto values = exact_activations(n * n_cols, 31);
  std::vector<float> x(n * stride, NAN);
  for (size_t i = 0; i < n; ++i) std::copy_n(values.data() + i * n_cols, n_cols, x.data() + i * stride);
  return x;
}

class DeviceHeads {
 public:
  DeviceHeads(const FileMatrix& matrix, const Layout& layout)
      : layout_(layout),
        backend_(create_gpu_backend(0, {})),
        heads_(backend_->load_heads(matrix.view(), layout.n_head)) {}

  /// x of the last n_tokens @return [n_tokens, n_head, n_rows + gap]
  std::vector<float> multiply(const std::vector<float>& x, int32_t n_tokens) {
    const auto n = static_cast<size_t>(n_tokens * layout_.n_head);
    const std::vector<float> part(x.end() - static_cast<int64_t>(n) * layout_.x_stride(), x.end());
    const auto from = backend_->alloc_f32(part.size());
    const auto to = backend_->alloc_f32(n * static_cast<size_t>(layout_.y_stride()));
    std::vector<float> y(to->span().size, kUntouched);
    backend_->write(from->span(), part);
    backend_->write(to->span(), y);
    backend_->matmul_heads(to->span(), layout_.y_stride(), *heads_, from->span(), layout_.x_stride(), n_tokens);
    backend_->read(y, to->span());
    return y;
  }

 private:
  Layout layout_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<HeadWeights> heads_;
};

/// Against sums in double precision. @param precision of a product's weight, of its magnitude
void check_sums(const FileMatrix& matrix, const Layout& layout, const std::vector<float>& x,
                const std::vector<float>& y, double precision) {
  const std::vector<float> w = matrix.values();
  const auto n_rows = static_cast<size_t>(layout.n_rows), n_cols = static_cast<size_t>(layout.n_cols);
  const auto x_stride = static_cast<size_t>(layout.x_stride()), y_stride = static_cast<size_t>(layout.y_stride());
  const size_t n = y.size() / y_stride;
  const float* last = x.data() + x.size() - n * x_stride;
  size_t n_wrong = 0;
  for (size_t i = 0; i < n; ++i) {
    const size_t head = i % static_cast<size_t>(layout.n_head);
    for (size_t row = 0; row < n_rows; ++row) {
      double sum = 0, magnitude = 0;
      for (size_t c = 0; c < n_cols; ++c) {
        const double product = double{w[(head * n_rows + row) * n_cols + c]} * last[i * x_stride + c];
        sum += product;
        magnitude += std::abs(product);
      }
      if (!(std::abs(y[i * y_stride + row] - sum) <= precision * magnitude)) ++n_wrong;
    }
    for (size_t gap = n_rows; gap < y_stride; ++gap) n_wrong += y[i * y_stride + gap] != kUntouched;
  }
  CHECK(n_wrong == 0);
}

void check_heads(TensorType type, const Layout& layout, std::initializer_list<int32_t> token_counts) {
  CAPTURE(std::string(tensor_type_traits(type).name));
  CAPTURE(layout.n_head);
  const FileMatrix matrix = random_matrix(type, int64_t{layout.n_head} * layout.n_rows, layout.n_cols, 30);
  const std::vector<float> x = input(layout, *(token_counts.end() - 1));
  DeviceHeads heads(matrix, layout);
  std::vector<float> of_one;
  for (const int32_t n_tokens : token_counts) {
    CAPTURE(n_tokens);
    const std::vector<float> y = heads.multiply(x, n_tokens);
    // Many tokens have weights as f16; sums are f32, of at most 512 terms.
    const bool are_halved = n_tokens > 16 && type != TensorType::kF32;
    check_sums(matrix, layout, x, y, (are_halved ? 0x1p-11 : 0) + 512 * 0x1p-24);
    if (of_one.empty()) of_one = y;
    // The last token's, whoever is computed with it.
    if (n_tokens <= 16) CHECK(std::equal(of_one.begin(), of_one.end(), y.end() - static_cast<int64_t>(of_one.size())));
  }
}

}  // namespace

TEST_CASE("emulated device: heads have the products of their own matrices, strided") {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kQ4_0}) {
    check_heads(type, {3, 17, 64, 32, 5}, {1, 2, 9, 16, 17, 40});
    check_heads(type, {2, 64, 128, 0, 0}, {1, 16, 33});
  }
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0}) {
    check_heads(type, {3, 20, 256, 64, 4}, {1, 7, 16, 17});
  }
  check_heads(TensorType::kQ4_K, {1, 16, 512, 0, 0}, {1, 3, 20});
}

TEST_CASE("emulated device: many heads of many tokens are multiplied in parts") {
  // 8,192 rows at once, which are 128 tokens here.
  check_heads(TensorType::kF16, {64, 3, 32, 2, 1}, {129});
}
