// Drafts change nothing: replies with any draft source, in any company, are token for token those of plain decoding.
// A verifier that is broken on purpose shows that the comparison sees it.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <random>
#include <thread>

#include "runtime/decode_engine.h"
#include "tests/support/recorder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// Small, so that thousands of replies take seconds; few words, so that replies repeat themselves.
/// @param n_words of the vocabulary
std::shared_ptr<Model> small_model(int32_t n_layer, size_t n_words = 24) {
  static std::map<std::pair<int32_t, size_t>, std::shared_ptr<Model>> models;
  std::shared_ptr<Model>& model = models[{n_layer, n_words}];
  if (model == nullptr) {
    TinyLlama tiny;
    tiny.pieces = word_pieces();
    tiny.pieces.resize(n_words);
    tiny.n_layer = n_layer;
    tiny.n_embd = 32;
    tiny.n_head = 2;
    tiny.n_head_kv = 1;
    tiny.n_ff = 32;
    tiny.n_ctx_train = 256;
    const TempDir dir;
    LoadOptions options;
    options.n_threads = 1;
    model = Model::load(dir.write("tiny.gguf", with_random_weights(tiny).bytes()), options);
  }
  return model;
}

constexpr int32_t kWords = 24;

GenerateRequest random_request(std::mt19937& random) {
  GenerateRequest request;
  request.tokens = {1};
  for (uint32_t n = 1 + random() % 30; n > 0; --n)
    request.tokens.push_back(text_token(static_cast<int32_t>(random() % kWords)));
  request.n_predict = 1 + static_cast<int32_t>(random() % 24);
  SamplerParams& sampler = request.sampler;
  sampler.seed = random();
  sampler.temperature = random() % 3 == 0 ? 0.0f : 0.2f + 0.3f * static_cast<float>(random() % 4);
  if (random() % 2 == 0) sampler.top_k = static_cast<int32_t>(random() % 8);
  if (random() % 2 == 0) sampler.top_p = 0.5f;
  if (random() % 3 == 0) sampler.repeat_penalty = 1.3f;
  sampler.repeat_last_n = static_cast<int32_t>(random() % 20);
  if (random() % 4 == 0) request.stop = {random() % 2 == 0 ? "ba" : "ko da"};
  if (random() % 5 == 0) request.begin_with = random() % 2 == 0 ? " b" : " dago";
  if (random() % 5 == 0) request.grammar = "root ::= (\" \" [b-m] [aeio] | [b-g] \"a\")+";
  request.priority = static_cast<Priority>(random() % 4);
  request.log_probs = true;
  return request;
}

struct Outcome {
  std::string text;
  StopReason reason;
  int32_t n_decoded;
  std::vector<float> log_probs;
  bool operator==(const Outcome&) const = default;
};

/// All requests together on one engine.
std::vector<Outcome> run(Engine& engine, const std::vector<GenerateRequest>& requests, DraftStats* drafts = nullptr,
                         int* n_parked = nullptr) {
  std::vector<Recorder> recorders(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) engine.submit(requests[i], recorders[i].sink());
  std::vector<Outcome> outcomes;
  for (Recorder& recorder : recorders) {
    recorder.wait();
    CHECK(recorder.n_done_calls == 1);
    if (n_parked != nullptr) *n_parked += recorder.stats.n_parked;
    outcomes.push_back({recorder.text(), recorder.reason, recorder.stats.n_decoded, recorder.stats.log_probs});
    for (size_t i = 0; drafts != nullptr && i < kDraftSources; ++i) {
      (*drafts)[i].n_drafted += recorder.stats.drafts[i].n_drafted;
      (*drafts)[i].n_accepted += recorder.stats.drafts[i].n_accepted;
    }
  }
  return outcomes;
}

/// Each request alone and without drafts, which is plain decoding.
std::vector<Outcome> run_plain(Engine& engine, std::vector<GenerateRequest> requests) {
  std::vector<Outcome> outcomes;
  for (GenerateRequest& request : requests) {
    request.draft.is_enabled = false;
    outcomes.push_back(run(engine, {request}).front());
  }
  return outcomes;
}

/// Drafts that are right for a while and then wrong, or wrong from the start: what the request says without drafts,
/// known from before, with some tokens changed.
DecodeParts adversary(uint32_t seed, const std::map<std::vector<int32_t>, int32_t>& successors) {
  DecodeParts parts;
  parts.draft = [random = std::mt19937(seed), &successors](std::span<const int32_t> history) mutable {
    std::vector<int32_t> all(history.begin(), history.end()), draft;
    for (uint32_t n = random() % 12; n > 0; --n) {
      const auto next = successors.find(all);
      int32_t token = next != successors.end() ? next->second : text_token(static_cast<int32_t>(random() % kWords));
      // Wrong by little, or by anything.
      if (random() % 8 == 0) token = (token + 1) % (kFirstPiece + kWords);
      if (random() % 12 == 0) token = static_cast<int32_t>(random() % (kFirstPiece + kWords));
      draft.push_back(token);
      all.push_back(token);
    }
    return draft;
  };
  return parts;
}

/// Plain decoding that remembers what followed each history.
std::vector<Outcome> run_plain_and_learn(const std::vector<GenerateRequest>& requests,
                                         std::map<std::vector<int32_t>, int32_t>& successors) {
  DecodeParts parts;
  std::vector<int32_t> last;
  parts.draft = [&](std::span<const int32_t> history) {
    std::vector<int32_t> now(history.begin(), history.end());
    if (now.size() == last.size() + 1 && std::equal(last.begin(), last.end(), now.begin()))
      successors[last] = now.back();
    last = std::move(now);
    return std::vector<int32_t>{};
  };
  const auto engine = create_engine(small_model(1), {}, parts);
  std::vector<Outcome> outcomes;
  for (const GenerateRequest& request : requests) outcomes.push_back(run(*engine, {request}).front());
  return outcomes;
}

/// Of some hundred requests, how many a verifier makes say something else than plain decoding.
int count_different(const DecodeParts& broken, uint32_t seed, int n_requests) {
  std::mt19937 random(seed);
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < n_requests; ++i) requests.push_back(random_request(random));
  std::map<std::vector<int32_t>, int32_t> successors;
  const auto plain = run_plain_and_learn(requests, successors);
  DecodeParts parts = adversary(seed, successors);
  parts.accepts = broken.accepts;
  const auto engine = create_engine(small_model(1), {}, parts);
  int n_different = 0;
  for (int i = 0; i < n_requests; i += 4) {
    const auto drafted = run(*engine, {requests.begin() + i, requests.begin() + i + 4});
    for (int j = 0; j < 4; ++j)
      n_different += drafted[static_cast<size_t>(j)] == plain[static_cast<size_t>(i + j)] ? 0 : 1;
  }
  return n_different;
}

}  // namespace

TEST_CASE("replies with adversarial drafts are those of plain decoding") {
  for (uint32_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    CHECK(count_different({}, seed, 400) == 0);
  }
}

TEST_CASE("a verifier that accepts what was not chosen is seen") {
  DecodeParts lenient;
  // Wrong once in a while only, and by little: a token for its neighbour.
  lenient.accepts = [](int32_t drafted, int32_t chosen) { return drafted == chosen || drafted == chosen + 1; };
  CHECK(count_different(lenient, 1, 400) > 0);
  DecodeParts credulous;
  credulous.accepts = [](int32_t, int32_t) { return true; };
  CHECK(count_different(credulous, 1, 400) > 40);
}

TEST_CASE("replies with every draft source, together, are those of plain decoding") {
  EngineOptions with_model;
  with_model.draft_model = small_model(1);
  with_model.n_prefill = 8;
  const auto target = small_model(5);  // more than twice the draft model
  const auto plain = Engine::create(target), drafting = Engine::create(target, with_model);
  DraftStats drafts;
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::vector<GenerateRequest> requests;
    for (int i = 0; i < 6; ++i) requests.push_back(random_request(random));
    const auto expected = run_plain(*plain, requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      // Texts as they come in practice: the reply itself, with a change; and one that has nothing to do with it.
      std::string original = expected[i].text;
      if (!original.empty() && random() % 2 == 0) original.insert(random() % original.size(), " zo");
      if (random() % 3 > 0) requests[i].draft.original = original;
      requests[i].draft.texts = {original, " ba be bi bo"};
      requests[i].draft.n_max = static_cast<int32_t>(random() % 33);
    }
    const bool is_alone = random() % 2 == 0;
    if (is_alone) {
      for (size_t i = 0; i < requests.size(); ++i) CHECK(run(*drafting, {requests[i]}, &drafts).front() == expected[i]);
    } else {
      CHECK(run(*drafting, requests, &drafts) == expected);
    }
  }
  for (const DraftSource source : {DraftSource::kEdit, DraftSource::kSuffix, DraftSource::kModel}) {
    CAPTURE(kDraftSourceNames[static_cast<size_t>(source)]);
    CHECK(drafts[static_cast<size_t>(source)].n_drafted > 0);
  }
}

TEST_CASE(
    "replies with a head for further tokens are those of plain decoding, also of requests that lose their pages") {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny.pieces.resize(kWords);
  tiny.n_layer = 3;  // the last one is the head's
  tiny.n_embd = 32;
  tiny.n_head = 2;
  tiny.n_head_kv = 1;
  tiny.n_ff = 32;
  tiny.n_ctx_train = 256;
  LoadOptions one_thread;
  one_thread.n_threads = 1;
  const TempDir dir;
  const auto model = Model::load(dir.write("tiny.gguf", with_predictor(with_random_weights(tiny)).bytes()), one_thread);
  EngineOptions options;
  options.pass_ms.assign(64, 1000);  // so that drafts are taken to pay
  options.n_prefill = 8;
  const auto roomy = Engine::create(model, options);
  options.n_prefill = 16;
  options.kv_bytes = 5 * 64 * model->info().kv_bytes_per_token;  // one context and a page
  const auto crowded = Engine::create(model, options);
  DraftStats drafts;
  int n_parked = 0;
  for (uint32_t seed = 1; seed <= 16; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::vector<GenerateRequest> requests;
    for (int i = 0; i < 8; ++i) {
      requests.push_back(random_request(random));
      requests.back().draft.n_max = static_cast<int32_t>(random() % 9);
      if (random() % 2 == 0) requests.back().n_predict = 40 + static_cast<int32_t>(random() % 60);
    }
    const auto expected = run_plain(*roomy, requests);
    CHECK(run(*roomy, requests, &drafts) == expected);
    CHECK(run(*crowded, requests, &drafts, &n_parked) == expected);
  }
  CHECK(n_parked > 0);
  const DraftCounts& counts = drafts[static_cast<size_t>(DraftSource::kMtp)];
  CHECK(counts.n_accepted > 0);
  CHECK(counts.n_accepted < counts.n_drafted);
}

TEST_CASE("replies with a draft model of another vocabulary are those of plain decoding") {
  const auto target = small_model(8), draft = small_model(1, 40);
  const DraftCompatibility fit = draft_compatibility(*target, *draft);
  CHECK(fit.kind == DraftCompatibility::Kind::kSameText);
  CHECK(fit.reason.find("not ") != std::string::npos);
  EngineOptions options;
  options.draft_model = draft;
  const auto plain = Engine::create(target), drafting = Engine::create(target, options);
  DraftStats drafts;
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::vector<GenerateRequest> requests;
    for (int i = 0; i < 6; ++i) requests.push_back(random_request(random));
    CHECK(run(*drafting, requests, &drafts) == run_plain(*plain, requests));
  }
  const DraftCounts& counts = drafts[static_cast<size_t>(DraftSource::kModel)];
  CHECK(counts.n_drafted > 0);
  CHECK(counts.n_accepted < counts.n_drafted);
}

TEST_CASE("replies of requests that lose their pages to others are those of plain decoding") {
  EngineOptions tight;
  tight.kv_bytes = 5 * 64 * small_model(2)->info().kv_bytes_per_token;  // one context and a page
  tight.n_prefill = 16;
  const auto plain = Engine::create(small_model(2)), crowded = Engine::create(small_model(2), tight);
  int n_parked = 0;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::vector<GenerateRequest> requests;
    for (int i = 0; i < 12; ++i) {
      requests.push_back(random_request(random));
      requests.back().n_predict = 60 + static_cast<int32_t>(random() % 60);
    }
    const auto expected = run_plain(*plain, requests);
    std::vector<Recorder> recorders(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) crowded->submit(requests[i], recorders[i].sink());
    for (size_t i = 0; i < requests.size(); ++i) {
      recorders[i].wait();
      CHECK(Outcome{recorders[i].text(), recorders[i].reason, recorders[i].stats.n_decoded,
                    recorders[i].stats.log_probs} == expected[i]);
      n_parked += recorders[i].stats.n_parked;
    }
  }
  CHECK(n_parked > 0);
}

TEST_CASE("sampled replies with drafts have the distribution of the model") {
  // The second token of many replies with different seeds, drafted always, against the probabilities that replies
  // without drafts had: a chi-squared test over its values. Fixed seeds: this passes always or never.
  int n_accepted = 0;
  const auto count = [&](bool is_drafted) {
    DecodeParts parts;
    if (is_drafted) {
      parts.draft = [random = std::mt19937(1)](std::span<const int32_t>) mutable {
        return std::vector<int32_t>{text_token(static_cast<int32_t>(random() % kWords))};
      };
      parts.accepts = [&](int32_t guess, int32_t chosen) {
        n_accepted += guess == chosen ? 1 : 0;
        return guess == chosen;
      };
    }
    const auto engine = create_engine(small_model(1), {}, parts);
    std::map<std::string, int> counts;
    for (uint32_t seed = 0; seed < 1000; ++seed) {
      GenerateRequest request;
      request.tokens = {text_token(2)};  // a single one: it is computed with a draft behind it
      request.n_predict = 2;
      request.sampler.temperature = 1;
      request.sampler.top_k = 8;
      request.sampler.seed = is_drafted ? seed + 100000 : seed;
      request.draft.is_enabled = is_drafted;
      ++counts[run(*engine, {request}).front().text];
    }
    return counts;
  };
  const auto plain = count(false), drafted = count(true);
  double chi_squared = 0;
  int n_values = 0, n_rest_plain = 0, n_rest_drafted = 0;
  for (const auto& [text, n] : plain) {
    const auto it = drafted.find(text);
    const int n_drafted = it == drafted.end() ? 0 : it->second;
    if (n + n_drafted < 20) {
      n_rest_plain += n;
      n_rest_drafted += n_drafted;
      continue;
    }
    ++n_values;
    chi_squared += static_cast<double>((n - n_drafted) * (n - n_drafted)) / (n + n_drafted);
  }
  if (n_rest_plain + n_rest_drafted > 0)
    chi_squared += static_cast<double>((n_rest_plain - n_rest_drafted) * (n_rest_plain - n_rest_drafted)) /
                   (n_rest_plain + n_rest_drafted);
  CAPTURE(chi_squared);
  CAPTURE(n_values);
  CHECK(n_values > 8);
  CHECK(n_accepted > 10);
  // Mean n, variance 2n: four standard deviations.
  CHECK(chi_squared < n_values + 4 * std::sqrt(2.0 * n_values));
}

TEST_CASE("a reply keeps to its JSON schema, with and without drafts, and ends where it is complete") {
  const auto engine = Engine::create(small_model(1));
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    GenerateRequest request;
    request.tokens = {1, text_token(3)};
    request.n_predict = 200;
    request.sampler.seed = seed;
    request.json_schema =
        R"({"type": "object", "properties": {"kind": {"enum": ["read", "write"]}, "done": {"type": "boolean"}},
            "required": ["kind", "done"], "additionalProperties": false})";
    const Outcome plain = run_plain(*engine, {request}).front();
    DraftStats drafts;
    CHECK(run(*engine, {request}, &drafts).front() == plain);
    if (plain.reason == StopReason::kLength) continue;  // blanks without end are allowed
    CHECK(plain.reason == StopReason::kEndOfText);
    const bool is_read = plain.text.find("\"read\"") != std::string::npos;
    CHECK((is_read || plain.text.find("\"write\"") != std::string::npos));
    CHECK(plain.text.back() == '}');
  }
  GenerateRequest wrong;
  wrong.grammar = "root ::= x";
  CHECK_THROWS_AS(engine->submit(wrong, {}), EngineError);
}

TEST_CASE("a request ends at its deadline with what there is") {
  DecodeParts parts;
  parts.draft = [](std::span<const int32_t>) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // so that no machine is fast enough
    return std::vector<int32_t>{};
  };
  const auto engine = create_engine(small_model(1), {}, parts);
  GenerateRequest request;
  request.tokens = {1, text_token(3)};
  request.n_predict = 100000;
  request.grammar = "root ::= \"ba\"+ \"!\"{200}";
  request.deadline_ms = 30;
  const Outcome outcome = run(*engine, {request}).front();
  CHECK(outcome.reason == StopReason::kDeadline);
  CHECK(outcome.n_decoded <= 7);
}
