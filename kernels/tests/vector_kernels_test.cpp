// Norms, elementwise operations, RoPE and the store into the KV cache, against their definitions in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/half.h"
#include "kernels/portable/elementwise.h"
#include "kernels/portable/norm.h"
#include "kernels/portable/rope_kv.h"
#include "kernels/tests/operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

constexpr int32_t kWidths[] = {1, 31, 256, 257, 4099};

void check_close(const std::vector<float>& got, const std::vector<double>& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (!(std::abs(got[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i]))))
      FAIL_CHECK("element ", i, ": got ", got[i], ", expected ", expected[i]);
  }
}

}  // namespace

TEST_CASE("gpu norm: rms_norm follows its definition for every width, in place or not") {
  for (const int32_t width : kWidths) {
    CAPTURE(width);
    const int32_t n_rows = 3;
    const auto x = random_f32(static_cast<size_t>(n_rows * width), 1), w = random_f32(static_cast<size_t>(width), 2);
    std::vector<double> expected(x.size());
    for (size_t r = 0; r < static_cast<size_t>(n_rows); ++r) {
      const size_t n = w.size();
      double sum = 0;
      for (size_t i = 0; i < n; ++i) sum += double{x[r * n + i]} * x[r * n + i];
      for (size_t i = 0; i < n; ++i)
        expected[r * n + i] = x[r * n + i] * double{w[i]} / std::sqrt(sum / static_cast<double>(n) + 1e-5);
    }
    const NormParams params{width, 1e-5f, 0, 0};
    DeviceArray<float> weight("weight", w), input("x", x), y("y", x.size()), in_place("x", x, RegionKind::kValues);
    run_rms_norm(y, input, weight, n_rows, params);
    run_rms_norm(in_place, in_place, weight, n_rows, params, Schedule::kRandom);
    // Sums of squares have no cancellation: 17 additions a thread, 5 + 16 after it, and six roundings of the rest.
    check_close(y.values(), expected, 40 * 0x1p-24);
    CHECK(in_place.values() == y.values());
  }
}

TEST_CASE("gpu norm: residual_norm gives the bits of add, rms_norm and quantize_activations") {
  struct Case {
    int32_t width;
    bool is_super, has_addend;
  };
  // Beyond what a block does in one step, too.
  for (const Case& c : {Case{32, false, false}, Case{256, true, true}, Case{4128, false, true}, Case{4352, true, false},
                        Case{4352, true, true}}) {
    const auto [width, is_super, has_addend] = c;
    {
      CAPTURE(width);
      CAPTURE(has_addend);
      const int32_t n_rows = 2;
      const auto n = static_cast<size_t>(n_rows * width);
      DeviceArray<float> x("x", random_f32(n, 30), RegionKind::kValues), addend("addend", random_f32(n, 31));
      DeviceArray<float> added("added", x.values(), RegionKind::kValues), y("y", n), expected("expected", n);
      DeviceArray<float> weight("weight", random_f32(static_cast<size_t>(width), 32));
      DeviceActivations codes(n_rows * width / 32, is_super);
      run_residual_norm(y, x, addend, weight, codes, n_rows,
                        {width, 1e-5f, has_addend ? 1 : 0, 0.75f, is_super ? 1 : 0});

      if (has_addend) run_add(added, addend, {static_cast<int32_t>(n), 0.75f, 0});
      run_rms_norm(expected, added, weight, n_rows, {width, 1e-5f, 0, 0});
      DeviceActivations expected_codes(expected.values(), is_super);
      CHECK(x.values() == added.values());
      CHECK(y.values() == expected.values());
      CHECK(codes.codes.values() == expected_codes.codes.values());
      CHECK(codes.scales.values() == expected_codes.scales.values());
      CHECK(codes.sums.values() == expected_codes.sums.values());
      if (is_super) CHECK(codes.pairs.values() == expected_codes.pairs.values());
    }
  }
}

TEST_CASE("gpu norm: layer_norm follows its definition for every width, with bias and without, in place or not") {
  for (const int32_t width : kWidths) {
    for (const bool has_bias : {false, true}) {
      CAPTURE(width);
      CAPTURE(has_bias);
      const int32_t n_rows = 2;
      auto x = random_f32(static_cast<size_t>(n_rows * width), 3);
      for (float& value : x) value += 10;  // a mean that would cancel in the shortcut
      const auto w = random_f32(static_cast<size_t>(width), 4), b = random_f32(static_cast<size_t>(width), 5);
      std::vector<double> expected(x.size());
      for (size_t r = 0; r < static_cast<size_t>(n_rows); ++r) {
        const size_t n = w.size();
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; ++i) mean += x[r * n + i] / static_cast<double>(n);
        for (size_t i = 0; i < n; ++i) variance += std::pow(x[r * n + i] - mean, 2) / static_cast<double>(n);
        for (size_t i = 0; i < n; ++i)
          expected[r * n + i] = (x[r * n + i] - mean) * w[i] / std::sqrt(variance + 1e-5) + (has_bias ? b[i] : 0.0f);
      }
      const NormParams params{width, 1e-5f, has_bias ? 1 : 0, 0};
      DeviceArray<float> weight("weight", w), bias("bias", b), input("x", x), y("y", x.size());
      DeviceArray<float> in_place("x", x, RegionKind::kValues);
      run_layer_norm(y, input, weight, bias, n_rows, params);
      run_layer_norm(in_place, in_place, weight, bias, n_rows, params);
      CHECK(in_place.values() == y.values());
      // The mean of values near 10 is off by up to 30 roundings of 10 * 2^-24; divided by a deviation of 0.58.
      check_close(y.values(), expected, 600 * 0x1p-24);
    }
  }
}

TEST_CASE("gpu elementwise: operations follow their definitions at odd sizes") {
  for (const size_t n : {size_t{1}, size_t{255}, size_t{1031}}) {
    CAPTURE(n);
    std::vector<float> a = random_f32(n, 6), b = random_f32(n, 7);
    for (std::vector<float>* values : {&a, &b})
      for (float& x : *values) x *= 9;
    const auto run = [&](const std::function<void(DeviceArray<float> & x, DeviceArray<float> & y)>& kernel) {
      DeviceArray<float> x("x", a, RegionKind::kValues), y("y", b);
      kernel(x, y);
      return x.values();
    };
    const auto expect = [&](const std::function<double(double, double)>& f) {
      std::vector<double> values(n);
      for (size_t i = 0; i < n; ++i) values[i] = f(a[i], b[i]);
      return values;
    };
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    const auto gelu = [](double x) {
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    };
    const double kTolerance = 32 * 0x1p-24;  // a few roundings, and functions that are off by an ulp or two
    const auto params = [&](float factor, int32_t kind = 0) {
      return ElementParams{static_cast<int32_t>(n), factor, kind};
    };
    check_close(run([&](auto& x, auto& y) { run_add(x, y, params(0.5f)); }),
                expect([](double x, double y) { return x + y / 2; }), kTolerance);
    check_close(run([&](auto& x, auto&) { run_scale(x, params(-3)); }), expect([](double x, double) { return -3 * x; }),
                kTolerance);
    check_close(run([&](auto& x, auto&) { run_softcap(x, params(5)); }),
                expect([](double x, double) { return 5 * std::tanh(x / 5); }), kTolerance);
    check_close(run([&](auto& x, auto&) { run_activate(x, params(0, kActivationSilu)); }),
                expect([&](double x, double) { return x * sigmoid(x); }), kTolerance);
    check_close(run([&](auto& x, auto&) { run_activate(x, params(0, kActivationGelu)); }),
                expect([&](double x, double) { return gelu(x); }), kTolerance);
    check_close(run([&](auto& x, auto& y) { run_gate(x, y, params(0, kGateSwiGlu)); }),
                expect([&](double x, double y) { return x * sigmoid(x) * y; }), kTolerance);
    check_close(run([&](auto& x, auto& y) { run_gate(x, y, params(0, kGateGeGlu)); }),
                expect([&](double x, double y) { return gelu(x) * y; }), kTolerance);
    check_close(run([&](auto& x, auto& y) { run_gate(x, y, params(0, kGateSwiGluOai)); }),
                expect([&](double x, double y) {
                  return std::min(x, 7.0) * sigmoid(1.702 * std::min(x, 7.0)) * (std::clamp(y, -7.0, 7.0) + 1);
                }),
                kTolerance);
  }
}

TEST_CASE("gpu elementwise: a gate passes a NaN on") {
  for (const int32_t kind : {kGateSwiGlu, kGateGeGlu, kGateSwiGluOai}) {
    CHECK(std::isnan(gated(NAN, 1.0f, kind)));
    CHECK(std::isnan(gated(1.0f, NAN, kind)));
  }
}

TEST_CASE("gpu elementwise: rows are gated, copied between widths and gathered") {
  const int32_t n_rows = 5, width = 67;
  const auto a = random_f32(5 * 67, 8), b = random_f32(5 * 67, 9), logits = random_f32(5, 10);
  DeviceArray<float> x("x", a, RegionKind::kValues), y("y", b), device_logits("logits", logits);
  run_add_gated(x, y, device_logits, RowParams{n_rows, width, 0, 0, 0, 0});
  std::vector<double> expected(a.size());
  for (size_t i = 0; i < a.size(); ++i) expected[i] = a[i] + b[i] / (1 + std::exp(-double{logits[i / 67]}));
  check_close(x.values(), expected, 8 * 0x1p-24);

  DeviceArray<float> wide("wide", std::vector<float>(5 * 80, -7), RegionKind::kValues);
  run_copy_columns(wide, y, RowParams{n_rows, 10, 80, 3, width, 50});
  const auto copied = wide.values();
  for (size_t r = 0; r < 5; ++r) {
    for (size_t i = 0; i < 80; ++i) CHECK(copied[r * 80 + i] == (i >= 3 && i < 13 ? b[r * 67 + 50 + i - 3] : -7.0f));
  }

  const std::vector<int32_t> rows = {4, 0, 4};
  DeviceArray<int32_t> device_rows("rows", rows);
  DeviceArray<float> gathered("gathered", 3 * 67);
  run_gather_rows(gathered, y, device_rows, RowParams{3, width, 0, 0, 0, 0});
  for (size_t i = 0; i < 3 * 67; ++i) CHECK(gathered.values()[i] == b[static_cast<size_t>(rows[i / 67]) * 67 + i % 67]);
}

TEST_CASE("gpu rope: turns queries and keys and stores keys and values in their pages") {
  struct Case {
    int32_t head_dim_k, head_dim_v, offset, n_pairs, is_halves;
  };
  // Whole heads; part of a head after and before dimensions that are left; more pairs than threads; no rope.
  for (const Case& c : {Case{64, 64, 0, 32, 0},
                        {64, 32, 0, 32, 1},
                        {80, 80, 16, 24, 0},
                        {48, 64, 0, 12, 1},
                        {320, 256, 0, 160, 1},
                        {33, 31, 0, 0, 0}}) {
    CAPTURE(c.head_dim_k);
    const int32_t n_tokens = 3, n_head = 4, n_head_kv = 2, n_pages = 3;
    const std::vector<int32_t> positions = {0, 7, 63}, slots = {2 * kPage, 5, 2 * kPage + 63};
    const auto count = [](int32_t a, int32_t b, int32_t d) {
      return static_cast<size_t>(a) * static_cast<size_t>(b * d);
    };
    const auto q = random_f32(count(n_tokens, n_head, c.head_dim_k), 11);
    const auto k = random_f32(count(n_tokens, n_head_kv, c.head_dim_k), 12);
    const auto v = random_f32(count(n_tokens, n_head_kv, c.head_dim_v), 13);
    const auto angle = [&](int32_t position, int32_t pair) { return 0.3 * position / (1 + pair); };
    std::vector<float> turns;
    for (int32_t position = 0; position < 64; ++position) {
      for (int32_t pair = 0; pair < c.n_pairs; ++pair) {
        turns.push_back(static_cast<float>(1.5 * std::cos(angle(position, pair))));
        turns.push_back(static_cast<float>(1.5 * std::sin(angle(position, pair))));
      }
    }
    // The definition: a turn by the angle, times the magnitude 1.5.
    const auto turn = [&](const float* head, int32_t position, int32_t d) {
      const int32_t i = d - c.offset;
      if (i < 0 || i >= 2 * c.n_pairs) return double{head[d]};
      for (int32_t pair = 0; pair < c.n_pairs; ++pair) {
        const int32_t a = c.offset + (c.is_halves ? pair : 2 * pair), b = c.is_halves ? a + c.n_pairs : a + 1;
        const double cosine = std::cos(angle(position, pair)), sine = std::sin(angle(position, pair));
        if (d == a) return 1.5 * (head[a] * cosine - head[b] * sine);
        if (d == b) return 1.5 * (head[a] * sine + head[b] * cosine);
      }
      return std::nan("");
    };
    const KvLayout kv{n_head_kv, c.head_dim_k, c.head_dim_v, 2 * 64 * n_head_kv * (c.head_dim_k + c.head_dim_v),
                      64 * n_head_kv * (c.head_dim_k + c.head_dim_v)};  // the second of two layers
    DeviceArray<float> device_q("q", q, RegionKind::kValues), device_k("k", k), device_v("v", v),
        device_turns("turns", turns);
    DeviceArray<int32_t> device_positions("positions", positions), device_slots("slots", slots);
    DeviceArray<uint16_t> pages("pages", static_cast<size_t>(n_pages * kv.page_stride));
    const RopeKvParams params{kv, n_head, c.n_pairs, c.offset, c.is_halves};
    run_rope_and_store_kv(device_q, device_k, device_v, device_turns, device_positions, device_slots, pages, n_tokens,
                          params);

    const auto stored = pages.values();
    std::vector<double> expected_q(q.size());
    size_t n_stored = 0;
    for (int32_t t = 0; t < n_tokens; ++t) {
      const auto token = static_cast<size_t>(t);
      for (int32_t h = 0; h < n_head; ++h) {
        const size_t at = count(t * n_head + h, 1, c.head_dim_k);
        for (int32_t d = 0; d < c.head_dim_k; ++d)
          expected_q[at + static_cast<size_t>(d)] = turn(q.data() + at, positions[token], d);
      }
      for (int32_t h = 0; h < n_head_kv; ++h) {
        const size_t page_at = static_cast<size_t>(slots[token] / 64 * kv.page_stride + kv.layer_offset);
        const auto place = static_cast<size_t>(h * 64 + slots[token] % 64);
        const size_t key = page_at + place * static_cast<size_t>(c.head_dim_k);
        const size_t value = page_at + count(n_head_kv, 64, c.head_dim_k) + place * static_cast<size_t>(c.head_dim_v);
        for (int32_t d = 0; d < c.head_dim_k; ++d, ++n_stored) {
          const double expected = turn(k.data() + count(t * n_head_kv + h, 1, c.head_dim_k), positions[token], d);
          // f16 has 11 bits: half an ulp of at most 2^-11 of a value below 2.2, and the f32 arithmetic before it.
          CHECK(std::abs(half_to_float(stored[key + static_cast<size_t>(d)]) - expected) <= 0x1p-10);
        }
        for (int32_t d = 0; d < c.head_dim_v; ++d, ++n_stored) {
          const float expected = v[count(t * n_head_kv + h, 1, c.head_dim_v) + static_cast<size_t>(d)];
          CHECK(stored[value + static_cast<size_t>(d)] == float_to_half(expected));
        }
      }
    }
    check_close(device_q.values(), expected_q, 8 * 0x1p-24);
    // Nothing else was written.
    CHECK(static_cast<size_t>(std::count(stored.begin(), stored.end(), 0xffff)) == stored.size() - n_stored);
  }
}
