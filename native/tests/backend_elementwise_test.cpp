// Additions, scaling and copies against exact arithmetic in double precision, at sizes below and above what one
// thread takes at once.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/cpu_backends.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr size_t kSizes[] = {0, 1, 15, 16, 31, 4099, 100001};

std::vector<float> first_rows(const std::vector<float>& x, size_t n) {
  return {x.begin(), x.begin() + static_cast<int64_t>(n)};
}

}  // namespace

TEST_CASE("add adds a multiple") {
  for (const size_t n : kSizes) {
    CAPTURE(n);
    const auto x = random_f32(n, /*seed=*/1), y = random_f32(n, /*seed=*/2);
    for (const float scale : {1.0f, 0.0f, -1.0f, 0.22f, 1e6f}) {
      CAPTURE(scale);
      std::vector<float> first;
      for (const auto& [name, backend] : all_cpu_backends()) {
        CAPTURE(name);
        std::vector<float> sum = x;
        backend->add(span_of(sum), span_of(y), scale);
        for (size_t i = 0; i < n; ++i) {
          const double product = double{scale} * y[i], expected = x[i] + product;
          // The product is rounded, then the sum.
          const double tolerance = 1.001 * 0x1p-24 * (std::abs(product) + std::abs(expected));
          if (!(std::abs(sum[i] - expected) <= tolerance)) FAIL_CHECK(i, ": got ", sum[i], ", expected ", expected);
        }
        if (first.empty()) first = sum;
        CHECK(sum == first);
      }
    }
  }
}

TEST_CASE("add leaves what is past its operand") {
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    for (const size_t n : kSizes) {
      CAPTURE(n);
      std::vector<float> x(n + 2, 3.0f);
      const std::vector<float> y(n, 2.0f);
      backend->add({x.data() + 1, n}, span_of(y));
      CHECK((x.front() == 3.0f && x.back() == 3.0f));
      CHECK(std::all_of(x.begin() + 1, x.end() - 1, [](float v) { return v == 5.0f; }));
    }
  }
}

TEST_CASE("scale multiplies") {
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    for (const size_t n : kSizes) {
      CAPTURE(n);
      const auto x = random_f32(n + 2, /*seed=*/3);
      for (const float factor : {1.0f, 0.0f, -62.7f, 1e-30f}) {
        std::vector<float> y = x;
        backend->scale({y.data() + 1, n}, factor);
        CHECK((y.front() == x.front() && y.back() == x.back()));
        bool is_exact = true;
        // A product of two floats is exact in double: its rounding is the float product.
        for (size_t i = 1; i <= n; ++i) is_exact &= y[i] == static_cast<float>(double{x[i]} * factor);
        CHECK(is_exact);
      }
    }
  }
}

TEST_CASE("add_gated adds each row times the sigmoid of its logit") {
  const std::vector<float> logits = {0.0f,      1000.0f, -1000.0f, 88.7f, -88.7f, INFINITY,
                                     -INFINITY, 0.3f,    -4.0f,    20.0f, -15.0f};
  const size_t n_tokens = logits.size();
  for (const size_t width : {1, 31, 4099, 20000}) {
    CAPTURE(width);
    const auto x = random_f32(n_tokens * width, /*seed=*/4), y = random_f32(n_tokens * width, /*seed=*/5);
    std::vector<float> first;
    for (const auto& [name, backend] : all_cpu_backends()) {
      CAPTURE(name);
      std::vector<float> sum = x;
      backend->add_gated(span_of(sum), span_of(y), span_of(logits), static_cast<int32_t>(n_tokens));
      for (size_t i = 0; i < sum.size(); ++i) {
        const double product = y[i] / (1 + std::exp(-double{logits[i / width]})), expected = x[i] + product;
        // exp within 2 ulp, a sum, a quotient and a product; then the sum. Below exp(-88) a weight may be 0.
        const double tolerance = 8 * 0x1p-24 * std::abs(product) + 1.001 * 0x1p-24 * std::abs(expected) + 0x1p-120;
        if (!(std::abs(sum[i] - expected) <= tolerance)) FAIL_CHECK(i, ": got ", sum[i], ", expected ", expected);
      }
      CHECK(std::equal(sum.begin() + static_cast<int64_t>(2 * width), sum.begin() + static_cast<int64_t>(3 * width),
                       x.begin() + static_cast<int64_t>(2 * width)));
      if (first.empty()) first = sum;
      CHECK(sum == first);
      for (const size_t n : {0, 1, 2, 7}) {
        std::vector<float> part = first_rows(x, n * width);
        const std::vector<float> y_part = first_rows(y, n * width), logits_part = first_rows(logits, n);
        backend->add_gated(span_of(part), span_of(y_part), span_of(logits_part), static_cast<int32_t>(n));
        CHECK(part == first_rows(sum, n * width));
      }
    }
  }
}

TEST_CASE("copy_columns moves a block of columns and leaves all others") {
  struct Case {
    int32_t y_width, y_col, x_width, x_col, n_cols;
  };
  const Case cases[] = {{7, 2, 5, 1, 3},  {5, 0, 5, 0, 5},       {8, 3, 20, 15, 5},          {20, 15, 8, 3, 5},
                        {6, 6, 4, 4, 0},  {1, 0, 1, 0, 1},       {576, 512, 64, 0, 64},      {192, 128, 576, 512, 64},
                        {33, 1, 3, 0, 3}, {512, 0, 576, 0, 512}, {20001, 1, 20000, 0, 20000}};
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    for (const Case& c : cases) {
      CAPTURE(c.y_width);
      CAPTURE(c.n_cols);
      for (const int32_t n_rows : {0, 1, 2, 7, 70}) {
        CAPTURE(n_rows);
        const auto x = random_f32(static_cast<size_t>(n_rows * c.x_width), /*seed=*/6);
        const auto before = random_f32(static_cast<size_t>(n_rows * c.y_width), /*seed=*/7);
        std::vector<float> y = before;
        backend->copy_columns(span_of(y), c.y_width, c.y_col, span_of(x), c.x_width, c.x_col, c.n_cols, n_rows);
        bool is_right = true;
        for (int32_t r = 0; r < n_rows; ++r) {
          for (int32_t i = 0; i < c.y_width; ++i) {
            const bool is_copied = i >= c.y_col && i < c.y_col + c.n_cols;
            const auto at = static_cast<size_t>(r * c.y_width + i);
            is_right &=
                y[at] == (is_copied ? x[static_cast<size_t>(r * c.x_width + c.x_col + i - c.y_col)] : before[at]);
          }
        }
        CHECK(is_right);
      }
    }
  }
}
