// For the tests of attention on f16 matrix units: what a token's result may be off by.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/tests/attention_data.h"

namespace outpost::test {

/// The largest sum of |q k| times the scale, of any position that head h of token t sees.
inline double largest_products(const Sequence& s, int32_t t, int32_t h) {
  const AttentionCase& c = s.shape;
  double largest = 0;
  for (int32_t p = c.n_window > 0 ? std::max(0, t - c.n_window + 1) : 0; p <= t; ++p) {
    double sum = 0;
    for (int32_t d = 0; d < c.dim_k; ++d)
      sum += std::abs(double{s.q[index(t, h, c.n_head, d, c.dim_k)]} *
                      s.k[index(p, h / (c.n_head / c.n_head_kv), c.n_head_kv, d, c.dim_k)]);
    largest = std::max(largest, sum / std::sqrt(static_cast<double>(c.dim_k)));
  }
  return largest;
}

inline void check_token(const Sequence& s, int32_t t, const float* got) {
  CAPTURE(t);
  const AttentionCase& c = s.shape;
  const std::vector<double> expected = reference(s, t);
  for (int32_t h = 0; h < c.n_head; ++h) {
    // A query is rounded by 2^-11, and products are added up in f32 by a unit that keeps at least 22 bits: so a score
    // may be off, and its weight by as much relative to it. A weight is rounded by 2^-11 once more, a subnormal one by
    // 2^-25 of the largest. The mean of values of magnitude 1 takes the error of a weight twice, in it and in the sum.
    const double score = (0x1.01p-11 + c.dim_k * 0x1p-22) * largest_products(s, t, h) + 0x1p-20;
    const double tolerance = 2 * std::expm1(score) + 0x1p-10 + (t + 1) * (0x1p-25 + 0x1p-21);
    for (int32_t d = 0; d < c.dim_v; ++d) {
      const auto i = static_cast<size_t>(h * c.dim_v + d);
      if (!(std::abs(got[i] - expected[i]) <= tolerance)) {
        FAIL_CHECK("head ", h, ", dimension ", d, ": ", got[i], ", expected ", expected[i], " +- ", tolerance);
        return;
      }
    }
  }
}

}  // namespace outpost::test
