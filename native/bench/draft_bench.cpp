// What guessing ahead, choosing and keeping to a grammar cost per token, without a model: the suffix index on a whole
// library, a row of logits of a large vocabulary, and the masks of a grammar over it.
//
//   cmake --build build/native/release --target outpost-draft-bench
//   build/native/release/outpost-draft-bench VOCABULARY TEXT_FILE...     a vocabulary-only file will do
//
// Each figure is the best of several runs in processor time: other load on the machine only ever slows a run down.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "draft/suffix_index.h"
#include "gguf/gguf_file.h"
#include "grammar/grammar_program.h"
#include "grammar/json_schema.h"
#include "runtime/grammar_cache.h"
#include "runtime/grammar_filter.h"
#include "sampling/sampler.h"
#include "tokenizer/tokenizer.h"

namespace outpost {
namespace {

constexpr int kRepetitions = 5;

template <typename Run>
double best_microseconds(const Run& run) {
  double best = 1e300;
  for (int i = 0; i < kRepetitions; ++i) {
    const std::clock_t start = std::clock();
    run();
    best = std::min(best, 1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

/// The library filled with the texts, again and again; then every token of them asked for and appended, as replies do.
void measure_index(const std::vector<int32_t>& tokens) {
  SuffixIndex library(1 << 18);
  while (library.n_appended() < library.capacity()) {
    for (const int32_t token : tokens) library.append(token);
    library.end_text();
  }
  const size_t n = std::min<size_t>(tokens.size(), 20000);
  size_t n_proposed = 0;
  Proposal proposal;
  const double us = best_microseconds([&] {
    for (size_t i = 64; i < n; ++i) {
      library.propose(std::span(tokens).subspan(i - 64, 64), 32, proposal);
      n_proposed += proposal.tokens.size();
      library.append(tokens[i]);
    }
  });
  std::printf("suffix index of %zu tokens: %.2f us a token, %.1f tokens proposed\n", library.capacity(),
              us / static_cast<double>(n - 64),
              static_cast<double>(n_proposed) / kRepetitions / static_cast<double>(n - 64));
}

/// Logits as a model gives them: what the reply says is most probable, and the rest at random.
std::vector<float> logits_for(int32_t id, int32_t n_vocab, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> logits(static_cast<size_t>(n_vocab));
  for (float& logit : logits) logit = static_cast<float>(random() % 10000) * 1e-3f;
  logits[static_cast<size_t>(id)] = 12;
  return logits;
}

/// Choosing one of the 40 best tokens of a row that no cache may hold, and then its probability among all.
void measure_choice(int32_t n_vocab) {
  std::vector<std::vector<float>> rows;
  for (uint32_t seed = 0; seed < 64; ++seed) rows.push_back(logits_for(7, n_vocab, seed));
  Sampler sampler(SamplerParams{});
  const auto us_a_row = [&](auto&& work) {
    double best_us = 1e300;
    for (int i = 0; i < kRepetitions; ++i) {
      const std::clock_t start = std::clock();
      for (const auto& row : rows) work(row);
      best_us = std::min(
          best_us, 1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / static_cast<double>(rows.size()));
    }
    return best_us;
  };
  volatile double used = 0;  // or nothing need be computed
  const double choice_us = us_a_row([&](const std::vector<float>& row) { used = used + sampler.sample(row, {}); });
  const double probability_us =
      us_a_row([&](const std::vector<float>& row) { used = used + sampler.log_probability(row, 7); });
  std::printf("logits, vocabulary of %d: choosing a token takes %.1f us, its probability %.1f us\n", n_vocab, choice_us,
              probability_us);
}

/// What a grammar adds to choosing the tokens of a reply of JSON: in the first reply, and in one that finds its masks.
void measure_grammar(const Tokenizer& tokenizer) {
  const std::string schema = R"({"type":"object","properties":{"name":{"type":"string"},"tags":{"type":"array",)"
                             R"("items":{"type":"string"}},"n":{"type":"integer"}},"required":["name","tags","n"]})";
  const std::string reply =
      R"({"name":"a longer name, with \"quotes\" and é","tags":["one","two","three words here"],"n":-12345})";
  const auto ids = tokenizer.encode_inside(reply);
  const auto texts = token_texts(tokenizer);
  const int32_t n_vocab = tokenizer.vocabulary().n_tokens();
  std::vector<std::vector<float>> logits;
  for (const int32_t id : ids) logits.push_back(logits_for(id, n_vocab, static_cast<uint32_t>(logits.size())));
  SamplerParams params;
  params.temperature = 0.8f;
  params.top_k = 40;
  double free_us = 1e300, first_us = 1e300, again_us = 1e300;
  uint64_t n_masks = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    GrammarProgram grammar(parse_gbnf(json_schema_to_gbnf(schema)), texts);
    const auto run = [&](bool is_free) {
      const std::clock_t start = std::clock();
      Sampler sampler(params);
      GrammarProgram::State state = grammar.start();
      for (size_t n = 0; n < ids.size(); ++n) {
        GrammarFilter filter(grammar, state);
        sampler.sample(logits[n], {}, {}, is_free ? nullptr : &filter);
        if (!is_free) state = grammar.next(state, tokenizer.bytes(ids[n]));
      }
      return 1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / static_cast<double>(ids.size());
    };
    free_us = std::min(free_us, run(true));
    first_us = std::min(first_us, run(false));
    again_us = std::min(again_us, run(false));
    n_masks = grammar.n_masks_made();
  }
  std::printf(
      "grammar, vocabulary of %d: choosing a token takes %.1f us; %.1f us more in the first reply of %zu (%llu masks), "
      "%.1f us more in the next\n",
      n_vocab, free_us, first_us - free_us, ids.size(), static_cast<unsigned long long>(n_masks), again_us - free_us);
}

}  // namespace
}  // namespace outpost

int main(int argc, char** argv) {
  using namespace outpost;
  if (argc < 3) {
    std::fprintf(stderr, "usage: outpost-draft-bench VOCABULARY TEXT_FILE...\n");
    return 2;
  }
  try {
    const auto tokenizer = Tokenizer::create(GgufFile::open(argv[1]));
    std::vector<int32_t> tokens;
    for (int i = 2; i < argc; ++i) {
      std::ifstream file(argv[i], std::ios::binary);
      const std::string text(std::istreambuf_iterator<char>(file), {});
      const auto ids = tokenizer->encode_inside(text);
      tokens.insert(tokens.end(), ids.begin(), ids.end());
    }
    measure_index(tokens);
    for (const int32_t n_vocab : {32768, 128256}) measure_choice(n_vocab);
    measure_grammar(*tokenizer);
  } catch (const EngineError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
