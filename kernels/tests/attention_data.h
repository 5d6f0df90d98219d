// Sequences for the tests of attention: inputs, their keys and values in pages, and the textbook softmax in f64.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "core/half.h"
#include "kernels/tests/operations.h"

namespace outpost::test {

using gpu::kPage;
using gpu::KvLayout;

struct AttentionCase {
  int32_t n_head, n_head_kv, dim_k, dim_v;
  int32_t n_window = 0;
  float softcap = 0;
  bool has_sinks = false;
  float magnitude = 1;  ///< of queries; keys are as much smaller
};

/// One sequence: inputs of all its tokens, and its keys and values in pages.
struct Sequence {
  AttentionCase shape;
  int32_t n_tokens;
  std::vector<float> q, k, v, sinks;
  std::vector<int32_t> page_table;
  std::vector<uint16_t> pages;
  KvLayout kv;
};

inline size_t index(int64_t a, int64_t b, int64_t n_b, int64_t c, int64_t n_c) {
  return static_cast<size_t>((a * n_b + b) * n_c + c);
}

inline Sequence make_sequence(const AttentionCase& shape, int32_t n_tokens, uint32_t seed) {
  Sequence s{shape, n_tokens, {}, {}, {}, {}, {}, {}, {}};
  const auto n = static_cast<size_t>(n_tokens);
  s.q = random_f32(n * static_cast<size_t>(shape.n_head * shape.dim_k), seed);
  s.k = random_f32(n * static_cast<size_t>(shape.n_head_kv * shape.dim_k), seed + 1);
  s.v = random_f32(n * static_cast<size_t>(shape.n_head_kv * shape.dim_v), seed + 2);
  for (float& x : s.q) x *= 4 * shape.magnitude;  // sharp enough that the softmax has a clear maximum
  for (float& x : s.k) x /= shape.magnitude;
  if (shape.has_sinks) s.sinks = random_f32(static_cast<size_t>(shape.n_head), seed + 3);

  // Two layers, of which this is the second; pages in any order, and one that belongs to nobody. What is not written
  // is NaN.
  const int64_t layer = int64_t{kPage} * shape.n_head_kv * (shape.dim_k + shape.dim_v);
  s.kv = {shape.n_head_kv, shape.dim_k, shape.dim_v, 2 * layer, layer};
  const int32_t n_pages = (n_tokens + kPage - 1) / kPage;
  s.page_table.resize(static_cast<size_t>(n_pages));
  std::iota(s.page_table.begin(), s.page_table.end(), 1);
  std::shuffle(s.page_table.begin(), s.page_table.end(), std::mt19937(seed));
  s.pages.assign(static_cast<size_t>((n_pages + 1) * s.kv.page_stride), 0xffff);
  for (int32_t p = 0; p < n_tokens; ++p) {
    const int32_t page = s.page_table[static_cast<size_t>(p / kPage)];
    for (int32_t h = 0; h < shape.n_head_kv; ++h) {
      for (int32_t d = 0; d < shape.dim_k; ++d)
        s.pages[static_cast<size_t>(key_at(s.kv, page, h, p % kPage) + d)] =
            float_to_half(s.k[index(p, h, shape.n_head_kv, d, shape.dim_k)]);
      for (int32_t d = 0; d < shape.dim_v; ++d)
        s.pages[static_cast<size_t>(value_at(s.kv, page, h, p % kPage) + d)] =
            float_to_half(s.v[index(p, h, shape.n_head_kv, d, shape.dim_v)]);
    }
  }
  return s;
}

/// Appends the means of values under the softmax of `scores`, from its definition.
/// @param sink a logit without a value, or null; value(i, d) dimension d of what scores[i] is the score of
template <typename Value>
void append_means(std::vector<double>& y, std::vector<double> scores, const float* sink, int32_t dim_v,
                  const Value& value) {
  double max = *std::max_element(scores.begin(), scores.end()), sum = 0;
  if (sink != nullptr) max = std::max(max, double{*sink});
  for (double& score : scores) sum += score = std::exp(score - max);
  if (sink != nullptr) sum += std::exp(*sink - max);
  for (int32_t d = 0; d < dim_v; ++d) {
    double mean = 0;
    for (size_t i = 0; i < scores.size(); ++i) mean += scores[i] * value(i, d);
    y.push_back(mean / sum);
  }
}

/// Position by position in f64, from the definitions of the softmax, the soft cap, the window and the sink.
inline std::vector<double> reference(const Sequence& s, int32_t t) {
  const AttentionCase& c = s.shape;
  const auto stored = [](float x) { return double{half_to_float(float_to_half(x))}; };
  std::vector<double> y;
  for (int32_t h = 0; h < c.n_head; ++h) {
    const int32_t h_kv = h / (c.n_head / c.n_head_kv);
    std::vector<double> scores;
    const int32_t first = c.n_window > 0 ? std::max(0, t - c.n_window + 1) : 0;
    for (int32_t p = first; p <= t; ++p) {
      double score = 0;
      for (int32_t d = 0; d < c.dim_k; ++d)
        score += double{s.q[index(t, h, c.n_head, d, c.dim_k)]} * stored(s.k[index(p, h_kv, c.n_head_kv, d, c.dim_k)]);
      score /= std::sqrt(static_cast<double>(c.dim_k));
      scores.push_back(c.softcap > 0 ? c.softcap * std::tanh(score / c.softcap) : score);
    }
    append_means(y, scores, c.has_sinks ? &s.sinks[static_cast<size_t>(h)] : nullptr, c.dim_v,
                 [&](size_t i, int32_t d) {
                   return stored(s.v[index(first + static_cast<int32_t>(i), h_kv, c.n_head_kv, d, c.dim_v)]);
                 });
  }
  return y;
}

}  // namespace outpost::test
