// The choice of experts against its definition in double precision, and what no definition covers: ties and NaN.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/expert_router.h"
#include "tests/support/cpu_backends.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

using Gating = RouterParams::Gating;

struct Choice {
  std::vector<int32_t> experts;
  std::vector<double> weights;
};

/// The scores that the choice compares, by the definition.
std::vector<double> reference_probabilities(const RouterParams& params, const std::vector<float>& logits) {
  std::vector<double> p(logits.begin(), logits.end());
  if (params.gating == Gating::kSoftmax) {
    double sum = 0;
    for (const double logit : p) sum += std::exp(logit);
    for (double& x : p) x = std::exp(x) / sum;
  } else if (params.gating == Gating::kSigmoid) {
    for (double& x : p) x = 1 / (1 + std::exp(-x));
  }
  return p;
}

std::vector<double> biased(std::vector<double> p, const std::vector<float>& bias) {
  for (size_t i = 0; i < bias.size(); ++i) p[i] += bias[i];
  return p;
}

/// The sum of the two largest scores of each group; of groups of one, that one.
std::vector<double> reference_group_scores(const RouterParams& params, const std::vector<double>& scores) {
  const auto size = static_cast<size_t>(params.n_expert / params.n_groups);
  std::vector<double> group_scores;
  for (size_t first = 0; first < scores.size(); first += size) {
    std::vector<double> group(scores.begin() + static_cast<int64_t>(first),
                              scores.begin() + static_cast<int64_t>(first + size));
    std::sort(group.rbegin(), group.rend());
    group_scores.push_back(size == 1 ? group[0] : group[0] + group[1]);
  }
  return group_scores;
}

/// Indices by falling score, ties to the lower one.
std::vector<int32_t> order_of(const std::vector<double>& scores) {
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  return order;
}

Choice reference_route(const RouterParams& params, const std::vector<float>& bias, const std::vector<float>& logits) {
  const std::vector<double> p = reference_probabilities(params, logits), scores = biased(p, bias);
  const std::vector<int32_t> groups = order_of(reference_group_scores(params, scores));
  const std::set<int32_t> used_groups(groups.begin(), groups.begin() + params.n_groups_used);
  Choice choice;
  for (const int32_t expert : order_of(scores)) {
    if (!used_groups.contains(expert / (params.n_expert / params.n_groups))) continue;
    choice.experts.push_back(expert);
    choice.weights.push_back(p[static_cast<size_t>(expert)]);
    if (choice.experts.size() == static_cast<size_t>(params.n_used)) break;
  }
  if (params.gating == Gating::kSoftmaxOfChosen) {
    double sum = 0;
    for (const double w : choice.weights) sum += std::exp(w);
    for (double& w : choice.weights) w = std::exp(w) / sum;
  }
  if (params.is_normalized) {
    const double sum = std::max(std::accumulate(choice.weights.begin(), choice.weights.end(), 0.0), 0x1p-14);
    for (double& w : choice.weights) w /= sum;
  }
  for (double& w : choice.weights) w *= double{params.scale};
  return choice;
}

/// Whether two scores differ by so little that rounding to f32 may exchange them.
bool has_near_tie(std::vector<double> scores) {
  std::sort(scores.begin(), scores.end());
  for (size_t i = 1; i < scores.size(); ++i) {
    if (scores[i] - scores[i - 1] < 1e-5 * std::max(1.0, std::abs(scores[i]))) return true;
  }
  return false;
}

Choice route(const RouterParams& params, const std::vector<float>& bias, const std::vector<float>& logits,
             const CpuKernelTable& kernels = cpu_kernels_scalar()) {
  const ExpertRouter router(params, bias, kernels.exp, "layer 0");
  Choice choice{std::vector<int32_t>(static_cast<size_t>(params.n_used)), {}};
  std::vector<float> weights(static_cast<size_t>(params.n_used), NAN);
  router.route(logits.data(), choice.experts.data(), weights.data());
  choice.weights.assign(weights.begin(), weights.end());
  return choice;
}

RouterParams params_of(Gating gating, int32_t n_expert, int32_t n_used, int32_t n_groups = 1, int32_t n_groups_used = 1,
                       bool is_normalized = false, float scale = 1.0f) {
  return {gating, n_expert, n_used, n_groups, n_groups_used, is_normalized, scale};
}

std::vector<RouterParams> all_modes() {
  std::vector<RouterParams> modes;
  for (const Gating gating : {Gating::kSoftmax, Gating::kSigmoid, Gating::kSoftmaxOfChosen}) {
    for (const bool is_normalized : {false, true}) {
      for (const float scale : {1.0f, 2.5f}) {
        modes.push_back(params_of(gating, 1, 1, 1, 1, is_normalized, scale));
        modes.push_back(params_of(gating, 8, 2, 1, 1, is_normalized, scale));
        modes.push_back(params_of(gating, 8, 8, 1, 1, is_normalized, scale));
        modes.push_back(params_of(gating, 60, 4, 1, 1, is_normalized, scale));
        modes.push_back(params_of(gating, 128, 8, 1, 1, is_normalized, scale));
        modes.push_back(params_of(gating, 64, 8, 8, 4, is_normalized, scale));
        modes.push_back(params_of(gating, 24, 6, 4, 4, is_normalized, scale));
        modes.push_back(params_of(gating, 24, 6, 4, 1, is_normalized, scale));
        modes.push_back(params_of(gating, 6, 2, 6, 3, is_normalized, scale));
      }
    }
  }
  return modes;
}

}  // namespace

TEST_CASE("the router follows its definition in every mode") {
  std::mt19937 random(1);
  int n_compared = 0;
  for (const RouterParams& params : all_modes()) {
    CAPTURE(static_cast<int>(params.gating));
    CAPTURE(params.n_expert);
    CAPTURE(params.n_used);
    CAPTURE(params.n_groups_used);
    CAPTURE(params.is_normalized);
    for (int draw = 0; draw < 40; ++draw) {
      std::normal_distribution<float> normal(0.0f, draw % 2 == 0 ? 1.0f : 4.0f);
      std::vector<float> logits(static_cast<size_t>(params.n_expert)), bias;
      for (float& x : logits) x = normal(random);
      if (draw % 4 >= 2) {
        std::uniform_real_distribution<float> uniform(-0.5f, 0.5f);
        for (int32_t i = 0; i < params.n_expert; ++i) bias.push_back(uniform(random));
      }
      const auto scores = biased(reference_probabilities(params, logits), bias);
      // Narrow gaps are no one's fault: in a wide softmax most probabilities are close to 0.
      std::vector<double> decisive = scores;
      std::sort(decisive.rbegin(), decisive.rend());
      decisive.resize(std::min(decisive.size(), static_cast<size_t>(params.n_used) + 1));
      if (params.n_groups == 1 ? has_near_tie(decisive)
                               : has_near_tie(scores) || has_near_tie(reference_group_scores(params, scores)))
        continue;
      ++n_compared;
      const Choice got = route(params, bias, logits), expected = reference_route(params, bias, logits);
      CHECK(got.experts == expected.experts);
      for (size_t i = 0; i < expected.weights.size(); ++i) {
        // exp within 2^-22, of an argument that is off by 2^-24 times at most 2^5; the sum of n_expert probabilities
        // by n_expert roundings; three quotients and products.
        const double tolerance = (0x1p-22 + 0x1p-19 + (params.n_expert + 4) * 0x1p-24) * expected.weights[i];
        CHECK(std::abs(got.weights[i] - expected.weights[i]) <= 2 * tolerance);
      }
    }
  }
  CHECK(n_compared > 1000);
}

TEST_CASE("equal probabilities go to the lower index") {
  for (const Gating gating : {Gating::kSoftmax, Gating::kSigmoid, Gating::kSoftmaxOfChosen}) {
    CAPTURE(static_cast<int>(gating));
    const std::vector<float> equal(16, 0.5f);
    CHECK(route(params_of(gating, 16, 4), {}, equal).experts == std::vector<int32_t>{0, 1, 2, 3});
    std::vector<float> logits = equal;
    logits[9] = logits[12] = 1.0f;
    CHECK(route(params_of(gating, 16, 4), {}, logits).experts == std::vector<int32_t>{9, 12, 0, 1});
    // Groups {0..3}, {4..7}, {8..11}, {12..15}: the last two are best; the first ties with the second.
    CHECK(route(params_of(gating, 16, 5, 4, 3), {}, logits).experts == std::vector<int32_t>{9, 12, 0, 1, 2});
    std::vector<float> bias(16);
    bias[15] = bias[6] = 10.0f;
    CHECK(route(params_of(gating, 16, 3), bias, equal).experts == std::vector<int32_t>{6, 15, 0});
  }
}

TEST_CASE("the bias decides the choice and leaves the weights alone") {
  const RouterParams params = params_of(Gating::kSigmoid, 4, 2);
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f, 3.0f}, bias = {5.0f, 4.0f, 0.0f, 0.0f};
  const Choice choice = route(params, bias, logits);
  CHECK(choice.experts == std::vector<int32_t>{0, 1});
  CHECK(choice.weights[0] == 0.5);
  CHECK(choice.weights[1] == doctest::Approx(1 / (1 + std::exp(-1.0))));
}

TEST_CASE("a group counts by its two best experts, and others of it do not help") {
  // Group 0 has the single best expert, group 1 the two best together, group 2 many good ones.
  const std::vector<float> logits = {3.0f, -9.0f, -9.0f, -9.0f, 2.0f, 2.0f, -9.0f, -9.0f, 1.5f, 1.5f, 1.5f, 1.5f};
  const RouterParams params = params_of(Gating::kSoftmaxOfChosen, 12, 2, 3, 1);
  CHECK(route(params, {}, logits).experts == std::vector<int32_t>{4, 5});
}

TEST_CASE("a sum of weights below 2^-14 counts as 2^-14") {
  const Choice choice = route(params_of(Gating::kSigmoid, 3, 2, 1, 1, true), {}, {-20.0f, -21.0f, -22.0f});
  CHECK(choice.weights[0] == doctest::Approx(std::exp(-20.0) * 0x1p14).epsilon(1e-6));
  CHECK(choice.weights[1] == doctest::Approx(std::exp(-21.0) * 0x1p14).epsilon(1e-6));
}

TEST_CASE("NaN and infinite logits choose distinct experts and are not hidden") {
  const float inf = INFINITY;
  for (const RouterParams& params : all_modes()) {
    std::mt19937 random(2);
    for (int draw = 0; draw < 50; ++draw) {
      std::vector<float> logits(static_cast<size_t>(params.n_expert)), bias(logits.size());
      for (float& x : logits) x = std::vector<float>{NAN, inf, -inf, 0.0f, 1e30f, -1e30f}[random() % 6];
      for (float& x : bias) x = std::vector<float>{NAN, inf, -inf, 0.0f}[random() % 4];
      const Choice choice = route(params, bias, logits);
      const std::set<int32_t> distinct(choice.experts.begin(), choice.experts.end());
      CHECK(distinct.size() == choice.experts.size());
      CHECK(*distinct.begin() >= 0);
      CHECK(*distinct.rbegin() < params.n_expert);
    }
  }
  // A NaN ranks last. In a softmax it reaches every weight, by sigmoids its own alone.
  const std::vector<float> logits = {NAN, 1.0f, -5.0f, NAN};
  for (const double weight : route(params_of(Gating::kSoftmax, 4, 2), {}, logits).weights) CHECK(std::isnan(weight));
  const Choice sigmoid = route(params_of(Gating::kSigmoid, 4, 3), {}, logits);
  CHECK(sigmoid.experts == std::vector<int32_t>{1, 2, 0});
  CHECK(std::isfinite(sigmoid.weights[1]));
  CHECK(std::isnan(sigmoid.weights[2]));
  // A group with a NaN among its two best ranks last, and experts of other groups do not stand in for its own.
  const RouterParams groups = params_of(Gating::kSigmoid, 6, 2, 2, 1);
  CHECK(route(groups, {}, {NAN, NAN, 9.0f, 1.0f, 2.0f, NAN}).experts == std::vector<int32_t>{4, 3});
  CHECK(route(groups, {}, {NAN, NAN, NAN, NAN, NAN, NAN}).experts == std::vector<int32_t>{0, 1});
}

TEST_CASE("every instruction set routes to the same bits") {
  for (const CpuKernelTable* table : all_kernel_tables()) {
    CAPTURE(std::string(table->name));
    std::mt19937 random(3);
    std::normal_distribution<float> normal(0.0f, 3.0f);
    for (const RouterParams& params : all_modes()) {
      std::vector<float> logits(static_cast<size_t>(params.n_expert));
      for (float& x : logits) x = normal(random);
      const Choice a = route(params, {}, logits), b = route(params, {}, logits, *table);
      CHECK(a.experts == b.experts);
      CHECK(a.weights == b.weights);
    }
  }
}

TEST_CASE("parameters that no choice satisfies are refused") {
  const auto code = [](const RouterParams& params, size_t n_bias = 0) {
    const std::vector<float> bias(n_bias);
    return error_of([&] { const ExpertRouter router(params, bias, cpu_kernels_scalar().exp, "layer 7"); });
  };
  const auto invalid = ErrorCode::kModelInvalid;
  CHECK(code(params_of(Gating::kSoftmax, 8, 8)) == std::nullopt);
  CHECK(code(params_of(Gating::kSoftmax, 8, 8), 8) == std::nullopt);
  CHECK(code(params_of(Gating::kSoftmax, 0, 0)) == invalid);
  CHECK(code(params_of(Gating::kSoftmax, 8, 0)) == invalid);
  CHECK(code(params_of(Gating::kSoftmax, 8, 9)) == invalid);
  CHECK(code(params_of(Gating::kSoftmax, 8, 2, 3, 1)) == invalid);
  CHECK(code(params_of(Gating::kSoftmax, 8, 2, 0, 0)) == invalid);
  CHECK(code(params_of(Gating::kSoftmax, 8, 2, 4, 0)) == invalid);
  CHECK(code(params_of(Gating::kSoftmax, 8, 2, 4, 5)) == invalid);
  CHECK(code(params_of(Gating::kSoftmax, 8, 3, 4, 1)) == invalid);
  CHECK(code(params_of(Gating::kSoftmax, 8, 2), 7) == invalid);
  CHECK(message_of([] {
          const ExpertRouter router(params_of(Gating::kSoftmax, 8, 9), {}, cpu_kernels_scalar().exp, "layer 7");
        }) == "The experts of layer 7: 9 are used per token; expected 1 to 8.");
}
