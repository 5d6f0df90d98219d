// Two products joined by a gate, against the gate's formula in double precision over the plain products.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/cpu_backends.h"
#include "tests/support/multiply.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr double kU = 0x1p-24;
constexpr int64_t kFf = 37, kEmbd = 256;  // two tiles and a part of a third
constexpr int64_t kMostTokens = 70;       // more than two calls of a kernel take

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct Joined {
  double value, tolerance;
};

/// exp is within 2 ulp (4u) of its argument's, whose relative error the argument multiplies; some four operations
/// follow. Below exp(-88) a sigmoid counts as 0: 88 exp(-88) < 2^-120 is left out of x * sigmoid(x).
Joined joined(Gate kind, double gate, double up) {
  double g = gate, u = up, argument = 0, roundings = 0;
  switch (kind) {
    case Gate::kSwiGlu: argument = g; break;
    case Gate::kGeGlu:
      argument = 2 * std::sqrt(2 / std::acos(-1.0)) * (g + 0.044715 * g * g * g);
      roundings = 6;
      break;
    case Gate::kSwiGluOai:
      g = std::min(g, 7.0);
      u = std::clamp(u, -7.0, 7.0) + 1;
      argument = 1.702 * g;
      roundings = 2;
      break;
  }
  const double value = g * sigmoid(argument) * u;
  return {value, (roundings * std::min(88.0, std::abs(argument)) + 9) * kU * std::abs(value) +
                     0x1p-120 * std::max(1.0, std::abs(u))};
}

void check_gated(TensorType gate_type, TensorType up_type, Gate kind, bool has_biases) {
  const auto backends = all_cpu_backends();
  const FileMatrix gate = random_matrix(gate_type, kFf, kEmbd, /*seed=*/12),
                   up = random_matrix(up_type, kFf, kEmbd, /*seed=*/13);
  const auto x = random_f32(static_cast<size_t>(kMostTokens * kEmbd), /*seed=*/14);
  std::vector<float> gate_bias, up_bias;
  if (has_biases) {
    gate_bias = random_f32(kFf, /*seed=*/15);
    up_bias = random_f32(kFf, /*seed=*/16);
  }
  std::vector<float> gates = multiply(*backends[0].backend, gate, x), ups = multiply(*backends[0].backend, up, x);
  for (size_t i = 0; has_biases && i < gates.size(); ++i) {
    gates[i] += gate_bias[i % kFf];
    ups[i] += up_bias[i % kFf];
  }
  std::vector<float> whole;
  for (const auto& [name, backend] : backends) {
    CAPTURE(name);
    const auto gate_weight = backend->load_weight(gate.view()), up_weight = backend->load_weight(up.view());
    const GatedPair pair{gate_weight.get(), up_weight.get(), span_of(gate_bias), span_of(up_bias)};
    for (const int64_t n_tokens : {kMostTokens, int64_t{1}, int64_t{11}, int64_t{33}}) {
      CAPTURE(n_tokens);
      const auto n = static_cast<size_t>(n_tokens * kFf);
      std::vector<float> y(n + 2, 12345.0f);
      // The last n_tokens tokens: their place in the batch differs, too.
      const DeviceSpan<const float> last{x.data() + (kMostTokens - n_tokens) * kEmbd,
                                         static_cast<size_t>(n_tokens * kEmbd)};
      backend->matmul_gated({y.data() + 1, n}, pair, last, static_cast<int32_t>(n_tokens), kind);
      CHECK((y.front() == 12345.0f && y.back() == 12345.0f));
      if (whole.empty()) {
        whole.assign(y.begin() + 1, y.end() - 1);
        for (size_t i = 0; i < whole.size(); ++i) {
          const Joined expected = joined(kind, gates[i], ups[i]);
          if (!(std::abs(whole[i] - expected.value) <= expected.tolerance))
            FAIL_CHECK("gate ", gates[i], ", up ", ups[i], ": got ", whole[i], ", expected ", expected.value);
        }
      }
      CHECK(std::equal(y.begin() + 1, y.end() - 1, whole.end() - static_cast<int64_t>(n)));
    }
  }
}

}  // namespace

TEST_CASE("matmul_gated joins two products by the gate's formula, with the same bits everywhere") {
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    check_gated(type, type, Gate::kSwiGlu, /*has_biases=*/false);
    for (const Gate kind : {Gate::kSwiGlu, Gate::kGeGlu, Gate::kSwiGluOai}) {
      CAPTURE(static_cast<int>(kind));
      check_gated(type, type, kind, /*has_biases=*/true);
    }
  }
}

TEST_CASE("matmul_gated takes halves of different types") {
  const TensorType pairs[][2] = {{TensorType::kQ4_K, TensorType::kF16},
                                 {TensorType::kF32, TensorType::kIQ2_XXS},
                                 {TensorType::kQ6_K, TensorType::kQ8_0},
                                 {TensorType::kQ8_0, TensorType::kQ5_K}};
  for (const auto& [gate_type, up_type] : pairs) {
    CAPTURE(std::string(tensor_type_traits(gate_type).name));
    check_gated(gate_type, up_type, Gate::kSwiGlu, /*has_biases=*/true);
  }
}

TEST_CASE("matmul_gated adds each bias to its own half and limits after it") {
  const FileMatrix zero{TensorType::kF32, 3, 1, std::vector<std::byte>(12)};
  const std::vector<float> x = {1.0f};
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    const auto weight = backend->load_weight(zero.view());
    const auto gated = [&](const std::vector<float>& gate_bias, const std::vector<float>& up_bias) {
      std::vector<float> y(3, NAN);
      backend->matmul_gated(span_of(y), {weight.get(), weight.get(), span_of(gate_bias), span_of(up_bias)}, span_of(x),
                            1, Gate::kSwiGluOai);
      return y;
    };
    const std::vector<float> none;
    CHECK(gated({7.0f, 1.0f, 1.0f}, {0.0f, 7.0f, -7.0f}) == gated({1e30f, 1.0f, 1.0f}, {0.0f, 8.0f, -1e30f}));
    CHECK(gated(none, {5.0f, 5.0f, 5.0f}) == std::vector<float>{0, 0, 0});  // the gate is 0
    const auto gate_only = gated({7.0f, -1.0f, 0.0f}, none);                // up is 0, and one is added
    for (size_t i = 0; i < 3; ++i) {
      const Joined expected = joined(Gate::kSwiGluOai, std::vector<double>{7, -1, 0}[i], 0);
      CHECK(std::abs(gate_only[i] - expected.value) <= expected.tolerance);
    }
  }
}
