// Picks the next token from logits: repetition penalty, top-k, top-p, min-p, temperature, draw, in this order
// (that of llama.cpp, whose meaning of each parameter it follows). A token that is not allowed is never looked at.
#pragma once

#include <span>
#include <unordered_set>
#include <vector>

#include "engine.h"
#include "sampling/logit_row.h"
#include "sampling/random.h"
#include "sampling/token_filter.h"

namespace outpost {

struct Candidate {
  int32_t id;
  float logit;
  double probability;
};

class Sampler {
 public:
  /// @throws EngineError kInvalidArgument naming the parameter
  explicit Sampler(const SamplerParams& params);

  /// How long a shortlist has to be for `sample` to choose from it as from all logits, where any token may be chosen; 0
  /// if none will do.
  int32_t n_best() const;

  /// Takes one random number, whatever the logits are: the n-th token of a reply is drawn with the n-th number of its
  /// seed, also where somebody guesses ahead with a copy of this sampler.
  /// @param row all logits, or a list of n_best() tokens or more, with which neither `allowed` nor `filter` can be
  /// @param history prompt and reply so far, the last repeat_last_n are penalized
  /// @param allowed the tokens to choose from, each once, in any order; empty allows all
  /// @param filter what says which tokens may be chosen; none allows all. At most one of the two is given
  /// @throws EngineError kInternal if the logits are not finite numbers (a damaged model), kInvalidArgument if the
  /// filter allows no token
  int32_t sample(const LogitRow& row, std::span<const int32_t> history, std::span<const int32_t> allowed = {},
                 TokenFilter* filter = nullptr);

  /// The logarithm of a token's probability among those that may be chosen, at temperature 1 and without penalties.
  /// @pre logits are finite, and the token may be chosen; it is on the list if there is one
  double log_probability(const LogitRow& row, int32_t id, std::span<const int32_t> allowed = {},
                         TokenFilter* filter = nullptr);

  /// Draws what `other` is going to draw, from any logits.
  void follow(const Sampler& other) {
    params_ = other.params_;
    random_ = other.random_;
  }

  /// What `sample` draws from: at least one candidate, most probable first, probabilities summing to 1.
  std::span<const Candidate> candidates(const LogitRow& row, std::span<const int32_t> history,
                                        std::span<const int32_t> allowed = {}, TokenFilter* filter = nullptr);

 private:
  void collect_listed(const Shortlist& list, std::span<const int32_t> history);
  void collect_all(std::span<const float> logits, std::span<const int32_t> history, std::span<const int32_t> allowed,
                   TokenFilter* filter);
  void collect_best(std::span<const float> logits, size_t n);
  bool collect_best(std::span<const float> logits, size_t n, TokenFilter& filter);
  void collect(std::span<const float> logits, std::span<const int32_t> allowed, std::span<const uint64_t> mask);
  std::unordered_set<int32_t> penalized_tokens(std::span<const int32_t> history) const;
  float penalized(float logit) const;
  void narrow();

  SamplerParams params_;
  RandomStream random_;
  std::vector<Candidate> candidates_;
  std::vector<float> penalized_;
};

}  // namespace outpost
