// Replies that are chosen among candidates: against a search that computes every way from the beginning each time, with
// all tokens looked at; beside others, without pages for all, and ended early.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <limits>
#include <string>
#include <thread>

#include "core/utf8.h"
#include "runtime/candidate_search.h"
#include "runtime/decode_engine.h"
#include "runtime/loaded_model.h"
#include "tests/support/recorder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

std::shared_ptr<Model> load_bytes(const std::string& bytes) {
  const TempDir dir;
  LoadOptions options;
  options.n_threads = 1;
  return Model::load(dir.write("tiny.gguf", bytes), options);
}

/// Some of its words have line breaks, and it has clear favourites: a long reply can be more probable than a short one.
std::shared_ptr<Model> random_model() {
  static const std::shared_ptr<Model> model = [] {
    TinyLlama tiny;
    tiny.pieces = word_pieces();
    for (const char* text : {"\xE2\x96\x81", "\n", "\n\n", "da\n", "\ndo", ";\n", "b", "bado", "é"})
      tiny.pieces.push_back({text, -1.0f});
    tiny = with_random_weights(tiny);
    tiny.tensor("output.weight").data = random_matrix_of_size(TensorType::kF32, tiny.n_vocab(), tiny.n_embd, 0.5, 7);
    return load_bytes(tiny.bytes());
  }();
  return model;
}

const LoadedModel& loaded(const Model& model) { return dynamic_cast<const LoadedModel&>(model); }

GenerateRequest make_request(const std::string& prompt, int32_t n, std::string followed_by, int32_t n_predict = 8) {
  GenerateRequest request;
  request.tokens = random_model()->tokenize(prompt);
  request.n_predict = n_predict;
  request.sampler.temperature = 0;
  request.stop = {"\n"};
  request.log_probs = true;
  request.candidates = {n, std::move(followed_by)};
  return request;
}

std::vector<double> log_probabilities(const std::vector<int32_t>& history, const std::vector<bool>& is_allowed) {
  const std::vector<float> logits = evaluate_logits(*random_model(), history, 1, 64);
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) sum += is_allowed[i] ? std::exp(double{logits[i]}) : 0;
  std::vector<double> out(logits.size(), -std::numeric_limits<double>::infinity());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (is_allowed[i]) out[i] = logits[i] - std::log(sum);
  }
  return out;
}

struct Mark {
  int n_behind;  ///< bytes of the text behind
  double log_prob;
};

struct Way {
  std::vector<int32_t> said;
  std::string bytes;  ///< with begin_with
  double log_prob = 0;
  std::string reply;  ///< complete: without begin_with
  StopReason reason = StopReason::kLength;
  size_t round = 0;         ///< in which it was complete
  std::vector<Mark> marks;  ///< complete: before and behind each token that is scored
};

struct Searched {
  std::vector<Way> complete;
  size_t best = 0;
  size_t n_rounds = 0;
};

/// Which of the complete ways is left, of those that others or what is known of the best did not end, and behind which
/// round.
/// @param n_rounds in which replies were searched for @param n_at_once tokens that are scored in a round
std::pair<size_t, size_t> winner(const std::vector<Way>& ways, size_t n_rounds, size_t n_at_once) {
  std::vector<bool> is_out(ways.size());
  std::vector<size_t> last(ways.size());  // mark
  for (size_t round = 0;; ++round) {
    std::vector<size_t> here;
    double best = -std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < ways.size(); ++i) {
      if (ways[i].round > round || is_out[i]) continue;
      here.push_back(i);
      const size_t end = ways[i].marks.size() - 1;
      last[i] = ways[i].round == round ? std::min<size_t>(1, end) : std::min(last[i] + n_at_once, end);
      if (last[i] == end) best = std::max(best, ways[i].marks[end].log_prob);
    }
    bool is_over = round + 1 >= n_rounds;
    std::vector<size_t> left;
    for (const size_t i : here) {
      const auto& [n_behind, log_prob] = ways[i].marks[last[i]];
      bool is_late = log_prob <= best;
      for (const size_t other : here) {
        size_t mark = 0;
        while (mark <= last[other] && ways[other].marks[mark].n_behind < n_behind) ++mark;
        is_late = is_late || (n_behind >= 0 && mark <= last[other] &&
                              log_prob < ways[other].marks[mark].log_prob - CandidateSearch::kMarginBehind);
      }
      const bool is_scored = last[i] == ways[i].marks.size() - 1;
      is_out[i] = is_late && !is_scored;
      if (!is_out[i]) left.push_back(i);
      is_over = is_over && (is_scored || is_out[i]);
    }
    if (is_over || (round + 1 >= n_rounds && left.size() == 1)) {
      const auto best_left = std::max_element(left.begin(), left.end(), [&](size_t a, size_t b) {
        return ways[a].marks[last[a]].log_prob < ways[b].marks[last[b]].log_prob;
      });
      return {*best_left, round};
    }
  }
}

/// No cache: first all replies, then each followed by all of the text behind, then which of them is left when.
Searched search(const GenerateRequest& request) {
  const Tokenizer& tokenizer = loaded(*random_model()).tokenizer();
  const Vocabulary& vocab = tokenizer.vocabulary();
  const std::string begin =
      request.begin_with.empty() ? "" : tokenizer.bytes_after(request.tokens.back(), request.begin_with);
  std::string behind;
  const auto behind_tokens = tokenizer.encode_inside(request.candidates.followed_by);
  for (size_t i = 0; i < behind_tokens.size() && i < 24; ++i) behind += tokenizer.bytes(behind_tokens[i]);
  const auto n = static_cast<size_t>(request.candidates.n);
  const auto history_of = [&](const std::vector<int32_t>& said) {
    std::vector<int32_t> history = request.tokens;
    history.insert(history.end(), said.begin(), said.end());
    return history;
  };
  const std::vector<bool> all(static_cast<size_t>(vocab.n_tokens()), true);
  const auto allowed_behind = [&](const std::string& bytes) {
    if (bytes.size() >= begin.size()) return all;
    std::vector<int32_t> allowed;
    loaded(*random_model()).prefix_index().find(std::string_view(begin).substr(bytes.size()), allowed);
    std::vector<bool> is_allowed(all.size(), false);
    for (const int32_t id : allowed) is_allowed[static_cast<size_t>(id)] = true;
    return is_allowed;
  };

  Searched out;
  std::vector<Way> alive{{}};
  size_t n_rounds = 0;
  for (; out.complete.size() < n && !alive.empty(); ++n_rounds) {
    std::vector<Way> next;
    for (const Way& way : alive) {
      const std::vector<bool> is_allowed = allowed_behind(way.bytes);
      const auto log_probs = log_probabilities(history_of(way.said), is_allowed);
      for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
        if (!is_allowed[static_cast<size_t>(id)]) continue;
        Way child = way;
        child.said.push_back(id);
        child.log_prob += log_probs[static_cast<size_t>(id)];
        if (!vocab.is_end(id)) child.bytes += tokenizer.bytes(id);
        next.push_back(std::move(child));
      }
    }
    std::stable_sort(next.begin(), next.end(), [](const Way& a, const Way& b) { return a.log_prob > b.log_prob; });
    alive.clear();
    for (Way& way : next) {
      if (alive.size() + out.complete.size() == n) break;
      const bool is_end = vocab.is_end(way.said.back());
      const size_t stop = way.bytes.size() < begin.size() ? std::string::npos : way.bytes.find('\n', begin.size());
      const bool is_long = static_cast<int32_t>(way.said.size()) == request.n_predict;
      if (!is_end && stop == std::string::npos && !is_long) {
        alive.push_back(std::move(way));
        continue;
      }
      way.reason =
          is_end ? StopReason::kEndOfText : (stop != std::string::npos ? StopReason::kStopString : StopReason::kLength);
      const std::string text = way.bytes.substr(0, stop);
      way.reply = text.substr(std::min(begin.size(), text.size()));
      way.round = n_rounds;
      const bool is_known = std::any_of(out.complete.begin(), out.complete.end(),
                                        [&](const Way& other) { return other.reply == way.reply; });
      if (!is_known) out.complete.push_back(std::move(way));
    }
    double most = -std::numeric_limits<double>::infinity();
    for (const auto* ways : {&alive, &out.complete}) {
      for (const Way& way : *ways) most = std::max(most, way.log_prob);
    }
    std::erase_if(alive, [&](const Way& way) { return way.log_prob < most - CandidateSearch::kMargin; });
  }

  for (Way& way : out.complete) {
    // From before the last token: what it says beyond the reply, the text behind says too.
    std::vector<int32_t> history = request.tokens;
    std::string bytes;
    double score = 0;
    const std::vector<int32_t> before(way.said.begin(), way.said.end() - 1);
    for (const int32_t id : before) {
      score += log_probabilities(history, allowed_behind(bytes))[static_cast<size_t>(id)];
      history.push_back(id);
      bytes += tokenizer.bytes(id);
    }
    const std::string rest = (begin + way.reply).substr(bytes.size());
    way.marks = {{-static_cast<int>(rest.size()), score}};
    if (behind.empty()) way.marks.back().log_prob = way.log_prob;
    for (const int32_t id : behind.empty() ? std::vector<int32_t>{} : tokenizer.encode_inside(rest + behind)) {
      score += log_probabilities(history, all)[static_cast<size_t>(id)];
      history.push_back(id);
      way.marks.push_back({way.marks.back().n_behind + static_cast<int>(tokenizer.bytes(id).size()), score});
    }
  }
  std::tie(out.best, out.n_rounds) = winner(out.complete, n_rounds, 64 / n);
  return out;
}

std::string shown(const std::string& bytes) {
  Utf8Stream utf8;
  const std::string text = utf8.push(bytes);
  return text + utf8.finish();
}

Searched check(const Recorder& recorder, const GenerateRequest& request) {
  const Searched expected = search(request);
  REQUIRE_FALSE(expected.complete.empty());
  const Way& best = expected.complete[expected.best];
  CHECK(recorder.text() == shown(best.reply));
  CHECK(recorder.reason == best.reason);
  CHECK(recorder.n_done_calls == 1);
  CHECK(recorder.n_late_calls == 0);
  return expected;
}

/// The engine says it to whoever asks for less.
uint64_t least_kv_bytes(int32_t n_ctx) {
  EngineOptions options;
  options.n_ctx = n_ctx;
  options.kv_bytes = 1;
  const std::string message = message_of([&] { Engine::create(random_model(), options); });
  return std::stoull(message.substr(message.rfind("takes ") + 6));
}

const std::vector<std::string> kPrompts = {"", "ba de", "go to pe ri", "da do\nba ge", "ri ri", "de\n\npe", "ge do da"};

}  // namespace

TEST_CASE("what is chosen among candidates is what a search without a cache chooses") {
  EngineOptions options;
  options.n_prefill = 8;
  const auto engine = Engine::create(random_model(), options);
  int n_changed = 0, n_stopped = 0, n_longer = 0;
  for (const std::string& prompt : kPrompts) {
    for (const std::string begin : {"", " d", "\n", "b"}) {
      for (const int32_t n : {2, 3, 8}) {
        std::string without;
        for (const std::string behind :
             {"", "\nba de\n", "\n  do;\nré go ba de pe ri to do da ba ge ba ba de de do do ri ri"}) {
          CAPTURE(prompt);
          CAPTURE(begin);
          CAPTURE(n);
          CAPTURE(behind);
          GenerateRequest request = make_request(prompt, n, behind);
          request.begin_with = begin;
          Recorder recorder;
          engine->submit(request, recorder.sink());
          recorder.wait();
          const Searched expected = check(recorder, request);
          CHECK(recorder.pieces.size() <= 1);
          // A reply that is searched for in vain once a better one is known takes rounds above only.
          CHECK(recorder.stats.n_passes <= static_cast<int32_t>(expected.n_rounds));
          if (behind.empty()) without = recorder.text();
          if (recorder.text() != without) ++n_changed;
          if (recorder.reason == StopReason::kStopString) ++n_stopped;
          if (recorder.stats.n_decoded > 2) ++n_longer;
        }
      }
    }
  }
  // Not a test of texts behind that change nothing, of replies that end nowhere, or at once.
  CHECK(n_changed > 10);
  CHECK(n_stopped > 20);
  CHECK(n_longer > 20);
}

TEST_CASE("log-probabilities of a chosen reply are those of its tokens beyond what it begins with") {
  const auto engine = Engine::create(random_model());
  GenerateRequest request = make_request("ba de", 4, "");
  Recorder recorder;
  engine->submit(request, recorder.sink());
  recorder.wait();
  const Searched expected = search(request);
  double sum = 0;
  for (const float log_prob : recorder.stats.log_probs) sum += log_prob;
  CHECK(sum == doctest::Approx(expected.complete[expected.best].log_prob).epsilon(1e-4));
  CHECK(recorder.stats.n_decoded >= static_cast<int32_t>(recorder.stats.log_probs.size()));
}

TEST_CASE("searches side by side, beside a reply, and without pages for all say what each says alone") {
  EngineOptions options;
  options.n_ctx = 128;
  const uint64_t least = least_kv_bytes(options.n_ctx);
  SUBCASE("with room for two") { options.kv_bytes = 3 * least; }
  SUBCASE("with room for all") { options.kv_bytes = 40 * least; }
  const bool is_tight = options.kv_bytes == 3 * least;
  const auto engine = Engine::create(random_model(), options);
  std::vector<GenerateRequest> requests;
  std::vector<std::unique_ptr<Recorder>> recorders;
  for (const std::string& prompt : kPrompts) requests.push_back(make_request(prompt + " ba do de", 3, "\nba de"));
  requests[1].priority = Priority::kInline;
  requests[2].priority = Priority::kBackground;
  GenerateRequest plain = make_request("go go", 1, "", 40);
  plain.stop.clear();
  plain.priority = Priority::kBackground;
  Recorder beside;
  engine->submit(plain, beside.sink());
  for (const GenerateRequest& request : requests) {
    recorders.push_back(std::make_unique<Recorder>());
    engine->submit(request, recorders.back()->sink());
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    recorders[i]->wait();
    CHECK_FALSE(recorders[i]->error.has_value());
    check(*recorders[i], requests[i]);
  }
  beside.wait();
  Recorder alone;
  const auto other = Engine::create(random_model());
  other->submit(plain, alone.sink());
  alone.wait();
  CHECK(beside.text() == alone.text());
  CHECK(engine->stats().n_active == 0);
  int n_parked = beside.stats.n_parked;
  for (const auto& recorder : recorders) n_parked += recorder->stats.n_parked;
  CHECK((n_parked > 0) == is_tight);
}

TEST_CASE("a search that has to give its pages away begins again, whatever it had found") {
  EngineOptions options;
  options.n_ctx = 128;
  options.kv_bytes = 2 * least_kv_bytes(options.n_ctx);
  int n_parked = 0;
  for (int after = 2; after < 10; ++after) {
    CAPTURE(after);
    GenerateRequest urgent = make_request(std::string(60, 'b'), 1, "", 60);
    urgent.stop.clear();
    urgent.priority = Priority::kInline;
    REQUIRE(urgent.tokens.size() > 50);
    Recorder first;
    Engine* engine = nullptr;
    DecodeParts parts;
    parts.before_layer = [&, n_layers = 0]() mutable {
      if (++n_layers == 3 * after) engine->submit(urgent, first.sink());
    };
    const auto owner = create_engine(random_model(), options, parts);
    engine = owner.get();
    const GenerateRequest request = make_request("ba de", 4, "\nba de go to pe ri to do da ba ge ba ba de de do do");
    Recorder recorder;
    engine->submit(request, recorder.sink());
    recorder.wait();
    check(recorder, request);
    n_parked += recorder.stats.n_parked;
    engine->submit(request, {});  // the urgent one may come only now
    first.wait();
  }
  CHECK(n_parked > 0);
}

TEST_CASE("a search that is alone with too few pages does with fewer ways") {
  EngineOptions options;
  options.n_ctx = 128;
  options.kv_bytes = least_kv_bytes(options.n_ctx);
  const auto engine = Engine::create(random_model(), options);
  GenerateRequest request = make_request("ba de go to", 8, "\nba de", 100);
  Recorder recorder;
  engine->submit(request, recorder.sink());
  recorder.wait();
  CHECK(recorder.error == std::nullopt);
  CHECK(recorder.stats.n_decoded > 0);
}

TEST_CASE("a search goes to the end of the context, and not beyond it") {
  EngineOptions options;
  options.n_ctx = 24;
  const auto engine = Engine::create(random_model(), options);
  for (const int32_t n_predict : {4, 12, 100}) {
    GenerateRequest request = make_request("ba de go to pe ri", 3, "\nba de go to pe ri da do ba", n_predict);
    request.stop.clear();
    Recorder recorder;
    engine->submit(request, recorder.sink());
    recorder.wait();
    CHECK(recorder.error == std::nullopt);
    CHECK(static_cast<int32_t>(request.tokens.size()) + recorder.stats.n_decoded <= options.n_ctx + 1);
    CHECK((recorder.reason == StopReason::kContextFull) == (n_predict == 100));
  }
}

TEST_CASE("a search can be cancelled, and leaves nothing behind") {
  const auto engine = Engine::create(random_model());
  GenerateRequest request = make_request("ba de", 8, "\nba de", 200);
  request.stop.clear();
  Recorder recorder;
  std::promise<uint64_t> id;
  recorder.on_prefill = [&, known = id.get_future().share()](int32_t) { engine->cancel(known.get()); };
  id.set_value(engine->submit(request, recorder.sink()));
  recorder.wait();
  CHECK(recorder.reason == StopReason::kCancelled);
  CHECK(engine->stats().n_active == 0);
  Recorder again;
  const GenerateRequest next = make_request("ba de", 4, "\nba de");
  engine->submit(next, again.sink());
  again.wait();
  check(again, next);
}

TEST_CASE("a search past its deadline says the best of what there is") {
  GenerateRequest request = make_request("ba de", 4, "\nba de", 200);
  request.stop.clear();
  request.deadline_ms = 500;
  int n_layers = 0;
  DecodeParts parts;
  parts.before_layer = [&] {  // of the fifth pass
    if (++n_layers == 4 * 3 + 1) std::this_thread::sleep_for(std::chrono::milliseconds(600));
  };
  const auto engine = create_engine(random_model(), {}, parts);
  Recorder recorder;
  engine->submit(request, recorder.sink());
  recorder.wait();
  CHECK(recorder.reason == StopReason::kDeadline);
  CHECK(recorder.stats.n_decoded == 5);
  CHECK(recorder.pieces.size() == 1);
}

TEST_CASE("what is chosen stays in the cache, for whoever goes on behind it") {
  const auto engine = Engine::create(random_model());
  GenerateRequest request = make_request("ba de go to", 4, "\nba de", 16);
  request.stop.clear();
  Recorder first;
  engine->submit(request, first.sink());
  first.wait();
  REQUIRE(first.stats.n_decoded == 16);
  request.tokens = random_model()->tokenize("ba de go to" + first.text());
  Recorder second;
  engine->submit(request, second.sink());
  second.wait();
  CHECK(second.stats.n_reused > static_cast<int32_t>(random_model()->tokenize("ba de go to").size()));
}

TEST_CASE("candidates that cannot be searched for are refused by name") {
  const auto engine = Engine::create(random_model());
  const auto refusal = [&](auto&& change) {
    GenerateRequest request = make_request("ba", 4, "\n");
    change(request);
    return message_of([&] { engine->submit(request, {}); });
  };
  CHECK(refusal([](auto& r) { r.candidates.n = 0; }).find("candidates.n is 0; expected 1 to 8") != std::string::npos);
  CHECK(refusal([](auto& r) { r.candidates.n = 9; }).find("candidates.n is 9") != std::string::npos);
  CHECK(refusal([](auto& r) { r.candidates.n = 1; }).find("for one candidate") != std::string::npos);
  CHECK(refusal([](auto& r) { r.candidates.followed_by.assign(4097, 'a'); }).find("4097 bytes") != std::string::npos);
  CHECK(refusal([](auto& r) { r.candidates.followed_by = "\xff"; }).find("expected UTF-8") != std::string::npos);
  CHECK(refusal([](auto& r) { r.sampler.temperature = 0.5f; }).find("temperature 0") != std::string::npos);
  CHECK(refusal([](auto& r) { r.sampler.repeat_penalty = 1.1f; }).find("repeat_penalty 1") != std::string::npos);
  CHECK(refusal([](auto& r) { r.grammar = "root ::= \"a\""; }).find("grammar") != std::string::npos);
}
