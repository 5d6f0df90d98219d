#include "sampling/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "core/strings.h"

namespace outpost {
namespace {

bool is_better(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/// Sets probabilities of the candidates, sorted by logit, at a temperature.
void softmax(std::vector<Candidate>& candidates, double temperature) {
  const double largest = candidates.front().logit;
  double sum = 0;
  for (Candidate& c : candidates) sum += c.probability = std::exp((c.logit - largest) / temperature);
  for (Candidate& c : candidates) c.probability /= sum;
}

// Over whole vocabularies, for every token of a reply: written so that compilers work on several numbers at once, which
// they do for integers.

bool are_finite(std::span<const float> values) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t n_not = 0;
  for (const float value : values) n_not += (std::bit_cast<uint32_t>(value) & kExponent) == kExponent ? 1 : 0;
  return n_not == 0;
}

/// The place of the first of the largest numbers, which are finite.
int32_t first_of_largest(std::span<const float> values) {
  // In the order of floats as integers, but for the two zeros.
  const auto order_of = [](float value) {
    const auto bits = std::bit_cast<int32_t>(value);
    return bits ^ ((bits >> 31) & 0x7fffffff);
  };
  int32_t largest = std::numeric_limits<int32_t>::min();
  for (const float value : values) largest = std::max(largest, order_of(value));
  const float as_float = std::bit_cast<float>(largest ^ ((largest >> 31) & 0x7fffffff));
  return static_cast<int32_t>(std::find(values.begin(), values.end(), as_float) - values.begin());
}

void require(bool is_valid, const char* name, double value, const char* expected) {
  if (!is_valid)
    throw EngineError(ErrorCode::kInvalidArgument, concat(name, " is ", value, "; expected ", expected, "."));
}

}  // namespace

Sampler::Sampler(const SamplerParams& params) : params_(params), random_(params.seed) {
  require(params.temperature >= 0 && params.temperature <= 100, "temperature", params.temperature, "0 to 100");
  require(params.top_k >= 0, "top_k", params.top_k, "0 or more");
  require(params.top_p > 0 && params.top_p <= 1, "top_p", params.top_p, "more than 0, at most 1");
  require(params.min_p >= 0 && params.min_p <= 1, "min_p", params.min_p, "0 to 1");
  require(params.repeat_penalty > 0 && params.repeat_penalty <= 100, "repeat_penalty", params.repeat_penalty,
          "more than 0, at most 100");
  require(params.repeat_last_n >= 0, "repeat_last_n", params.repeat_last_n, "0 or more");
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> history,
                        std::span<const int32_t> allowed, TokenFilter* filter) {
  const auto kept = candidates(logits, history, allowed, filter);
  double u = random_.next();
  for (const Candidate& c : kept) {
    u -= c.probability;
    if (u < 0) return c.id;
  }
  return kept.back().id;  // rounding left a rest
}

double Sampler::log_probability(std::span<const float> logits, int32_t id, std::span<const int32_t> allowed,
                                TokenFilter* filter) {
  collect(logits, allowed, filter == nullptr ? std::span<const uint64_t>{} : filter->mask());
  const double logit = logits[static_cast<size_t>(id)];
  double largest = logit;
  for (const Candidate& c : candidates_) largest = std::max<double>(largest, c.logit);
  double sum = 0;
  for (const Candidate& c : candidates_) sum += std::exp(c.logit - largest);
  return logit - largest - std::log(sum);
}

std::span<const Candidate> Sampler::candidates(std::span<const float> logits, std::span<const int32_t> history,
                                               std::span<const int32_t> allowed, TokenFilter* filter) {
  if (!are_finite(logits)) {
    throw EngineError(ErrorCode::kInternal,
                      "The model computed a logit that is not a number. The file may be damaged.");
  }
  if (params_.repeat_penalty != 1.0f) {
    penalized_.assign(logits.begin(), logits.end());
    const size_t n = std::min(history.size(), static_cast<size_t>(params_.repeat_last_n));
    const auto recent = history.last(n);
    for (const int32_t id : std::unordered_set<int32_t>(recent.begin(), recent.end())) {
      float& logit = penalized_[static_cast<size_t>(id)];
      logit = logit > 0 ? logit / params_.repeat_penalty : logit * params_.repeat_penalty;
    }
    logits = penalized_;
  }

  const bool is_any_allowed = allowed.empty() && filter == nullptr;
  const size_t n_best = params_.temperature == 0 ? 1 : static_cast<size_t>(params_.top_k);
  if (is_any_allowed && params_.temperature == 0) {
    const int32_t id = first_of_largest(logits);
    candidates_ = {{id, logits[static_cast<size_t>(id)], 1}};
    return candidates_;
  }
  if (is_any_allowed && n_best > 0) {
    collect_best(logits, n_best);
  } else if (filter == nullptr || n_best == 0 || !collect_best(logits, n_best, *filter)) {
    collect(logits, allowed, filter == nullptr ? std::span<const uint64_t>{} : filter->mask());
  }
  if (candidates_.empty()) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      "The model has no token that the grammar allows here: its vocabulary cannot spell it.");
  }
  if (params_.temperature == 0) {
    candidates_ = {*std::min_element(candidates_.begin(), candidates_.end(), is_better)};
    candidates_[0].probability = 1;
    return candidates_;
  }

  if (params_.top_k > 0 && static_cast<size_t>(params_.top_k) < candidates_.size()) {
    const auto end = candidates_.begin() + params_.top_k;
    std::nth_element(candidates_.begin(), end - 1, candidates_.end(), is_better);
    candidates_.erase(end, candidates_.end());
  }
  std::sort(candidates_.begin(), candidates_.end(), is_better);

  if (params_.top_p < 1.0f) {
    softmax(candidates_, 1.0);
    double sum = 0;
    size_t n = 0;
    while (n < candidates_.size() && sum < params_.top_p) sum += candidates_[n++].probability;
    candidates_.resize(n);
  }
  if (params_.min_p > 0.0f) {
    const float lowest = candidates_.front().logit + std::log(params_.min_p);
    const auto end =
        std::find_if(candidates_.begin() + 1, candidates_.end(), [&](const Candidate& c) { return c.logit < lowest; });
    candidates_.erase(end, candidates_.end());
  }
  softmax(candidates_, params_.temperature);
  return candidates_;
}

/// Makes the n best tokens candidates, and perhaps some more. One look at each: of most, that it is below what is
/// there.
void Sampler::collect_best(std::span<const float> logits, size_t n) {
  candidates_.clear();
  const size_t n_most = 4 * n + 64;
  bool has_least = false;
  float least = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    // The n best so far are better than an equal one that comes later.
    if (has_least && logits[id] <= least) continue;
    candidates_.push_back({static_cast<int32_t>(id), logits[id], 0});
    if (candidates_.size() < n_most) continue;
    const auto last = candidates_.begin() + static_cast<std::ptrdiff_t>(n) - 1;
    std::nth_element(candidates_.begin(), last, candidates_.end(), is_better);
    candidates_.resize(n);
    least = candidates_.back().logit;
    has_least = true;
  }
}

/// The same of those that a filter allows, if they are among the tokens that would be best without it.
bool Sampler::collect_best(std::span<const float> logits, size_t n, TokenFilter& filter) {
  collect_best(logits, 4 * n + 32);
  std::sort(candidates_.begin(), candidates_.end(), is_better);
  // Beyond these there may be more, and what is worst of them is not known to be better than others.
  if (candidates_.size() > 4 * n + 32) candidates_.resize(4 * n + 32);
  size_t n_allowed = 0;
  for (const Candidate& candidate : candidates_) {
    if (!filter.allows(candidate.id)) continue;
    candidates_[n_allowed++] = candidate;
    if (n_allowed == n) break;
  }
  candidates_.resize(n_allowed);
  return n_allowed == n;
}

/// Makes the tokens to choose from candidates.
void Sampler::collect(std::span<const float> logits, std::span<const int32_t> allowed, std::span<const uint64_t> mask) {
  candidates_.clear();
  const auto add = [&](size_t id) { candidates_.push_back({static_cast<int32_t>(id), logits[id], 0}); };
  if (!allowed.empty()) {
    for (const int32_t id : allowed) add(static_cast<size_t>(id));
  } else if (mask.empty()) {
    for (size_t id = 0; id < logits.size(); ++id) add(id);
  } else {
    for (size_t word = 0; word < mask.size(); ++word) {
      for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1)
        add(word * 64 + static_cast<size_t>(std::countr_zero(bits)));
    }
  }
}

}  // namespace outpost
