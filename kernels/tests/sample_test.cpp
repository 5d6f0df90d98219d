// What sampling asks of the device, against sorting and sums on the host.
#include "kernels/portable/sample.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/tests/operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

TEST_CASE("gpu sampling: top_k gives the best tokens in order, ties to the lower token and NaN last") {
  for (const int32_t n_vocab : {1, 31, 257, 4099}) {
    for (const int32_t k : {1, 2, 9}) {
      if (k > n_vocab) continue;
      CAPTURE(n_vocab);
      CAPTURE(k);
      const int32_t n_rows = 2;
      auto logits = random_f32(static_cast<size_t>(n_rows * n_vocab), 1);
      for (float& x : logits) x = std::round(x * 50);  // many ties
      if (n_vocab > 300) logits[300] = NAN;
      logits[0] = -INFINITY;
      DeviceArray<float> input("logits", logits), values("values", static_cast<size_t>(n_rows * k));
      DeviceArray<int32_t> tokens("tokens", static_cast<size_t>(n_rows * k));
      run_top_k(input, tokens, values, n_rows, SampleParams{n_vocab, k, 1});
      for (int32_t row = 0; row < n_rows; ++row) {
        const float* x = logits.data() + row * n_vocab;
        std::vector<int32_t> order(static_cast<size_t>(n_vocab));
        std::iota(order.begin(), order.end(), 0);
        const auto rank = [&](int32_t i) { return std::isnan(x[i]) ? -INFINITY : x[i]; };
        std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return rank(a) > rank(b); });
        for (int32_t i = 0; i < k; ++i) {
          const auto at = static_cast<size_t>(row * k + i);
          CHECK(tokens.values()[at] == order[static_cast<size_t>(i)]);
          CHECK(values.values()[at] == x[order[static_cast<size_t>(i)]]);
        }
      }
    }
  }
}

TEST_CASE("gpu sampling: softmax follows its definition, in place or not") {
  for (const int32_t n : {1, 33, 1000}) {
    for (const float temperature : {1.0f, 0.25f}) {
      CAPTURE(n);
      auto x = random_f32(static_cast<size_t>(2 * n), 2);
      for (float& value : x) value *= 20;
      DeviceArray<float> input("x", x), y("y", x.size()), in_place("x", x, RegionKind::kValues);
      run_softmax_rows(y, input, 2, SampleParams{n, 0, temperature});
      run_softmax_rows(in_place, in_place, 2, SampleParams{n, 0, temperature}, Schedule::kRandom);
      CHECK(in_place.values() == y.values());
      for (size_t row = 0; row < 2; ++row) {
        const auto first = x.begin() + static_cast<int64_t>(row) * n;
        const double max = *std::max_element(first, first + n);
        double sum = 0;
        for (int32_t i = 0; i < n; ++i) sum += std::exp((first[i] - max) / double{temperature});
        for (int32_t i = 0; i < n; ++i) {
          const double expected = std::exp((first[i] - max) / double{temperature}) / sum;
          // The exponent is up to 160 and has an error of 2^-24 of itself.
          CHECK(std::abs(y.values()[row * static_cast<size_t>(n) + static_cast<size_t>(i)] - expected) <=
                2e-5 * expected + 1e-37);
        }
      }
    }
  }
}
