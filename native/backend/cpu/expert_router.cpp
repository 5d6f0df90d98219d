#include "backend/cpu/expert_router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

/// What the sum of normalized weights counts as at least: the smallest normal f16.
constexpr float kLeastSum = 0x1p-14f;

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// A score to compare by: comparing NaN would give no order.
float rank_of(float score) { return std::isnan(score) ? kMinusInfinity : score; }

/// Moves the `n` indices with the largest scores to the front, best first, ties to the lower index.
void sort_best(std::vector<int32_t>& indices, int64_t n, const float* scores) {
  std::partial_sort(indices.begin(), indices.begin() + n, indices.end(), [&](int32_t a, int32_t b) {
    const float score_a = rank_of(scores[a]), score_b = rank_of(scores[b]);
    return score_a != score_b ? score_a > score_b : a < b;
  });
}

void softmax(float* x, int32_t n, ExpertRouter::Exp exp) {
  float largest = kMinusInfinity;
  for (int32_t i = 0; i < n; ++i) largest = std::max(largest, rank_of(x[i]));
  for (int32_t i = 0; i < n; ++i) x[i] -= largest;
  exp(x, x, n);
  const float sum = std::accumulate(x, x + n, 0.0f);
  for (int32_t i = 0; i < n; ++i) x[i] /= sum;
}

void sigmoid(float* x, int32_t n, ExpertRouter::Exp exp) {
  for (int32_t i = 0; i < n; ++i) x[i] = -x[i];
  exp(x, x, n);
  for (int32_t i = 0; i < n; ++i) x[i] = 1.0f / (1.0f + x[i]);
}

}  // namespace

ExpertRouter::ExpertRouter(const RouterParams& params, std::span<const float> selection_bias, Exp exp,
                           const std::string& where)
    : params_(params), selection_bias_(selection_bias.begin(), selection_bias.end()), exp_(exp) {
  const auto fail = [&](const auto&... what) {
    throw EngineError(ErrorCode::kModelInvalid, concat("The experts of ", where, ": ", what..., "."));
  };
  const int32_t n = params.n_expert;
  if (n < 1) fail("there are ", n, "; expected at least 1");
  if (params.n_groups < 1 || n % params.n_groups != 0)
    fail(n, " experts cannot be divided into ", params.n_groups, " equal groups");
  if (params.n_groups_used < 1 || params.n_groups_used > params.n_groups)
    fail(params.n_groups_used, " groups are used; expected 1 to ", params.n_groups);
  const int32_t n_most = n / params.n_groups * params.n_groups_used;
  if (params.n_used < 1 || params.n_used > n_most) fail(params.n_used, " are used per token; expected 1 to ", n_most);
  if (!selection_bias.empty() && selection_bias.size() != static_cast<size_t>(n))
    fail("the selection bias has ", selection_bias.size(), " elements; expected ", n);
}

void ExpertRouter::route(const float* logits, int32_t* experts, float* weights) const {
  const int32_t n = params_.n_expert;
  thread_local std::vector<float> probabilities, scores;
  thread_local std::vector<int32_t> candidates;
  probabilities.assign(logits, logits + n);
  switch (params_.gating) {
    case RouterParams::Gating::kSoftmax: softmax(probabilities.data(), n, exp_); break;
    case RouterParams::Gating::kSigmoid: sigmoid(probabilities.data(), n, exp_); break;
    case RouterParams::Gating::kSoftmaxOfChosen: break;
  }
  scores = probabilities;
  for (size_t i = 0; i < selection_bias_.size(); ++i) scores[i] += selection_bias_[i];

  find_candidates(scores.data(), candidates);
  sort_best(candidates, params_.n_used, scores.data());
  for (int32_t i = 0; i < params_.n_used; ++i) {
    experts[i] = candidates[static_cast<size_t>(i)];
    weights[i] = probabilities[static_cast<size_t>(experts[i])];
  }
  if (params_.gating == RouterParams::Gating::kSoftmaxOfChosen) softmax(weights, params_.n_used, exp_);
  if (params_.is_normalized) {
    // The arguments' order matters: a NaN stays.
    const float sum = std::max(std::accumulate(weights, weights + params_.n_used, 0.0f), kLeastSum);
    for (int32_t i = 0; i < params_.n_used; ++i) weights[i] /= sum;
  }
  for (int32_t i = 0; i < params_.n_used; ++i) weights[i] *= params_.scale;
}

void ExpertRouter::find_candidates(const float* scores, std::vector<int32_t>& candidates) const {
  if (params_.n_groups == 1) {
    candidates.resize(static_cast<size_t>(params_.n_expert));
    std::iota(candidates.begin(), candidates.end(), 0);
    return;
  }
  const int32_t group_size = params_.n_expert / params_.n_groups;
  thread_local std::vector<float> group_scores;
  thread_local std::vector<int32_t> groups;
  group_scores.clear();
  for (const float* group = scores; group < scores + params_.n_expert; group += group_size) {
    float best = kMinusInfinity, second = kMinusInfinity;
    for (int32_t i = 0; i < group_size; ++i) {
      const float score = rank_of(group[i]);
      if (score > best) {
        second = best;
        best = score;
      } else {
        second = std::max(second, score);
      }
    }
    group_scores.push_back(group_size == 1 ? best : best + second);
  }
  groups.resize(static_cast<size_t>(params_.n_groups));
  std::iota(groups.begin(), groups.end(), 0);
  sort_best(groups, params_.n_groups_used, group_scores.data());
  candidates.clear();
  for (int32_t i = 0; i < params_.n_groups_used; ++i) {
    const int32_t first = groups[static_cast<size_t>(i)] * group_size;
    for (int32_t e = first; e < first + group_size; ++e) candidates.push_back(e);
  }
}

}  // namespace outpost
