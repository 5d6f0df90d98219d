// rms_norm and layer_norm against their definitions in double precision, at widths around a vector and in place.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/cpu_backends.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

// Below a vector of 16 lanes, at it, and not a multiple of it.
constexpr int64_t kWidths[] = {1, 15, 16, 31, 2048, 4099};
constexpr float kEps = 1e-5f;

struct Moments {
  double mean, mean_abs, variance;
};

Moments moments_of(std::span<const float> row) {
  const auto n = static_cast<double>(row.size());
  Moments m{};
  for (const float x : row) {
    m.mean += x / n;
    m.mean_abs += std::abs(x) / n;
  }
  for (const float x : row) m.variance += (x - m.mean) * (x - m.mean) / n;
  return m;
}

std::vector<float> layer_norm(Backend& backend, const std::vector<float>& x, const std::vector<float>& weight,
                              const std::vector<float>& bias) {
  std::vector<float> y(x.size(), NAN);
  backend.layer_norm(span_of(y), span_of(x), span_of(weight), span_of(bias),
                     static_cast<int32_t>(x.size() / weight.size()), kEps);
  return y;
}

/// Rows of 2 * spread * uniform + offset, one row per offset.
std::vector<float> rows_around(std::span<const float> offsets, int64_t width, float spread, uint32_t seed) {
  std::vector<float> x = random_f32(offsets.size() * static_cast<size_t>(width), seed);
  for (size_t i = 0; i < x.size(); ++i) x[i] = spread * x[i] + offsets[i / static_cast<size_t>(width)];
  return x;
}

void check_layer_norm(const std::vector<float>& x, const std::vector<float>& weight, const std::vector<float>& bias,
                      const std::vector<float>& y) {
  const size_t n = weight.size();
  // A mean or a variance is off by at most E of the mean magnitude of its terms: sixteen chains of n / 16 sums, a
  // tree of four and a division, 2^-24 each.
  const double e = (static_cast<double>(n) / 16 + 8) * 0x1p-24;
  for (size_t row = 0; row < x.size() / n; ++row) {
    const Moments m = moments_of({x.data() + row * n, n});
    const double deviation = std::sqrt(m.variance + kEps);
    // The first mean's error, E * mean|x|, shifts all differences. Their own mean takes that off again, but for E
    // of the shift and of the differences. The variance adds half of that, and E / 2 of its own.
    const double shift = 2 * e * (1 + e * m.mean_abs / deviation);
    for (size_t i = 0; i < n; ++i) {
      const double unit = (x[row * n + i] - m.mean) / deviation;
      const double expected = unit * weight[i] + (bias.empty() ? 0.0 : double{bias[i]});
      // Six more roundings: two differences, the root, the quotient and two products; and that of the sum.
      const double tolerance =
          std::abs(weight[i]) * (shift + std::abs(unit) * (shift + e + 8 * 0x1p-24)) + std::abs(expected) * 0x1p-23;
      if (!(std::abs(y[row * n + i] - expected) <= tolerance))
        FAIL_CHECK("row ", row, ", ", i, ": got ", y[row * n + i], ", expected ", expected, " +- ", tolerance);
    }
  }
}

}  // namespace

TEST_CASE("rms_norm divides by the root mean square, in place too, with the same bits everywhere") {
  for (const int64_t n : {1, 15, 16, 31, 2048, 4099}) {  // below a vector, and not a multiple of it
    CAPTURE(n);
    const int32_t n_tokens = 5;
    const auto x = random_f32(static_cast<size_t>(n_tokens * n), /*seed=*/2),
               weight = random_f32(static_cast<size_t>(n), /*seed=*/3);
    std::vector<float> first;
    for (const auto& [name, backend] : all_cpu_backends()) {
      CAPTURE(name);
      std::vector<float> y = x;
      backend->rms_norm(span_of(y), span_of(y), span_of(weight), n_tokens, 1e-5f);
      for (int64_t t = 0; t < n_tokens; ++t) {
        double sum_sq = 0;
        for (int64_t i = 0; i < n; ++i)
          sum_sq += double{x[static_cast<size_t>(t * n + i)]} * x[static_cast<size_t>(t * n + i)];
        const double scale = 1 / std::sqrt(sum_sq / static_cast<double>(n) + 1e-5);
        for (int64_t i = 0; i < n; ++i) {
          const double expected = x[static_cast<size_t>(t * n + i)] * scale * weight[static_cast<size_t>(i)];
          // 16 partial sums of n / 16 squares, all positive: half their roundings, (n / 16 + 4) / 2 * 2^-24,
          // reach the root; five more follow.
          const double tolerance = (static_cast<double>(n) / 32 + 7) * 0x1p-24 * std::abs(expected);
          CHECK(std::abs(y[static_cast<size_t>(t * n + i)] - expected) <= tolerance);
        }
      }
      if (first.empty()) first = y;
      CHECK(y == first);
    }
  }
}

TEST_CASE("rms_norm of heads is that of each head alone, whatever their number") {
  const size_t n_tokens = 70, n_head = 3;
  for (const size_t head_dim : {6, 64, 80}) {
    CAPTURE(head_dim);
    const auto x = random_f32(n_tokens * n_head * head_dim, /*seed=*/4), weight = random_f32(head_dim, /*seed=*/5);
    const auto reference = create_cpu_backend(CpuKernels::kScalar, 1);
    std::vector<float> expected(x.size(), NAN);
    for (size_t at = 0; at < x.size(); at += head_dim)
      reference->rms_norm({expected.data() + at, head_dim}, {x.data() + at, head_dim}, span_of(weight), 1, kEps);
    for (const auto& [name, backend] : all_cpu_backends()) {
      CAPTURE(name);
      for (const size_t n : {size_t{1}, size_t{2}, size_t{7}, n_tokens}) {
        std::vector<float> y(x.begin(), x.begin() + static_cast<int64_t>(n * n_head * head_dim));
        backend->rms_norm(span_of(y), span_of(y), span_of(weight), static_cast<int32_t>(n * n_head), kEps);
        CHECK(std::equal(y.begin(), y.end(), expected.begin()));
      }
    }
  }
}

TEST_CASE("layer_norm takes off the mean and divides by the standard deviation, with and without a bias") {
  const std::vector<float> offsets = {0.0f, 0.3f, -20.0f, 0.0f, 1.0f};
  const auto backends = all_cpu_backends();
  for (const int64_t n : kWidths) {
    CAPTURE(n);
    const auto x = rows_around(offsets, n, /*spread=*/1.0f, /*seed=*/6);
    const auto weight = random_f32(static_cast<size_t>(n), /*seed=*/7);
    std::vector<std::vector<float>> biases(2, random_f32(static_cast<size_t>(n), /*seed=*/8));
    biases[1].clear();  // empty, though its address is not null
    for (const auto& bias : biases) {
      CAPTURE(bias.size());
      const std::vector<float> first = layer_norm(*backends[0].backend, x, weight, bias);
      check_layer_norm(x, weight, bias, first);
      for (const auto& [name, backend] : backends) {
        CAPTURE(name);
        CHECK(layer_norm(*backend, x, weight, bias) == first);
        std::vector<float> in_place = x;
        backend->layer_norm(span_of(in_place), span_of(in_place), span_of(weight), span_of(bias),
                            static_cast<int32_t>(offsets.size()), kEps);
        CHECK(in_place == first);
        // The last row alone: a row's bits do not depend on the others.
        const std::vector<float> last(x.end() - n, x.end());
        const std::vector<float> alone = layer_norm(*backend, last, weight, bias);
        CHECK(std::equal(alone.begin(), alone.end(), first.end() - n));
      }
    }
  }
}

TEST_CASE("layer_norm keeps its accuracy where the mean is huge beside the deviation") {
  const std::vector<float> offsets = {1e3f, -1e5f, 1e6f};
  const auto backends = all_cpu_backends();
  for (const int64_t n : kWidths) {
    CAPTURE(n);
    const auto x = rows_around(offsets, n, /*spread=*/2.0f, /*seed=*/9);
    const auto weight = random_f32(static_cast<size_t>(n), /*seed=*/10), bias = random_f32(weight.size(), /*seed=*/11);
    const std::vector<float> first = layer_norm(*backends[0].backend, x, weight, bias);
    check_layer_norm(x, weight, bias, first);
    for (const auto& [name, backend] : backends) {
      CAPTURE(name);
      CHECK(layer_norm(*backend, x, weight, bias) == first);
    }
  }
}

TEST_CASE("layer_norm of a constant row is the bias") {
  const std::vector<float> values = {0.0f, 1.0f, 0.1f, -12345.678f};
  const auto backends = all_cpu_backends();
  for (const int64_t n : kWidths) {
    CAPTURE(n);
    const auto x = rows_around(values, n, /*spread=*/0.0f, /*seed=*/12);
    const auto weight = random_f32(static_cast<size_t>(n), /*seed=*/13), bias = random_f32(weight.size(), /*seed=*/14);
    const std::vector<float> first = layer_norm(*backends[0].backend, x, weight, bias);
    check_layer_norm(x, weight, bias, first);
    // All sums of zeros and ones are exact.
    CHECK(std::equal(bias.begin(), bias.end(), first.begin()));
    CHECK(std::equal(bias.begin(), bias.end(), first.begin() + n));
    for (const auto& [name, backend] : backends) {
      CAPTURE(name);
      CHECK(layer_norm(*backend, x, weight, bias) == first);
    }
  }
}
