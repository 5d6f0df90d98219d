// Activations, gates and the soft cap against their formulas in double precision, on every kernel table.
//
// Tolerances count roundings of u = 2^-24. exp is within 2 ulp, 4u, and its argument's relative error is multiplied
// by the argument. A sigmoid below exp(-88) counts as 0: at most 88 exp(-88) < 2^-120 is left out of x * sigmoid(x).
#include <doctest/doctest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "tests/support/cpu_backends.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr double kU = 0x1p-24, kLeftOut = 0x1p-120;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double gelu_tanh_argument(double x) { return std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x); }
double gelu(double x) { return 0.5 * x * (1 + std::tanh(gelu_tanh_argument(x))); }
double swiglu_oai(double gate, double up) {
  const double g = std::min(gate, 7.0), u = std::clamp(up, -7.0, 7.0);
  return g * sigmoid(1.702 * g) * (u + 1);
}

double silu_tolerance(double x) { return 8 * kU * std::abs(x * sigmoid(x)) + kLeftOut; }
/// The sigmoid's argument has six roundings; the reference's 1 + tanh loses what is below 2^-52.
double gelu_tolerance(double x) {
  const double argument = std::min(88.0, std::abs(2 * gelu_tanh_argument(x)));
  return (6 * argument + 8) * kU * std::abs(gelu(x)) + 0x1p-52 * std::abs(x) + kLeftOut;
}

void check_near(double got, double expected, double tolerance, double x) {
  if (!(std::abs(got - expected) <= tolerance))
    FAIL_CHECK("at ", x, ": got ", got, ", expected ", expected, " +- ", tolerance);
}

/// A fine grid where functions bend, and magnitudes up to the largest float.
std::vector<float> sample_points() {
  std::vector<float> x = {0.0f, -0.0f, FLT_MIN, -FLT_MIN, 1e-42f, -1e-42f};
  for (float v = -20.0f; v <= 20.0f; v += 0.0137f) x.push_back(v);
  for (float v = 20.0f; v < 110.0f; v += 0.31f) x.insert(x.end(), {v, -v});
  for (float v = 110.0f; v < 1e38f; v *= 2.7f) x.insert(x.end(), {v, -v});
  x.insert(x.end(), {FLT_MAX, -FLT_MAX});
  return x;
}

std::vector<float> activated(const CpuKernelTable& kernels, Activation kind, std::vector<float> x) {
  kernels.activate(kind, x.data(), static_cast<int64_t>(x.size()));
  return x;
}

std::vector<float> gated(const CpuKernelTable& kernels, Gate kind, const std::vector<float>& gate,
                         const std::vector<float>& up) {
  std::vector<float> y(gate.size());
  kernels.gate(kind, y.data(), gate.data(), up.data(), static_cast<int64_t>(y.size()));
  return y;
}

std::vector<float> capped(const CpuKernelTable& kernels, std::vector<float> x, float cap) {
  kernels.softcap(x.data(), static_cast<int64_t>(x.size()), cap);
  return x;
}

}  // namespace

TEST_CASE("silu and gelu follow their formulas from 0 to the largest float") {
  const std::vector<float> x = sample_points();
  const auto tables = all_kernel_tables();
  for (const CpuKernelTable* kernels : tables) {
    CAPTURE(std::string(kernels->name));
    const auto silus = activated(*kernels, Activation::kSilu, x), gelus = activated(*kernels, Activation::kGelu, x);
    for (size_t i = 0; i < x.size(); ++i) {
      check_near(silus[i], x[i] * sigmoid(x[i]), silu_tolerance(x[i]), x[i]);
      check_near(gelus[i], gelu(x[i]), gelu_tolerance(x[i]), x[i]);
    }
    CHECK(silus == activated(*tables[0], Activation::kSilu, x));
    CHECK(gelus == activated(*tables[0], Activation::kGelu, x));
    for (const Activation kind : {Activation::kSilu, Activation::kGelu}) {
      const auto edges = activated(*kernels, kind, {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1.0f});
      CHECK((edges[0] == 0.0f && !std::signbit(edges[0])));
      CHECK((edges[1] == 0.0f && std::signbit(edges[1])));
      CHECK(edges[2] == INFINITY);
      CHECK(edges[3] == 0.0f);
      CHECK(std::isnan(edges[4]));
      CHECK(std::isfinite(edges[5]));
    }
  }
}

TEST_CASE("gates multiply the activated gate with up") {
  const std::vector<float> points = sample_points();
  std::vector<float> gates, ups;
  for (const float up : {1.0f, -0.37f, 250.0f, 0.0f}) {
    gates.insert(gates.end(), points.begin(), points.end() - 2);  // the product with the largest float overflows
    ups.resize(gates.size(), up);
  }
  const auto tables = all_kernel_tables();
  for (const CpuKernelTable* kernels : tables) {
    CAPTURE(std::string(kernels->name));
    const auto swiglu = gated(*kernels, Gate::kSwiGlu, gates, ups), geglu = gated(*kernels, Gate::kGeGlu, gates, ups);
    for (size_t i = 0; i < gates.size(); ++i) {
      const double g = gates[i], u = ups[i], scale = 1.001 * std::abs(u);
      if (std::abs(g * u) > FLT_MAX) continue;
      check_near(swiglu[i], g * sigmoid(g) * u, scale * (silu_tolerance(g) + kU * std::abs(g * sigmoid(g))), g);
      check_near(geglu[i], gelu(g) * u, scale * (gelu_tolerance(g) + kU * std::abs(gelu(g))), g);
    }
    CHECK(swiglu == gated(*tables[0], Gate::kSwiGlu, gates, ups));
    CHECK(geglu == gated(*tables[0], Gate::kGeGlu, gates, ups));
  }
}

TEST_CASE("the gate of gpt-oss limits the gate from above and up on both sides") {
  const float above = std::nextafter(7.0f, 8.0f), below = std::nextafter(7.0f, 6.0f);
  const std::vector<float> values = {7.0f,  above,  below,  6.5f,   8.0f,   1e4f,  1e30f,  FLT_MAX, 0.0f,
                                     -0.0f, -1.0f,  0.3f,   -0.3f,  -3.0f,  -6.9f, -7.0f,  -above,  -below,
                                     -8.0f, -30.0f, -51.0f, -52.0f, -60.0f, -1e4f, -1e30f, -FLT_MAX};
  std::vector<float> gates, ups;
  for (const float gate : values) {
    for (const float up : values) {
      gates.push_back(gate);
      ups.push_back(up);
    }
  }
  const auto tables = all_kernel_tables();
  for (const CpuKernelTable* kernels : tables) {
    CAPTURE(std::string(kernels->name));
    const auto y = gated(*kernels, Gate::kSwiGluOai, gates, ups);
    for (size_t i = 0; i < y.size(); ++i) {
      const double argument = std::min(88.0, std::abs(1.702 * std::min(double{gates[i]}, 7.0)));
      const double expected = swiglu_oai(gates[i], ups[i]);
      // The constant and the product with it; then exp, a sum, a quotient, a sum and a product. |up + 1| is at most 8.
      check_near(y[i], expected, (2 * argument + 8) * kU * std::abs(expected) + 8 * kLeftOut, gates[i]);
    }
    CHECK(y == gated(*tables[0], Gate::kSwiGluOai, gates, ups));
    const auto at = [&](float gate, float up) { return gated(*kernels, Gate::kSwiGluOai, {gate}, {up})[0]; };
    for (const float high : {above, 8.0f, 1e30f, FLT_MAX, INFINITY}) {
      CHECK(at(high, 0.5f) == at(7.0f, 0.5f));
      CHECK(at(0.5f, high) == at(0.5f, 7.0f));
      CHECK(at(0.5f, -high) == at(0.5f, -7.0f));
    }
    CHECK(at(6.99f, 0.5f) < at(7.0f, 0.5f));
    CHECK(at(0.5f, 6.99f) < at(0.5f, 7.0f));
    CHECK(at(0.5f, -6.99f) > at(0.5f, -7.0f));
    CHECK(at(-8.0f, 0.5f) != at(-7.0f, 0.5f));  // no limit there
  }
}

TEST_CASE("a NaN on either side of a gate stays one") {
  for (const CpuKernelTable* kernels : all_kernel_tables()) {
    CAPTURE(std::string(kernels->name));
    for (const Gate kind : {Gate::kSwiGlu, Gate::kGeGlu, Gate::kSwiGluOai}) {
      const auto y = gated(*kernels, kind, {NAN, 1.0f, NAN, 1.0f}, {1.0f, NAN, NAN, 1.0f});
      CHECK((std::isnan(y[0]) && std::isnan(y[1]) && std::isnan(y[2]) && std::isfinite(y[3])));
    }
    CHECK(std::isnan(capped(*kernels, {NAN}, 30.0f)[0]));
  }
}

TEST_CASE("the soft cap follows cap * tanh(x / cap), near zero too") {
  const auto tables = all_kernel_tables();
  for (const CpuKernelTable* kernels : tables) {
    CAPTURE(std::string(kernels->name));
    for (const float cap : {1e-20f, 0.5f, 15.0f, 30.0f, 50.0f, 1e6f, 1e20f}) {
      CAPTURE(cap);
      std::vector<float> x = {0.0f, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY};
      for (float ratio = 1e-9f; ratio < 1e9f; ratio *= 1.0173f) x.insert(x.end(), {cap * ratio, -cap * ratio});
      const auto y = capped(*kernels, x, cap);
      for (size_t i = 0; i < x.size(); ++i) {
        // exp(2x / cap) - 1 has a relative error of some 6u, and tanh at most twice that; two roundings of the
        // argument, and three after it.
        const double expected = double{cap} * std::tanh(double{x[i]} / cap);
        check_near(y[i], expected, 17 * kU * std::abs(expected), x[i]);
      }
      CHECK((y[0] == 0.0f && y[1] == cap && y[2] == -cap && y[3] == cap && y[4] == -cap));
      CHECK(y == capped(*tables[0], x, cap));
    }
  }
}

TEST_CASE("activate and softcap work on the elements they are given, however many") {
  const std::vector<float> x = random_f32(100003, /*seed=*/1);
  const CpuKernelTable& scalar = *all_kernel_tables()[0];
  const auto silus = activated(scalar, Activation::kSilu, x), gelus = activated(scalar, Activation::kGelu, x);
  const auto caps = capped(scalar, x, 0.7f);
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    for (const size_t n : {0, 1, 15, 16, 31, 4095, 4096, 4099, 16385, 100001}) {
      CAPTURE(n);
      const auto check = [&](const std::vector<float>& expected, const auto& operation) {
        std::vector<float> y = x;
        operation(DeviceSpan<float>{y.data() + 1, n});  // between guards
        CHECK(y[0] == x[0]);
        CHECK(std::equal(y.begin() + 1, y.begin() + 1 + static_cast<int64_t>(n), expected.begin() + 1));
        CHECK(std::equal(y.begin() + 1 + static_cast<int64_t>(n), y.end(), x.begin() + 1 + static_cast<int64_t>(n)));
      };
      check(silus, [&](DeviceSpan<float> y) { backend->activate(y, Activation::kSilu); });
      check(gelus, [&](DeviceSpan<float> y) { backend->activate(y, Activation::kGelu); });
      check(caps, [&](DeviceSpan<float> y) { backend->softcap(y, 0.7f); });
    }
  }
}
