// Mixture of experts: the choice against the CPU's router, which is tested against its definition, and the products
// against those of a single matrix.
#include "kernels/portable/experts.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "backend/cpu/expert_router.h"
#include "kernels/tests/operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

using Gating = RouterParams::Gating;

void exp_of(float* y, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
}

void check_routes(const RouterParams& params, const std::vector<float>& logits, const std::vector<float>& bias) {
  const auto n_tokens = static_cast<int32_t>(logits.size() / static_cast<size_t>(params.n_expert));
  const auto n_choices = static_cast<size_t>(n_tokens * params.n_used);
  DeviceArray<float> device_logits("logits", logits), device_bias("bias", bias), weights("weights", n_choices);
  DeviceArray<int32_t> experts("experts", n_choices);
  const RouterKernelParams kernel_params{static_cast<int32_t>(params.gating),
                                         params.n_expert,
                                         params.n_used,
                                         params.n_groups,
                                         params.n_groups_used,
                                         params.is_normalized,
                                         bias.empty() ? 0 : 1,
                                         params.scale};
  run_route_experts(device_logits, device_bias, experts, weights, n_tokens, kernel_params);

  const ExpertRouter router(params, bias, exp_of, "a test");
  std::vector<int32_t> expected_experts(n_choices);
  std::vector<float> expected_weights(n_choices);
  for (int32_t t = 0; t < n_tokens; ++t)
    router.route(logits.data() + t * params.n_expert, expected_experts.data() + t * params.n_used,
                 expected_weights.data() + t * params.n_used);
  CHECK(experts.values() == expected_experts);
  const std::vector<float> got = weights.values();
  for (size_t i = 0; i < n_choices; ++i) {
    // A sum in another order: a rounding of 2^-24 per expert at most.
    if (std::isnan(expected_weights[i]))
      CHECK(std::isnan(got[i]));
    else
      CHECK(std::abs(got[i] - expected_weights[i]) <= 1e-6 * std::abs(expected_weights[i]));
  }
}

}  // namespace

TEST_CASE("gpu experts: the router chooses and weighs as the CPU's") {
  struct Shape {
    int32_t n_expert, n_used, n_groups, n_groups_used;
  };
  uint32_t seed = 1;
  for (const Shape& shape : {Shape{1, 1, 1, 1},
                             {5, 2, 1, 1},
                             {60, 4, 1, 1},
                             {33, 32, 1, 1},
                             {256, 8, 8, 4},
                             {6, 2, 6, 3},
                             {1024, 3, 2, 1}}) {
    for (const Gating gating : {Gating::kSoftmax, Gating::kSigmoid, Gating::kSoftmaxOfChosen}) {
      for (const bool has_bias : {false, true}) {
        CAPTURE(shape.n_expert);
        CAPTURE(static_cast<int>(gating));
        RouterParams params{gating, shape.n_expert, shape.n_used, shape.n_groups, shape.n_groups_used, has_bias, 2.5f};
        auto logits = random_f32(static_cast<size_t>(3 * shape.n_expert), seed++);
        for (float& x : logits) x *= 5;
        const auto bias = has_bias ? random_f32(static_cast<size_t>(shape.n_expert), seed++) : std::vector<float>{};
        check_routes(params, logits, bias);
      }
    }
  }
}

TEST_CASE("gpu experts: ties go to the lower index, and a NaN ranks last and stays visible") {
  const std::vector<float> ties(40, 0.5f);
  check_routes({Gating::kSoftmax, 40, 6}, ties, {});
  std::vector<float> logits = random_f32(12, 50);
  logits[3] = logits[9] = NAN;
  check_routes({Gating::kSoftmaxOfChosen, 12, 4}, logits, {});
  check_routes({Gating::kSoftmaxOfChosen, 12, 11, 1, 1, true}, logits, {});
  check_routes({Gating::kSigmoid, 12, 12, 1, 1, true}, logits, {});
  check_routes({Gating::kSoftmax, 12, 2}, logits, {});  // the NaN is in every probability
  check_routes({Gating::kSigmoid, 12, 2, 4, 2}, std::vector<float>(12, NAN), {});
}

TEST_CASE("gpu experts: choices are sorted by expert and cut into tiles") {
  // More of one expert than a tile has room for, one that nobody chose, and the last one chosen.
  std::vector<int32_t> chosen;
  for (int32_t i = 0; i < 2 * kExpertTileTokens + 3; ++i) chosen.insert(chosen.end(), {2, i % 2 == 0 ? 0 : 4});
  const auto n = static_cast<int32_t>(chosen.size());
  DeviceArray<int32_t> experts("experts", chosen);
  DeviceLists lists(n);
  run_group_experts(experts, lists, 5);
  std::vector<int32_t> expected(chosen.size());
  for (int32_t i = 0; i < n; ++i) expected[static_cast<size_t>(i)] = i;
  std::stable_sort(expected.begin(), expected.end(), [&](int32_t a, int32_t b) {
    return chosen[static_cast<size_t>(a)] < chosen[static_cast<size_t>(b)];
  });
  CHECK(lists.order.values() == expected);
  const auto tiles = lists.tiles.values();
  int32_t at = 0;
  for (int32_t i = 0; i < lists.n_tiles.values()[0]; ++i) {
    const int32_t* words = tiles.data() + 3 * i;
    const ExpertTile tile = {words[0], words[1], words[2]};
    CHECK(tile.first == at);
    CHECK(tile.n >= 1);
    CHECK(tile.n <= kExpertTileTokens);
    for (int32_t k = 0; k < tile.n; ++k)
      CHECK(chosen[static_cast<size_t>(expected[static_cast<size_t>(tile.first + k)])] == tile.expert);
    at += tile.n;
  }
  CHECK(at == n);
}

TEST_CASE("gpu experts: a layer is the weighted sum of its experts' products, whoever else is in the batch") {
  const int32_t n_expert = 5, n_used = 3, n_embd = 256, n_ff = 512, n_tokens = 11;
  const FileMatrix gate_matrix = random_matrix(TensorType::kQ5_K, n_expert * n_ff, n_embd, 60);
  const FileMatrix up_matrix = random_matrix(TensorType::kQ5_K, n_expert * n_ff, n_embd, 61);
  const FileMatrix down_matrix = random_matrix(TensorType::kQ5_K, n_expert * n_embd, n_ff, 62);
  auto x = random_f32(static_cast<size_t>(n_tokens * n_embd), 63);
  const auto logits = random_f32(static_cast<size_t>(n_tokens * n_expert), 64);
  const auto gate_bias = random_f32(static_cast<size_t>(n_expert * n_ff), 65),
             up_bias = random_f32(gate_bias.size(), 66);
  const auto down_bias = random_f32(static_cast<size_t>(n_expert * n_embd), 67);
  const TensorType type = TensorType::kQ5_K;
  DeviceArray<std::byte> gate = device_bytes_of(gate_matrix), up = device_bytes_of(up_matrix);
  DeviceArray<std::byte> down = device_bytes_of(down_matrix);
  DeviceArray<float> device_gate_bias("gate_bias", gate_bias), device_up_bias("up_bias", up_bias);
  DeviceArray<float> device_down_bias("down_bias", down_bias);

  // Tokens `first` to the end.
  const auto run = [&](int32_t first) {
    const int32_t n = n_tokens - first, n_choices = n * n_used;
    const auto count = static_cast<size_t>(n_choices);
    DeviceActivations activations(std::vector<float>(x.begin() + first * n_embd, x.end()), type);
    DeviceArray<float> device_logits("logits", std::vector<float>(logits.begin() + first * n_expert, logits.end()));
    DeviceArray<float> weights("weights", count), hidden("hidden", count * n_ff), results("results", count * n_embd);
    DeviceArray<float> y("y", static_cast<size_t>(n * n_embd));
    DeviceArray<int32_t> experts("experts", count);
    DeviceLists lists(n_choices);
    const RouterKernelParams router{kRouterSoftmax, n_expert, n_used, 1, 1, 1, 0, 1.0f};
    run_route_experts(device_logits, device_logits, experts, weights, n, router);
    run_group_experts(experts, lists, n_expert);
    const ExpertParams gated_params{{n_ff, n_embd / 32, 0, 1, kGateSwiGlu}, n_used, 0, 0};
    run_experts_gated(type, gate, up, activations, device_gate_bias, device_up_bias, lists, hidden, gated_params);
    DeviceActivations hidden_activations(hidden.values(), type);
    const ExpertParams down_params{{n_embd, n_ff / 32, 0, 1, 0}, 1, 0, 0};
    run_experts_matvec(type, down, hidden_activations, device_down_bias, lists, results, down_params);
    run_combine_experts(results, weights, y, CombineParams{n, n_used, n_embd});
    return y.values();
  };
  const std::vector<float> all = run(0);

  // By definition, in f64, with the weights of the CPU's router.
  const ExpertRouter router({Gating::kSoftmax, n_expert, n_used, 1, 1, true}, {}, exp_of, "a test");
  const auto w_gate = gate_matrix.values(), w_up = up_matrix.values(), w_down = down_matrix.values();
  const auto product = [](const std::vector<float>& w, size_t row, size_t n_cols, const auto* values) {
    double sum = 0;
    for (size_t i = 0; i < n_cols; ++i) sum += double{w[row * n_cols + i]} * values[i];
    return sum;
  };
  double error = 0, size = 0, hidden_noise = 0, hidden_size = 0;
  for (size_t t = 0; t < n_tokens; ++t) {
    int32_t chosen[n_used];
    float weights[n_used];
    router.route(logits.data() + t * n_expert, chosen, weights);
    std::vector<double> expected(n_embd, 0.0);
    for (size_t k = 0; k < n_used; ++k) {
      const auto e = static_cast<size_t>(chosen[k]);
      std::vector<double> hidden(n_ff);
      for (size_t i = 0; i < n_ff; ++i) {
        const double g = product(w_gate, e * n_ff + i, n_embd, x.data() + t * n_embd) + gate_bias[e * n_ff + i];
        const double u = product(w_up, e * n_ff + i, n_embd, x.data() + t * n_embd) + up_bias[e * n_ff + i];
        hidden[i] = g / (1 + std::exp(-g)) * u;
      }
      for (size_t first = 0; first < n_ff; first += 32) {
        double max = 0;
        for (size_t i = first; i < first + 32; ++i) {
          max = std::max(max, std::abs(hidden[i]));
          hidden_size += hidden[i] * hidden[i];
        }
        hidden_noise += 32 * std::pow(max / 127, 2) / 12;
      }
      for (size_t i = 0; i < n_embd; ++i)
        expected[i] += weights[k] * (product(w_down, e * n_embd + i, n_ff, hidden.data()) + down_bias[e * n_embd + i]);
    }
    for (size_t i = 0; i < n_embd; ++i) {
      error += std::pow(all[t * n_embd + i] - expected[i], 2);
      size += expected[i] * expected[i];
    }
  }
  // Rounding to a step has an error of step^2 / 12 in the mean. That is 2^-16 of the square of the inputs, which are
  // uniform; the gate and its partner both have it, and share it. Three times the sum leaves room for chance.
  CHECK(error / size < 3 * (2 * 0x1p-16 + hidden_noise / hidden_size));

  const std::vector<float> last = run(8);
  CHECK(std::equal(last.begin(), last.end(), all.end() - 3 * n_embd));
}
