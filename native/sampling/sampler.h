// Picks the next token from logits: repetition penalty, top-k, top-p, min-p, temperature, draw, in this order
// (that of llama.cpp, whose meaning of each parameter it follows). A token that is not allowed is never looked at.
#pragma once

#include <span>
#include <vector>

#include "engine.h"
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

  /// Takes one random number, whatever the logits are: the n-th token of a reply is drawn with the n-th number of its
  /// seed, also where somebody guesses ahead with a copy of this sampler.
  /// @param logits [n_vocab] @param history prompt and reply so far, the last repeat_last_n are penalized
  /// @param allowed the tokens to choose from, each once, in any order; empty allows all
  /// @param filter what says which tokens may be chosen; none allows all. At most one of the two is given
  /// @throws EngineError kInternal if the logits are not finite numbers (a damaged model), kInvalidArgument if the
  /// filter allows no token
  int32_t sample(std::span<const float> logits, std::span<const int32_t> history, std::span<const int32_t> allowed = {},
                 TokenFilter* filter = nullptr);

  /// The logarithm of a token's probability among those that may be chosen, at temperature 1 and without penalties.
  /// @pre logits are finite, and the token may be chosen
  double log_probability(std::span<const float> logits, int32_t id, std::span<const int32_t> allowed = {},
                         TokenFilter* filter = nullptr);

  /// Draws what `other` is going to draw, from any logits.
  void follow(const Sampler& other) {
    params_ = other.params_;
    random_ = other.random_;
  }

  /// What `sample` draws from: at least one candidate, most probable first, probabilities summing to 1.
  std::span<const Candidate> candidates(std::span<const float> logits, std::span<const int32_t> history,
                                        std::span<const int32_t> allowed = {}, TokenFilter* filter = nullptr);

 private:
  void collect_best(std::span<const float> logits, size_t n);
  bool collect_best(std::span<const float> logits, size_t n, TokenFilter& filter);
  void collect(std::span<const float> logits, std::span<const int32_t> allowed, std::span<const uint64_t> mask);
  SamplerParams params_;
  RandomStream random_;
  std::vector<Candidate> candidates_;
  std::vector<float> penalized_;
};

}  // namespace outpost
