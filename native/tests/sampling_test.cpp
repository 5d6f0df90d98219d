// The sampler against distributions computed by hand. Logits are logarithms of small whole numbers, so that
// probabilities are fractions that can be read off.
#include "sampling/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// Everything switched off.
SamplerParams plain() {
  SamplerParams params;
  params.temperature = 1.0f;
  params.top_k = 0;
  params.top_p = 1.0f;
  params.min_p = 0.0f;
  params.repeat_penalty = 1.0f;
  return params;
}

/// Token i has probability weights[i] / sum(weights) at temperature 1.
std::vector<float> logits_of(const std::vector<double>& weights) {
  std::vector<float> logits;
  for (const double weight : weights) logits.push_back(static_cast<float>(std::log(weight)));
  return logits;
}

/// 50 %, 20 %, 10 %, 15 %, 5 %
std::vector<float> five_logits() { return logits_of({10, 4, 2, 3, 1}); }

std::map<int32_t, double> distribution(const SamplerParams& params, const std::vector<float>& logits,
                                       const std::vector<int32_t>& history = {}) {
  Sampler sampler(params);
  std::map<int32_t, double> out;
  double last = 1.0;
  for (const Candidate& c : sampler.candidates(logits, history)) {
    CHECK(c.probability <= last);
    last = c.probability;
    out[c.id] = c.probability;
  }
  return out;
}

void check_distribution(const std::map<int32_t, double>& actual, const std::map<int32_t, double>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (const auto& [id, probability] : expected) {
    CAPTURE(id);
    REQUIRE(actual.count(id) == 1);
    // Logits are rounded to f32: an error of 2^-24 * |logit|, as much relative in the probability.
    CHECK(actual.at(id) == doctest::Approx(probability).epsilon(1e-6));
  }
}

std::vector<int32_t> draw(const SamplerParams& params, const std::vector<float>& logits, int n) {
  Sampler sampler(params);
  std::vector<int32_t> ids;
  for (int i = 0; i < n; ++i) ids.push_back(sampler.sample(logits, {}));
  return ids;
}

/// Few values, so that many are equal; both zeros; rising and falling ones.
std::vector<float> many_logits(size_t n, int kind, std::mt19937& random) {
  std::vector<float> logits(n);
  for (size_t i = 0; i < n; ++i) {
    const float value = kind % 3 == 0   ? static_cast<float>(random() % 7) - 3.0f
                        : kind % 3 == 1 ? static_cast<float>(i / 64) * (kind % 2 == 0 ? -1.0f : 1.0f)
                                        : static_cast<float>(random() % 100000) * 1e-3f;
    logits[i] = value == 0 && random() % 2 == 0 ? -0.0f : value;
  }
  return logits;
}

SamplerParams random_params(int kind, std::mt19937& random) {
  SamplerParams params = plain();
  params.temperature = kind % 4 == 0 ? 0.0f : 0.8f;
  params.top_k = static_cast<int32_t>(1 + random() % 50);
  params.repeat_penalty = kind % 5 == 0 ? 100.0f : 1.0f;
  params.seed = random();
  return params;
}

void check_same(std::span<const Candidate> found, std::span<const Candidate> expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].id == expected[i].id);
    CHECK(found[i].probability == expected[i].probability);
  }
}

/// The n best of a row and what is as good as the last of them.
Shortlist list_of(std::span<const float> logits, size_t n) {
  std::vector<float> sorted(logits.begin(), logits.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  Shortlist list = {};
  for (size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] < sorted[n - 1]) continue;
    REQUIRE(list.n_tokens < kShortlistMost);
    list.ids[list.n_tokens] = static_cast<int32_t>(id);
    list.logits[list.n_tokens++] = logits[id];
  }
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - sorted[0]);
  list.sum = static_cast<float>(sum);
  return list;
}

/// Allows what has its bit set.
struct MaskFilter : TokenFilter {
  std::vector<uint64_t> bits;
  int n_masks = 0;
  bool allows(int32_t id) override { return (bits[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0; }
  std::span<const uint64_t> mask() override {
    ++n_masks;
    return bits;
  }
};

}  // namespace

TEST_CASE("with everything off the distribution is the softmax") {
  check_distribution(distribution(plain(), five_logits()), {{0, 0.5}, {1, 0.2}, {2, 0.1}, {3, 0.15}, {4, 0.05}});
}

TEST_CASE("the softmax does not overflow or depend on a constant") {
  std::vector<float> logits = five_logits();
  for (float& logit : logits) logit += 1024.0f;
  const auto shifted = distribution(plain(), logits);
  CHECK(shifted.at(0) == doctest::Approx(0.5).epsilon(1e-4));  // logits near 1024 are rounded to 2^-14
  CHECK(distribution(plain(), {3e38f, -3e38f}).at(0) == 1.0);
}

TEST_CASE("temperature 0 takes the largest logit, and the lower id of equal ones") {
  SamplerParams params = plain();
  params.temperature = 0;
  check_distribution(distribution(params, five_logits()), {{0, 1.0}});
  check_distribution(distribution(params, {1.0f, 3.0f, 2.0f, 3.0f}), {{1, 1.0}});
  check_distribution(distribution(params, {-5.0f}), {{0, 1.0}});
  CHECK(draw(params, {0.0f, -1.0f, 0.0f}, 3) == std::vector<int32_t>{0, 0, 0});
}

TEST_CASE("temperature 1/2 squares the probabilities, 2 takes their roots") {
  SamplerParams params = plain();
  params.temperature = 0.5f;
  check_distribution(distribution(params, logits_of({3, 2, 1})), {{0, 9.0 / 14}, {1, 4.0 / 14}, {2, 1.0 / 14}});
  params.temperature = 2.0f;
  check_distribution(distribution(params, logits_of({9, 4, 1})), {{0, 3.0 / 6}, {1, 2.0 / 6}, {2, 1.0 / 6}});
}

TEST_CASE("top-k keeps the k most probable") {
  SamplerParams params = plain();
  params.top_k = 3;
  check_distribution(distribution(params, five_logits()), {{0, 10.0 / 17}, {1, 4.0 / 17}, {3, 3.0 / 17}});
  params.top_k = 1;
  check_distribution(distribution(params, five_logits()), {{0, 1.0}});
  params.top_k = 5;
  CHECK(distribution(params, five_logits()).size() == 5);
  params.top_k = 1000;
  CHECK(distribution(params, five_logits()).size() == 5);
  params.top_k = 2;  // of equal ones the lower ids
  check_distribution(distribution(params, {0.0f, 0.0f, 0.0f}), {{0, 0.5}, {1, 0.5}});
}

TEST_CASE("top-p keeps the fewest tokens that reach p together") {
  SamplerParams params = plain();
  params.top_p = 0.49f;
  check_distribution(distribution(params, five_logits()), {{0, 1.0}});
  params.top_p = 0.51f;
  check_distribution(distribution(params, five_logits()), {{0, 10.0 / 14}, {1, 4.0 / 14}});
  params.top_p = 0.69f;
  CHECK(distribution(params, five_logits()).size() == 2);
  params.top_p = 0.71f;
  check_distribution(distribution(params, five_logits()), {{0, 10.0 / 17}, {1, 4.0 / 17}, {3, 3.0 / 17}});
  params.top_p = 0.96f;
  CHECK(distribution(params, five_logits()).size() == 5);
  params.top_p = 1e-9f;  // never none
  CHECK(distribution(params, five_logits()).size() == 1);
}

TEST_CASE("top-p counts probabilities at temperature 1, after top-k") {
  SamplerParams params = plain();
  params.top_p = 0.6f;
  params.temperature = 100.0f;  // would need three tokens if it were applied first
  CHECK(distribution(params, five_logits()).size() == 2);
  params.temperature = 1.0f;
  params.top_k = 2;  // 10/14 = 71 % and 29 %: the first is enough
  CHECK(distribution(params, five_logits()).size() == 1);
}

TEST_CASE("min-p keeps what has at least that share of the most probable") {
  SamplerParams params = plain();
  params.min_p = 0.25f;  // of 50 %: 12.5 %
  check_distribution(distribution(params, five_logits()), {{0, 10.0 / 17}, {1, 4.0 / 17}, {3, 3.0 / 17}});
  params.min_p = 0.15f;
  CHECK(distribution(params, five_logits()).size() == 4);
  params.min_p = 0.05f;
  CHECK(distribution(params, five_logits()).size() == 5);
  params.min_p = 1.0f;
  check_distribution(distribution(params, five_logits()), {{0, 1.0}});
  check_distribution(distribution(params, {2.0f, 2.0f, 1.0f}), {{0, 0.5}, {1, 0.5}});
}

TEST_CASE("the repetition penalty divides positive logits and multiplies negative ones, once per token") {
  SamplerParams params = plain();
  params.repeat_penalty = 2.0f;
  const auto penalized = [&](const std::vector<int32_t>& history) {
    return distribution(params, {2.0f, 1.0f, -1.0f}, history);
  };
  const auto softmax = [](double a, double b, double c) {
    const double sum = std::exp(a) + std::exp(b) + std::exp(c);
    return std::map<int32_t, double>{{0, std::exp(a) / sum}, {1, std::exp(b) / sum}, {2, std::exp(c) / sum}};
  };
  check_distribution(penalized({}), softmax(2, 1, -1));
  check_distribution(penalized({0}), softmax(1, 1, -1));
  check_distribution(penalized({0, 0, 0}), softmax(1, 1, -1));
  check_distribution(penalized({2, 1}), softmax(2, 0.5, -2));
}

TEST_CASE("the repetition penalty looks at the last tokens only") {
  SamplerParams params = plain();
  params.temperature = 0;
  params.repeat_penalty = 4.0f;
  params.repeat_last_n = 2;
  const std::vector<float> logits = {3.0f, 2.0f};
  CHECK(distribution(params, logits, {0, 1, 1}).count(0) == 1);
  CHECK(distribution(params, logits, {1, 0, 0}).count(1) == 1);
  CHECK(distribution(params, logits, {0}).count(1) == 1);  // a history shorter than the window
  params.repeat_last_n = 0;
  CHECK(distribution(params, logits, {0, 0}).count(0) == 1);
}

TEST_CASE("a seed gives the same draws again, another seed others") {
  SamplerParams params = plain();
  const std::vector<float> logits(100, 0.0f);
  params.seed = 1;
  const auto first = draw(params, logits, 50);
  CHECK(draw(params, logits, 50) == first);
  params.seed = 2;
  CHECK(draw(params, logits, 50) != first);
  params.seed = std::numeric_limits<uint64_t>::max();
  CHECK(draw(params, logits, 50) == draw(params, logits, 50));
}

TEST_CASE("SplitMix64 gives its published numbers") {
  // Seed 1234567: the test vector of https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
  RandomStream random(1234567);
  for (const uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                  4593380528125082431u, 16408922859458223821u}) {
    CHECK(random.next() == static_cast<double>(expected >> 11) * 0x1p-53);
  }
}

TEST_CASE("draws have the frequencies of the distribution") {
  SamplerParams params = plain();
  constexpr int kDraws = 20000;
  for (const uint64_t seed : {1u, 2u, 3u}) {
    CAPTURE(seed);
    params.seed = seed;
    std::map<int32_t, int> counts;
    for (const int32_t id : draw(params, five_logits(), kDraws)) ++counts[id];
    // The sum of (count - expected)^2 / expected has a chi-squared distribution with 4 degrees of freedom, which
    // exceeds 23.5 once in 10 000 seeds.
    double chi_squared = 0;
    for (const auto& [id, probability] :
         std::map<int32_t, double>{{0, 0.5}, {1, 0.2}, {2, 0.1}, {3, 0.15}, {4, 0.05}}) {
      const double expected = probability * kDraws;
      chi_squared += (counts[id] - expected) * (counts[id] - expected) / expected;
    }
    CHECK(chi_squared < 23.5);
  }
}

TEST_CASE("the probability of a token is that among the tokens that may be chosen, whatever the sampler does") {
  SamplerParams params = plain();
  params.temperature = 0.3f;
  params.top_k = 1;
  params.repeat_penalty = 2.0f;
  Sampler sampler(params);
  const auto probability = [&](int32_t id, std::span<const int32_t> allowed = {}, TokenFilter* filter = nullptr) {
    return std::exp(sampler.log_probability(five_logits(), id, allowed, filter));
  };
  CHECK(probability(1) == doctest::Approx(0.2).epsilon(1e-6));
  CHECK(probability(4) == doctest::Approx(0.05).epsilon(1e-6));
  CHECK(probability(1, std::vector<int32_t>{1, 4}) == doctest::Approx(0.8).epsilon(1e-6));
  MaskFilter filter;
  filter.bits = {0b11000};
  CHECK(probability(3, {}, &filter) == doctest::Approx(0.75).epsilon(1e-6));
  CHECK(sampler.log_probability(std::vector<float>{-3e38f, 3e38f}, 1) == 0);
  CHECK(std::isfinite(sampler.log_probability(std::vector<float>{-3e38f, 3e38f}, 0)));
}

TEST_CASE("the probability of a token among a whole vocabulary is the exponent's over the sum of all") {
  std::mt19937 random(11);
  for (const size_t n : {size_t{1}, size_t{15}, size_t{1025}, size_t{40000}}) {
    CAPTURE(n);
    std::vector<float> logits(n);
    for (float& logit : logits) logit = static_cast<float>(random() % 200000) * 1e-3f - 150.0f;
    double largest = -INFINITY, sum = 0;
    for (const float logit : logits) largest = std::max(largest, double{logit});
    for (const float logit : logits) sum += std::exp(logit - largest);
    const size_t id = n / 2;
    const double expected = logits[id] - largest - std::log(sum);
    // Differences are rounded to f32, 2^-17 of more than 64, and matter where they are small: 2^-21 of 7 and less.
    CHECK(std::abs(Sampler(plain()).log_probability(logits, static_cast<int32_t>(id)) - expected) <= 1e-6);
  }
}

TEST_CASE("a shortlist that is long enough is chosen from as all logits are") {
  std::mt19937 random(12);
  int n_listed = 0;
  for (int kind = 0; kind < 400; ++kind) {
    CAPTURE(kind);
    SamplerParams params = random_params(kind, random);
    params.top_p = kind % 3 == 0 ? 0.9f : 1.0f;
    params.min_p = kind % 7 == 0 ? 0.1f : 0.0f;
    params.repeat_last_n = static_cast<int32_t>(random() % 30);
    std::vector<float> logits(3000);
    for (float& logit : logits) logit = static_cast<float>(random() % 2000) * 0.01f - 10.0f;
    std::vector<int32_t> history;
    for (int i = 0; i < 40; ++i) history.push_back(static_cast<int32_t>(random() % 3000));
    // The best ones are penalized too.
    for (int i = 0; i < 5; ++i) {
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      history.push_back(static_cast<int32_t>(best));
      logits[static_cast<size_t>(best)] -= 0.005f;
    }
    Sampler whole(params), listed(params);
    REQUIRE(whole.n_best() > 0);
    const Shortlist list = list_of(logits, static_cast<size_t>(whole.n_best()));
    n_listed += list.n_tokens > whole.n_best() ? 1 : 0;
    const auto kept = whole.candidates(logits, history);
    check_same(listed.candidates(LogitRow(list), history), kept);
    const int32_t id = kept.front().id;
    CHECK(listed.sample(LogitRow(list), history) == whole.sample(logits, history));
    CHECK(std::abs(listed.log_probability(LogitRow(list), id) - whole.log_probability(logits, id)) <= 1e-6);
  }
  CHECK(n_listed > 100);  // what is as good as the last comes along
}

TEST_CASE("how long a shortlist has to be follows from what is kept and penalized") {
  const auto n_best = [](auto&& change) {
    SamplerParams params = plain();
    params.top_k = 40;
    change(params);
    return Sampler(params).n_best();
  };
  CHECK(n_best([](auto&) {}) == 40);
  CHECK(n_best([](auto& p) { p.temperature = 0; }) == 1);
  CHECK(n_best([](auto& p) { p.repeat_penalty = 1.1f; }) == 40 + 64);
  CHECK(n_best([](auto& p) { p.repeat_penalty = 1.1f, p.temperature = 0; }) == 1 + 64);
  CHECK(n_best([](auto& p) { p.repeat_penalty = 0.9f; }) == 0);  // what is not listed could rise
  CHECK(n_best([](auto& p) { p.top_k = 0; }) == 0);
  CHECK(n_best([](auto& p) { p.top_k = 0, p.temperature = 0; }) == 1);
  CHECK(n_best([](auto& p) { p.top_k = kShortlistMost + 1; }) == 0);
  CHECK(n_best([](auto& p) { p.repeat_penalty = 2, p.repeat_last_n = std::numeric_limits<int32_t>::max(); }) == 0);
}

TEST_CASE("a shortlist of logits that are not finite is the error that these are") {
  Shortlist list = {};
  list.n_tokens = kShortlistNotFinite;
  CHECK(message_of([&] { Sampler(plain()).sample(LogitRow(list), {}); }) == message_of([&] {
          Sampler(plain()).sample(std::vector<float>{1, NAN}, {});
        }));
}

TEST_CASE("wrong sampling parameters are refused by name") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const auto message = [](auto&& change) {
    SamplerParams params;
    change(params);
    CHECK(error_of([&] { Sampler{params}; }) == ErrorCode::kInvalidArgument);
    return message_of([&] { Sampler{params}; });
  };
  CHECK(message([](auto& p) { p.temperature = -0.5f; }) == "temperature is -0.5; expected 0 to 100.");
  CHECK(message([](auto& p) { p.top_k = -1; }) == "top_k is -1; expected 0 or more.");
  CHECK(message([](auto& p) { p.top_p = 0; }) == "top_p is 0; expected more than 0, at most 1.");
  CHECK(message([](auto& p) { p.top_p = 1.5f; }) == "top_p is 1.5; expected more than 0, at most 1.");
  CHECK(message([](auto& p) { p.min_p = -0.25f; }) == "min_p is -0.25; expected 0 to 1.");
  CHECK(message([](auto& p) { p.repeat_penalty = 0; }) == "repeat_penalty is 0; expected more than 0, at most 100.");
  CHECK(message([](auto& p) { p.repeat_last_n = -1; }) == "repeat_last_n is -1; expected 0 or more.");
  for (const float wrong : {nan, infinity, -infinity}) {
    for (float SamplerParams::*field :
         {&SamplerParams::temperature, &SamplerParams::top_p, &SamplerParams::min_p, &SamplerParams::repeat_penalty}) {
      SamplerParams params;
      params.*field = wrong;
      CHECK(error_of([&] { Sampler{params}; }) == ErrorCode::kInvalidArgument);
    }
  }
}

TEST_CASE("logits that are no numbers end the request, not the process") {
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Sampler sampler(plain());
    CHECK(error_of([&] { sampler.sample(std::vector<float>{0.0f, wrong}, {}); }) == ErrorCode::kInternal);
  }
}

TEST_CASE("of allowed tokens only, the chain sees nothing of the others") {
  const auto distribution_of = [](const SamplerParams& params, const std::vector<int32_t>& allowed) {
    Sampler sampler(params);
    std::map<int32_t, double> out;
    for (const Candidate& c : sampler.candidates(five_logits(), std::vector<int32_t>{3}, allowed))
      out[c.id] = c.probability;
    return out;
  };
  SamplerParams params = plain();
  check_distribution(distribution_of(params, {4, 1, 3}), {{1, 4.0 / 8}, {3, 3.0 / 8}, {4, 1.0 / 8}});
  check_distribution(distribution_of(params, {2}), {{2, 1.0}});
  CHECK(distribution_of(params, {}).size() == 5);
  params.top_k = 2;
  check_distribution(distribution_of(params, {4, 1, 3}), {{1, 4.0 / 7}, {3, 3.0 / 7}});
  params.top_k = 0;
  params.top_p = 0.45f;  // would be one of all
  check_distribution(distribution_of(params, {4, 3, 2}), {{3, 1.0}});
  params.top_p = 0.55f;
  check_distribution(distribution_of(params, {4, 3, 2}), {{3, 3.0 / 5}, {2, 2.0 / 5}});
  params.top_p = 1.0f;
  params.min_p = 0.3f;
  check_distribution(distribution_of(params, {4, 1, 3}), {{1, 4.0 / 7}, {3, 3.0 / 7}});
  params.min_p = 0.0f;
  params.repeat_penalty = 2.0f;  // log 3 becomes log sqrt 3, log 1 stays
  check_distribution(distribution_of(params, {3, 4}),
                     {{3, std::sqrt(3.0) / (std::sqrt(3.0) + 1)}, {4, 1 / (std::sqrt(3.0) + 1)}});
  params.temperature = 0;
  check_distribution(distribution_of(params, {4, 2}), {{2, 1.0}});
}

TEST_CASE("the order in which tokens are allowed does not matter") {
  const std::vector<float> logits = {0.0f, 1.0f, 1.0f, 1.0f, 0.5f};
  for (const float temperature : {0.0f, 1.0f}) {
    SamplerParams params = plain();
    params.temperature = temperature;
    params.top_k = 2;
    Sampler a(params), b(params);
    for (int i = 0; i < 20; ++i) {
      CHECK(a.sample(logits, {}, std::vector<int32_t>{0, 2, 3, 4}) ==
            b.sample(logits, {}, std::vector<int32_t>{4, 3, 2, 0}));
    }
  }
}

TEST_CASE("of many tokens the best are found as by sorting all of them") {
  // A list of tokens takes the way on which every one of them is a candidate.
  std::vector<int32_t> all(3000);
  std::iota(all.begin(), all.end(), 0);
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const auto logits = many_logits(all.size(), round, random);
    const SamplerParams params = random_params(round, random);
    const std::vector<int32_t> history = {0, 1, 2, 2};
    Sampler fast(params), slow(params);
    check_same(fast.candidates(logits, history), slow.candidates(logits, history, all));
  }
}

TEST_CASE("tokens that a filter allows are chosen as from a list of them, with the mask only where few are") {
  constexpr size_t kTokens = 3000;
  std::mt19937 random(4);
  int n_masks_of[3] = {};
  for (int round = 0; round < 240; ++round) {
    // Nearly all, half of them, and one in a hundred. The first is always there.
    const unsigned of_hundred = round % 3 == 0 ? 99 : round % 3 == 1 ? 50 : 1;
    MaskFilter filter;
    filter.bits.resize((kTokens + 63) / 64);
    std::vector<int32_t> allowed;
    for (int32_t id = 0; id < static_cast<int32_t>(kTokens); ++id) {
      if (id != 0 && random() % 100 >= of_hundred) continue;
      allowed.push_back(id);
      filter.bits[static_cast<size_t>(id) / 64] |= uint64_t{1} << (id % 64);
    }
    const auto logits = many_logits(kTokens, round / 3, random);
    const SamplerParams params = random_params(round / 3, random);
    const std::vector<int32_t> history = {0, 1, 2, 2};
    Sampler filtered(params), listed(params);
    check_same(filtered.candidates(logits, history, {}, &filter), listed.candidates(logits, history, allowed));
    n_masks_of[round % 3] += filter.n_masks;
  }
  CHECK(n_masks_of[0] == 0);
  CHECK(n_masks_of[1] < 10);
  CHECK(n_masks_of[2] > 40);
  MaskFilter none;
  none.bits.resize(1);
  CHECK(error_of([&] {
          Sampler(plain()).sample(std::vector<float>{1, 2}, {}, {}, &none);
        }) == ErrorCode::kInvalidArgument);
}
