#include "sampling/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

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

// The order of floats as integers, but for the two zeros. Its own inverse.
int32_t flip_negative(int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }

/// Of numbers that are finite.
float largest_of(std::span<const float> values) {
  int32_t largest = std::numeric_limits<int32_t>::min();
  for (const float value : values) largest = std::max(largest, flip_negative(std::bit_cast<int32_t>(value)));
  return std::bit_cast<float>(flip_negative(largest));
}

/// exp(x) for x <= 0, with an error of some 2^-22 of it; below -87 that of -87. As 2^n * exp(r), |r| <= ln(2) / 2, by
/// the series of exp(r).
float exp_of_negative(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRounds = 12582912.0f;  // 1.5 * 2^23: sums with it have no fraction, and the integer as low bits
  // As integers, or compilers take apart what follows.
  x = std::bit_cast<float>(std::min(std::bit_cast<uint32_t>(x), std::bit_cast<uint32_t>(-87.0f)));
  const float shifted = x * kLog2E + kRounds, n = shifted - kRounds;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float sum = 1.0f / 720 + r * (1.0f / 5040);
  sum = 1.0f / 24 + r * (1.0f / 120 + r * sum);
  sum = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * sum)));
  return sum * std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) + 127) << 23);
}

/// The sum of exp(value - largest).
double sum_of_exponents(std::span<const float> values, float largest) {
  constexpr size_t kLanes = 16, kRun = 64 * kLanes;
  double sum = 0;
  float exponents[kRun];
  for (size_t begin = 0; begin < values.size(); begin += kRun) {
    const auto run = values.subspan(begin, std::min(kRun, values.size() - begin));
    for (size_t i = 0; i < run.size(); ++i) exponents[i] = exp_of_negative(run[i] - largest);
    std::fill(exponents + run.size(), exponents + kRun, 0.0f);
    float sums[kLanes] = {};
    for (size_t i = 0; i < kRun; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += exponents[i + lane];
    }
    for (const float of_lane : sums) sum += of_lane;
  }
  return sum;
}

/// @pre the token is on the list
float listed_logit(const Shortlist& list, int32_t id) {
  return list.logits[std::find(list.ids, list.ids + list.n_tokens, id) - list.ids];
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

int32_t Sampler::n_best() const {
  const int64_t n_kept = params_.temperature == 0 ? 1 : params_.top_k;
  if (n_kept == 0 || params_.repeat_penalty < 1.0f) return 0;
  // Penalized tokens fall: as many others have to be there as are kept.
  const int64_t n = n_kept + (params_.repeat_penalty == 1.0f ? 0 : params_.repeat_last_n);
  return n <= kShortlistMost ? static_cast<int32_t>(n) : 0;
}

int32_t Sampler::sample(const LogitRow& row, std::span<const int32_t> history, std::span<const int32_t> allowed,
                        TokenFilter* filter) {
  const auto kept = candidates(row, history, allowed, filter);
  double u = random_.next();
  for (const Candidate& c : kept) {
    u -= c.probability;
    if (u < 0) return c.id;
  }
  return kept.back().id;  // rounding left a rest
}

double Sampler::log_probability(const LogitRow& row, int32_t id, std::span<const int32_t> allowed,
                                TokenFilter* filter) {
  if (row.best != nullptr) {
    const double largest = *std::max_element(row.best->logits, row.best->logits + row.best->n_tokens);
    return listed_logit(*row.best, id) - largest - std::log(row.best->sum);
  }
  const float logit = row.all[static_cast<size_t>(id)];
  if (allowed.empty() && filter == nullptr) {
    const float largest = largest_of(row.all);
    return double{logit} - largest - std::log(sum_of_exponents(row.all, largest));
  }
  collect(row.all, allowed, filter == nullptr ? std::span<const uint64_t>{} : filter->mask());
  double largest = logit, sum = 0;
  for (const Candidate& c : candidates_) largest = std::max<double>(largest, c.logit);
  for (const Candidate& c : candidates_) sum += std::exp(c.logit - largest);
  return logit - largest - std::log(sum);
}

std::span<const Candidate> Sampler::candidates(const LogitRow& row, std::span<const int32_t> history,
                                               std::span<const int32_t> allowed, TokenFilter* filter) {
  if (row.best != nullptr ? row.best->n_tokens == kShortlistNotFinite : !are_finite(row.all)) {
    throw EngineError(ErrorCode::kInternal,
                      "The model computed a logit that is not a number. The file may be damaged.");
  }
  if (row.best != nullptr) {
    collect_listed(*row.best, history);
  } else {
    collect_all(row.all, history, allowed, filter);
  }
  if (candidates_.empty()) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      "The model has no token that the grammar allows here: its vocabulary cannot spell it.");
  }
  narrow();
  return candidates_;
}

void Sampler::collect_listed(const Shortlist& list, std::span<const int32_t> history) {
  candidates_.clear();
  const auto penalized_ids = penalized_tokens(history);
  for (int32_t i = 0; i < list.n_tokens; ++i) {
    const float logit = list.logits[i];
    candidates_.push_back({list.ids[i], penalized_ids.contains(list.ids[i]) ? penalized(logit) : logit, 0});
  }
}

/// The candidates that `narrow` needs of all tokens that may be chosen; none if no token may.
void Sampler::collect_all(std::span<const float> logits, std::span<const int32_t> history,
                          std::span<const int32_t> allowed, TokenFilter* filter) {
  if (params_.repeat_penalty != 1.0f) {
    penalized_.assign(logits.begin(), logits.end());
    for (const int32_t id : penalized_tokens(history)) {
      float& logit = penalized_[static_cast<size_t>(id)];
      logit = penalized(logit);
    }
    logits = penalized_;
  }
  const bool is_any_allowed = allowed.empty() && filter == nullptr;
  if (is_any_allowed && params_.temperature == 0) {
    const float largest = largest_of(logits);
    const auto id = std::find(logits.begin(), logits.end(), largest) - logits.begin();
    candidates_ = {{static_cast<int32_t>(id), largest, 1}};
    return;
  }
  const size_t n_best = params_.temperature == 0 ? 1 : static_cast<size_t>(params_.top_k);
  if (is_any_allowed && n_best > 0) {
    collect_best(logits, n_best);
  } else if (filter == nullptr || n_best == 0 || !collect_best(logits, n_best, *filter)) {
    collect(logits, allowed, filter == nullptr ? std::span<const uint64_t>{} : filter->mask());
  }
}

/// The tokens of the end of a history that are made less likely; none without a penalty.
std::unordered_set<int32_t> Sampler::penalized_tokens(std::span<const int32_t> history) const {
  if (params_.repeat_penalty == 1.0f) return {};
  const auto recent = history.last(std::min(history.size(), static_cast<size_t>(params_.repeat_last_n)));
  return {recent.begin(), recent.end()};
}

float Sampler::penalized(float logit) const {
  return logit > 0 ? logit / params_.repeat_penalty : logit * params_.repeat_penalty;
}

/// Leaves of the candidates those that are drawn from, with their probabilities.
void Sampler::narrow() {
  if (params_.temperature == 0) {
    std::iter_swap(candidates_.begin(), std::min_element(candidates_.begin(), candidates_.end(), is_better));
    candidates_.resize(1);
    candidates_[0].probability = 1;
    return;
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
