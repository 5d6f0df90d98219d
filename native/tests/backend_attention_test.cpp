// Attention over pages against the textbook softmax in double precision, and its independence from chunking,
// threads, page order and neighbours in the batch.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/half.h"
#include "tests/support/cpu_backends.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

AttentionParams params_of(int32_t n_head, int32_t n_head_kv, int32_t head_dim_k, int32_t head_dim_v = 0) {
  return {n_head, n_head_kv, head_dim_k, head_dim_v > 0 ? head_dim_v : head_dim_k,
          1.0f / std::sqrt(static_cast<float>(head_dim_k))};
}

/// One sequence's inputs, [n_tokens, heads, head_dim].
struct Inputs {
  std::vector<float> q, k, v;
};

Inputs random_inputs(int32_t n_tokens, const AttentionParams& params, uint32_t seed) {
  const auto n_q = static_cast<size_t>(n_tokens * params.n_head * params.head_dim_k);
  const auto n_k = static_cast<size_t>(n_tokens * params.n_head_kv * params.head_dim_k);
  const auto n_v = static_cast<size_t>(n_tokens * params.n_head_kv * params.head_dim_v);
  Inputs in{random_f32(n_q, seed), random_f32(n_k, seed + 1), random_f32(n_v, seed + 2)};
  for (float& x : in.q) x *= 4;  // sharp enough that the softmax has a clear maximum
  return in;
}

/// Runs the sequence in chunks, as a prefill would.
std::vector<float> attend(Backend& backend, const Inputs& in, int32_t n_tokens, const AttentionParams& params,
                          std::span<const int32_t> chunks, std::span<const int32_t> page_table) {
  const auto kv = backend.alloc_kv({/*n_layer=*/2, params.n_head_kv, params.head_dim_k, params.head_dim_v},
                                   *std::max_element(page_table.begin(), page_table.end()) + 1);
  const int64_t q_width = params.n_head * params.head_dim_k, y_width = params.n_head * params.head_dim_v;
  const int64_t k_width = params.n_head_kv * params.head_dim_k, v_width = params.n_head_kv * params.head_dim_v;
  std::vector<float> y(static_cast<size_t>(n_tokens * y_width), NAN);
  std::vector<float> q = in.q;
  int32_t n_past = 0;
  for (size_t i = 0; n_past < n_tokens; ++i) {
    const int32_t n = std::min(chunks[i % chunks.size()], n_tokens - n_past);
    const SequenceRun run{page_table, n_past, n};
    const DeviceSpan<float> q_chunk{q.data() + n_past * q_width, static_cast<size_t>(n * q_width)};
    backend.rope_and_store_kv(q_chunk, {in.k.data() + n_past * k_width, static_cast<size_t>(n * k_width)},
                              {in.v.data() + n_past * v_width, static_cast<size_t>(n * v_width)}, *kv, 1, {&run, 1},
                              params, nullptr);
    backend.attention({y.data() + n_past * y_width, static_cast<size_t>(n * y_width)}, q_chunk, *kv, 1, {&run, 1},
                      params);
    n_past += n;
  }
  return y;
}

/// Position by position in f64, from the definitions of the softmax, the soft cap, the window and the sink.
std::vector<float> reference(const Inputs& in, int32_t n_tokens, const AttentionParams& params) {
  const auto stored = [](float x) { return double{half_to_float(float_to_half(x))}; };
  std::vector<float> y;
  for (int32_t t = 0; t < n_tokens; ++t) {
    for (int32_t h = 0; h < params.n_head; ++h) {
      const int32_t h_kv = h / (params.n_head / params.n_head_kv);
      const auto kv_at = [&](int32_t p, int32_t dim, int32_t d) {
        return static_cast<size_t>((p * params.n_head_kv + h_kv) * dim + d);
      };
      const auto q_at = static_cast<size_t>((t * params.n_head + h) * params.head_dim_k);
      std::vector<double> scores(static_cast<size_t>(t) + 1);
      for (int32_t p = 0; p <= t; ++p) {
        double score = 0;
        for (int32_t d = 0; d < params.head_dim_k; ++d)
          score += double{in.q[q_at + static_cast<size_t>(d)]} * stored(in.k[kv_at(p, params.head_dim_k, d)]);
        score *= double{params.scale};
        if (params.softcap > 0) score = double{params.softcap} * std::tanh(score / double{params.softcap});
        const bool is_outside = params.n_window > 0 && t - p >= params.n_window;
        scores[static_cast<size_t>(p)] = is_outside ? -INFINITY : score;
      }
      double sum = params.sinks.size > 0 ? std::exp(double{params.sinks.data[h]}) : 0.0;
      for (double& score : scores) sum += score = std::exp(score);
      for (int32_t d = 0; d < params.head_dim_v; ++d) {
        double value = 0;
        for (int32_t p = 0; p <= t; ++p)
          value += scores[static_cast<size_t>(p)] / sum * stored(in.v[kv_at(p, params.head_dim_v, d)]);
        y.push_back(static_cast<float>(value));
      }
    }
  }
  return y;
}

std::vector<int32_t> pages_in_order(int32_t n) {
  std::vector<int32_t> table(static_cast<size_t>(n));
  std::iota(table.begin(), table.end(), 0);
  return table;
}

}  // namespace

TEST_CASE("attention is the softmax of q.k times v") {
  const int32_t n_tokens = 150;  // two full pages and a part of a third
  const int32_t heads[][3] = {{4, 4, 64}, {8, 1, 32}, {6, 2, 80}, {5, 5, 16}, {2, 1, 128}, {3, 1, 6}, {2, 2, 258}};
  const auto pages = pages_in_order(3);
  const std::vector<int32_t> whole = {n_tokens};
  for (const auto& [n_head, n_head_kv, head_dim] : heads) {
    CAPTURE(n_head);
    CAPTURE(n_head_kv);
    CAPTURE(head_dim);
    const AttentionParams params = params_of(n_head, n_head_kv, head_dim);
    const Inputs in = random_inputs(n_tokens, params, /*seed=*/1);
    const std::vector<float> expected = reference(in, n_tokens, params);
    for (const auto& [name, backend] : all_cpu_backends()) {
      CAPTURE(name);
      // A score is a sum of head_dim products of magnitude up to 4: its error of some 1e-6 is the relative
      // error of its weight, so outputs differ by about 1e-6 relative and the NMSE by about 1e-12.
      CHECK(nmse(attend(*backend, in, n_tokens, params, whole, pages), expected) < 1e-11);
    }
  }
}

TEST_CASE("attention with values of another width, soft caps, windows and sinks") {
  const int32_t n_tokens = 150;
  const auto pages = pages_in_order(3);
  const std::vector<int32_t> whole = {n_tokens}, chunks = {9};
  const std::vector<float> sinks = {0.0f, 2.0f, -3.0f, 12.0f};
  struct Case {
    int32_t n_head_kv, head_dim_k, head_dim_v;
    float softcap;
    int32_t n_window;
    bool has_sinks;
  };
  const Case cases[] = {{1, 40, 32, 0, 0, false},    {2, 24, 72, 0, 0, false}, {1, 576, 512, 0, 0, false},
                        {4, 64, 64, 3.0f, 0, false}, {2, 64, 64, 0, 1, false}, {2, 64, 64, 0, 64, false},
                        {2, 64, 64, 0, 65, false},   {4, 32, 32, 0, 0, true},  {2, 80, 96, 20.0f, 17, true},
                        {2, 32, 32, 0, 1000, true},  {1, 32, 32, 0, 2, false}, {2, 32, 32, 0.7f, 63, false},
                        {1, 16, 16, 1.5f, 5, true}};
  for (const Case& c : cases) {
    CAPTURE(c.head_dim_k);
    CAPTURE(c.softcap);
    CAPTURE(c.n_window);
    AttentionParams params = params_of(4, c.n_head_kv, c.head_dim_k, c.head_dim_v);
    params.softcap = c.softcap;
    params.n_window = c.n_window;
    if (c.has_sinks) params.sinks = {sinks.data(), sinks.size()};
    const Inputs in = random_inputs(n_tokens, params, /*seed=*/9);
    const std::vector<float> expected = reference(in, n_tokens, params);
    for (const auto& [name, backend] : all_cpu_backends()) {
      CAPTURE(name);
      // As above; the soft cap adds at most 17 roundings of 2^-24 to a score: 1e-6 of one.
      CHECK(nmse(attend(*backend, in, n_tokens, params, whole, pages), expected) < 1e-11);
      CHECK(nmse(attend(*backend, in, n_tokens, params, chunks, pages), expected) < 1e-11);
    }
  }
}

TEST_CASE("the bits of attention do not depend on chunks, kernels, threads or where pages lie") {
  const int32_t n_tokens = 150;
  AttentionParams plain = params_of(6, 2, 48), everything = params_of(6, 2, 48, 32);
  const std::vector<float> sinks = {0.0f, 3.0f, -2.0f, 1.0f, -50.0f, 8.0f};
  everything.softcap = 2.5f;
  everything.n_window = 21;
  everything.sinks = {sinks.data(), sinks.size()};
  for (const AttentionParams& params : {plain, everything}) {
    CAPTURE(params.n_window);
    const Inputs in = random_inputs(n_tokens, params, /*seed=*/2);
    const auto backends = all_cpu_backends();
    const std::vector<int32_t> whole = {n_tokens};
    const std::vector<float> expected = attend(*backends[0].backend, in, n_tokens, params, whole, pages_in_order(3));
    const std::vector<std::vector<int32_t>> chunkings = {{n_tokens}, {1}, {7}, {64}, {63, 2, 5}};
    const std::vector<int32_t> shuffled = {4, 0, 2};
    for (const auto& [name, backend] : backends) {
      CAPTURE(name);
      for (const auto& chunks : chunkings) {
        CAPTURE(chunks[0]);
        CHECK(attend(*backend, in, n_tokens, params, chunks, shuffled) == expected);
      }
    }
  }
}

TEST_CASE("query heads that do not fill a tile are each computed as if alone") {
  const int32_t n_tokens = 70, head_dim = 16;
  const std::vector<int32_t> whole = {n_tokens}, chunks = {1}, some = {3};
  for (const int32_t n_head : {1, 2, 3, 5, 6, 7, 9}) {
    CAPTURE(n_head);
    const AttentionParams params = params_of(n_head, 1, head_dim), one = params_of(1, 1, head_dim);
    const Inputs in = random_inputs(n_tokens, params, /*seed=*/12);
    const auto backends = all_cpu_backends();
    std::vector<float> expected(in.q.size());
    for (int32_t h = 0; h < n_head; ++h) {
      const auto head_at = [&](int32_t t) { return (t * n_head + h) * head_dim; };
      Inputs head{{}, in.k, in.v};
      for (int32_t t = 0; t < n_tokens; ++t)
        head.q.insert(head.q.end(), in.q.begin() + head_at(t), in.q.begin() + head_at(t) + head_dim);
      const auto y = attend(*backends[0].backend, head, n_tokens, one, chunks, pages_in_order(2));
      for (int32_t t = 0; t < n_tokens; ++t)
        std::copy_n(y.begin() + t * head_dim, head_dim, expected.begin() + head_at(t));
    }
    CHECK(nmse(expected, reference(in, n_tokens, params)) < 1e-11);
    for (const auto& [name, backend] : backends) {
      CAPTURE(name);
      for (const auto& cut : {whole, chunks, some})
        CHECK(attend(*backend, in, n_tokens, params, cut, pages_in_order(2)) == expected);
    }
  }
}

TEST_CASE("a sink far above all scores takes everything, one far below takes nothing") {
  const int32_t n_tokens = 70;
  const std::vector<int32_t> whole = {n_tokens};
  const AttentionParams plain = params_of(4, 2, 32);
  const Inputs in = random_inputs(n_tokens, plain, /*seed=*/13);
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    const std::vector<float> without = attend(*backend, in, n_tokens, plain, whole, pages_in_order(2));
    for (const float far : {150.0f, 1e4f, 3e38f}) {
      CAPTURE(far);
      const std::vector<float> sinks = {far, -far, -far, far};
      AttentionParams params = plain;
      params.sinks = {sinks.data(), sinks.size()};
      const std::vector<float> y = attend(*backend, in, n_tokens, params, whole, pages_in_order(2));
      bool is_right = true;
      for (size_t i = 0; i < y.size(); ++i) is_right &= y[i] == (sinks[i / 32 % 4] > 0 ? 0.0f : without[i]);
      CHECK(is_right);
    }
  }
}

TEST_CASE("sequences in one batch do not see each other") {
  const AttentionParams plain = params_of(4, 2, 32);
  AttentionParams windowed = plain;
  windowed.n_window = 10;  // less than a page, and across the border of two in most runs
  const int32_t n_a = 150, n_b = 73, n_c = 3;
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    for (const AttentionParams& params : {plain, windowed}) {
      CAPTURE(params.n_window);
      const Inputs a = random_inputs(n_a, params, /*seed=*/3), b = random_inputs(n_b, params, /*seed=*/6),
                   c = random_inputs(n_c, params, /*seed=*/16);
      const std::vector<int32_t> a_pages = {1, 5, 3}, b_pages = {4, 2}, c_pages = {0};
      const auto kv = backend->alloc_kv({1, 2, 32, 32}, 6);
      std::vector<float> y_a, y_b, y_c;
      // Three batches: runs of different lengths, begun at different positions, one of them not in each batch.
      const auto forward = [&](int32_t a_past, int32_t a_end, int32_t b_past, int32_t b_end, int32_t n_c_now) {
        const SequenceRun runs[] = {
            {a_pages, a_past, a_end - a_past}, {b_pages, b_past, b_end - b_past}, {c_pages, 0, n_c_now}};
        const auto concatenated = [&](std::vector<float> Inputs::*part, int64_t width) {
          std::vector<float> rows((a.*part).begin() + a_past * width, (a.*part).begin() + a_end * width);
          rows.insert(rows.end(), (b.*part).begin() + b_past * width, (b.*part).begin() + b_end * width);
          rows.insert(rows.end(), (c.*part).begin(), (c.*part).begin() + n_c_now * width);
          return rows;
        };
        std::vector<float> q = concatenated(&Inputs::q, 4 * 32), y(q.size(), NAN);
        const std::vector<float> k = concatenated(&Inputs::k, 2 * 32), v = concatenated(&Inputs::v, 2 * 32);
        backend->rope_and_store_kv(span_of(q), span_of(k), span_of(v), *kv, 0, runs, params, nullptr);
        backend->attention(span_of(y), span_of(q), *kv, 0, runs, params);
        const auto a_rows = y.begin() + (a_end - a_past) * 4 * 32, b_rows = a_rows + (b_end - b_past) * 4 * 32;
        y_a.insert(y_a.end(), y.begin(), a_rows);
        y_b.insert(y_b.end(), a_rows, b_rows);
        y_c.insert(y_c.end(), b_rows, y.end());
      };
      forward(0, 70, 0, 3, n_c);
      forward(70, 71, 3, 67, 0);
      forward(71, n_a, 67, n_b, 0);
      const auto alone = [&](const Inputs& in, int32_t n) {
        const std::vector<int32_t> whole = {n};
        return attend(*backend, in, n, params, whole, pages_in_order((n + kKvPageSize - 1) / kKvPageSize));
      };
      CHECK(y_a == alone(a, n_a));
      CHECK(y_b == alone(b, n_b));
      CHECK(y_c == alone(c, n_c));
    }
  }
}

TEST_CASE("what a page held before is not seen") {
  const AttentionParams params = params_of(2, 1, 32);
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    const auto kv = backend->alloc_kv({1, 1, 32, 32}, 1);
    const std::vector<int32_t> pages = {0};
    Inputs before = random_inputs(64, params, /*seed=*/7);
    for (float& x : before.k) x = INFINITY;
    for (float& x : before.v) x = NAN;
    const SequenceRun full{pages, 0, 64}, run{pages, 0, 5};
    backend->rope_and_store_kv(span_of(before.q), span_of(before.k), span_of(before.v), *kv, 0, {&full, 1}, params,
                               nullptr);
    Inputs in = random_inputs(5, params, /*seed=*/8);
    std::vector<float> y(in.q.size(), NAN);
    backend->rope_and_store_kv(span_of(in.q), span_of(in.k), span_of(in.v), *kv, 0, {&run, 1}, params, nullptr);
    backend->attention(span_of(y), span_of(in.q), *kv, 0, {&run, 1}, params);
    const std::vector<int32_t> chunk = {5};
    CHECK(y == attend(*backend, in, 5, params, chunk, pages));
  }
}
