// The decode engine: who runs when, what cancelling and errors do, and that requests do not change each other's
// results. Order is made certain by holding the decode thread inside a callback, never by waiting for time to pass.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>

#include "runtime/decode_engine.h"
#include "tests/support/recorder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

std::shared_ptr<Model> load(const TinyLlama& tiny) {
  const TempDir dir;
  LoadOptions options;
  options.n_threads = 1;
  return Model::load(dir.write("tiny.gguf", tiny.bytes()), options);
}

std::shared_ptr<Model> random_model() {
  static const std::shared_ptr<Model> model = [] {
    TinyLlama tiny;
    tiny.pieces = word_pieces();
    return load(with_random_weights(tiny));
  }();
  return model;
}

/// Says "again" for ever after "again".
std::shared_ptr<Model> endless_model() {
  static const std::shared_ptr<Model> model = load(scripted_llama({"again"}, {{text_token(0), text_token(0)}}));
  return model;
}

std::vector<int32_t> random_prompt(int32_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int32_t& token : tokens) token = text_token(static_cast<int32_t>(random() % 128));
  tokens[0] = 1;
  return tokens;
}

GenerateRequest random_request(int32_t n_prompt, uint32_t seed, int32_t n_predict = 24) {
  GenerateRequest request;
  request.tokens = random_prompt(n_prompt, seed);
  request.n_predict = n_predict;
  request.sampler.temperature = 1.0f;
  request.sampler.seed = seed;
  return request;
}

GenerateRequest endless_request(int32_t n_prompt = 2) {
  GenerateRequest request;
  request.tokens.assign(static_cast<size_t>(n_prompt), text_token(0));
  request.n_predict = 100000;
  request.sampler.temperature = 0;
  return request;
}

EngineOptions small_slices() {
  EngineOptions options;
  options.n_prefill = 8;
  return options;
}

/// A request by itself on an engine of its own.
void run_alone(const std::shared_ptr<Model>& model, const GenerateRequest& request, Recorder& recorder) {
  const auto engine = Engine::create(model, small_slices());
  engine->submit(request, recorder.sink());
  recorder.wait();
}

}  // namespace

TEST_CASE("the prompt is computed in slices, and progress is reported after each") {
  Recorder recorder;
  run_alone(random_model(), random_request(20, 1), recorder);
  CHECK(recorder.prefill == std::vector<std::pair<int32_t, int32_t>>{{8, 20}, {16, 20}, {20, 20}});
  CHECK(recorder.stats.n_prompt == 20);
  CHECK(recorder.stats.n_decoded > 0);
  CHECK(recorder.n_decoded.back() == recorder.stats.n_decoded);
}

TEST_CASE("the same seed gives the same text, another seed another") {
  GenerateRequest request = random_request(20, 1);
  Recorder first, second, other;
  run_alone(random_model(), request, first);
  run_alone(random_model(), request, second);
  request.sampler.seed = 99;
  run_alone(random_model(), request, other);
  CHECK(first.text() == second.text());
  CHECK(first.text() != other.text());
}

TEST_CASE("a reply says how likely each of its tokens was, if it is asked") {
  GenerateRequest request = random_request(20, 1);
  request.sampler.temperature = 0;
  Recorder silent, asked;
  run_alone(random_model(), request, silent);
  CHECK(silent.stats.log_probs.empty());
  request.log_probs = true;
  run_alone(random_model(), request, asked);
  CHECK(asked.text() == silent.text());
  REQUIRE(asked.stats.log_probs.size() == static_cast<size_t>(asked.stats.n_decoded));

  // The likeliest token every time, from logits that nothing else of the engine has seen.
  std::vector<int32_t> history = request.tokens;
  for (const float log_prob : asked.stats.log_probs) {
    const auto logits = evaluate_logits(*random_model(), history, 1, 64);
    const auto best = std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - *best);
    CHECK(log_prob == doctest::Approx(-std::log(sum)).epsilon(1e-6));
    history.push_back(static_cast<int32_t>(best - logits.begin()));
  }
}

TEST_CASE("a request's reply is the same alone and among others") {
  constexpr size_t kRequests = 4;
  std::vector<GenerateRequest> requests;
  for (uint32_t i = 0; i < kRequests; ++i) {
    requests.push_back(random_request(static_cast<int32_t>(10 + 37 * i), i + 1));
    requests.back().priority = i == 3 ? Priority::kInline : Priority::kChat;
  }
  requests[2].sampler.repeat_penalty = 1.3f;
  Recorder alone[kRequests], together[kRequests];
  for (size_t i = 0; i < kRequests; ++i) run_alone(random_model(), requests[i], alone[i]);

  std::vector<size_t> order;  // of slices
  Turnstile turnstile;
  {
    const auto engine = Engine::create(random_model(), small_slices());
    together[0].on_prefill = [&](int32_t n_done) {
      if (n_done == 8) turnstile.pass();
      order.push_back(0);
    };
    for (size_t i = 1; i < kRequests; ++i) together[i].on_prefill = [&, i](int32_t) { order.push_back(i); };
    for (size_t i = 0; i < kRequests; ++i) engine->submit(requests[i], together[i].sink());
    turnstile.open();
    for (Recorder& recorder : together) recorder.wait();
  }
  for (size_t i = 0; i < kRequests; ++i) {
    CAPTURE(i);
    CHECK(together[i].text() == alone[i].text());
    CHECK(together[i].reason == alone[i].reason);
    CHECK(together[i].stats.n_decoded == alone[i].stats.n_decoded);
    CHECK(together[i].n_done_calls == 1);
    CHECK(together[i].n_late_calls == 0);
  }
  // They did take turns: requests 1 and 2 have several slices each, and neither ran all of its own in a row.
  const auto first_2 = std::find(order.begin(), order.end(), 2u);
  CHECK(std::find(first_2, order.end(), 1u) != order.end());
  CHECK(std::find(order.begin(), first_2, 1u) != first_2);
}

TEST_CASE("an inline request passes a long prefill of a chat") {
  std::vector<std::string> events;
  Recorder chat, inline_;
  Turnstile turnstile;
  chat.on_prefill = [&](int32_t n_done) {
    if (n_done == 8) turnstile.pass();
    events.push_back("chat");
  };
  inline_.on_prefill = [&](int32_t) { events.push_back("inline"); };
  inline_.on_done = [&] { events.push_back("inline done"); };
  GenerateRequest request = random_request(12, 2, 3);
  request.priority = Priority::kInline;
  {
    const auto engine = Engine::create(random_model(), small_slices());
    engine->submit(random_request(100, 1, 1), chat.sink());
    turnstile.wait_for_arrival();
    engine->submit(request, inline_.sink());
    turnstile.open();
    inline_.wait();
    chat.wait();
  }
  REQUIRE(events.size() == 1 + 2 + 1 + 12);  // 100 tokens are 13 slices, of which one came first
  CHECK(std::vector<std::string>(events.begin(), events.begin() + 5) ==
        std::vector<std::string>{"chat", "inline", "inline", "inline done", "chat"});
}

TEST_CASE("classes run in the order inline, chat, agent, background") {
  std::vector<int> order;
  Recorder first, recorders[4];
  Turnstile turnstile;
  first.on_prefill = [&](int32_t) { turnstile.pass(); };
  const auto engine = Engine::create(random_model(), small_slices());
  engine->submit(random_request(4, 1, 1), first.sink());
  turnstile.wait_for_arrival();
  for (const int i : {3, 1, 2, 0}) {
    GenerateRequest request = random_request(4, 1, 1);
    request.priority = static_cast<Priority>(i);
    recorders[i].on_done = [&order, i] { order.push_back(i); };
    engine->submit(request, recorders[i].sink());
  }
  turnstile.open();
  recorders[3].wait();
  CHECK(order == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("a request cancelled before its first step reports nothing but its end") {
  Recorder first, cancelled;
  Turnstile turnstile;
  first.on_prefill = [&](int32_t) { turnstile.pass(); };
  {
    const auto engine = Engine::create(random_model(), small_slices());
    engine->submit(random_request(4, 1, 2), first.sink());
    turnstile.wait_for_arrival();
    const uint64_t id = engine->submit(random_request(40, 2), cancelled.sink());
    CHECK(engine->stats().n_active == 2);
    engine->cancel(id);
    engine->cancel(id);
    turnstile.open();
    cancelled.wait();
    first.wait();
  }
  CHECK(cancelled.reason == StopReason::kCancelled);
  CHECK(cancelled.n_done_calls == 1);
  CHECK(cancelled.prefill.empty());
  CHECK(cancelled.pieces.empty());
  CHECK(cancelled.stats.n_prompt == 40);
  CHECK(cancelled.stats.n_decoded == 0);
  CHECK_FALSE(cancelled.error.has_value());
  CHECK(first.reason != StopReason::kCancelled);
}

TEST_CASE("a request cancelled during its prefill stops at the end of the slice") {
  Recorder recorder;
  Turnstile turnstile;
  recorder.on_prefill = [&](int32_t n_done) {
    if (n_done == 16) turnstile.pass();
  };
  {
    const auto engine = Engine::create(random_model(), small_slices());
    const uint64_t id = engine->submit(random_request(400, 1), recorder.sink());
    turnstile.wait_for_arrival();
    engine->cancel(id);
    turnstile.open();
    recorder.wait();
  }
  CHECK(recorder.reason == StopReason::kCancelled);
  CHECK(recorder.n_done_calls == 1);
  CHECK(recorder.prefill.size() == 2);
  CHECK(recorder.pieces.empty());
}

TEST_CASE("a pass that nobody waits for any more is given up") {
  Recorder recorder;
  Turnstile turnstile;
  recorder.on_prefill = [&](int32_t) { turnstile.pass(); };  // until the id is known
  std::unique_ptr<Engine> engine;
  uint64_t id = 0;
  DecodeParts parts;
  // Called for a pass that was planned and has not begun: the one that ends the prompt.
  parts.draft = [&](auto) {
    engine->cancel(id);
    return std::vector<int32_t>();
  };
  engine = create_engine(random_model(), small_slices(), parts);
  id = engine->submit(random_request(40, 1), recorder.sink());
  turnstile.open();
  recorder.wait();
  CHECK(recorder.reason == StopReason::kCancelled);
  CHECK(recorder.prefill.back() == std::pair(32, 40));
  CHECK_FALSE(recorder.error.has_value());

  // What was computed before it is used by the next one, and changes nothing.
  Recorder next, alone;
  engine->submit(random_request(40, 1), next.sink());
  next.wait();
  run_alone(random_model(), random_request(40, 1), alone);
  CHECK(next.stats.n_reused == 32);
  CHECK(next.text() == alone.text());
}

TEST_CASE("an inline completion does not wait for the rest of a slice, which is then computed to the same bits") {
  for (const KvPreset kv : {KvPreset::kExact, KvPreset::kCompact}) {
    CAPTURE(kv);
    EngineOptions options;
    options.n_prefill = 80;
    options.slice_ms = 0;
    options.kv = kv;
    GenerateRequest overtaking = random_request(20, 2, 4);
    overtaking.priority = Priority::kInline;
    Recorder prompt, inline_request, alone;
    size_t n_slices_before = 0;
    inline_request.on_done = [&] { n_slices_before = prompt.prefill.size(); };
    std::unique_ptr<Engine> engine;
    Turnstile turnstile;
    int n_layers = 0;
    DecodeParts parts;
    parts.before_layer = [&] {
      // In the last layer of the fourth of five slices, when pages of the first are packed: time for it to be set.
      if (++n_layers == 1) turnstile.pass();
      if (n_layers == 4 * 3) engine->submit(overtaking, inline_request.sink());
    };
    engine = create_engine(random_model(), options, parts);
    engine->submit(random_request(400, 1), prompt.sink());
    turnstile.open();
    prompt.wait();
    inline_request.wait();
    CHECK(n_slices_before == 3);
    CHECK(prompt.prefill.size() == 5);

    const auto other = Engine::create(random_model(), options);
    other->submit(random_request(400, 1), alone.sink());
    alone.wait();
    CHECK(prompt.text() == alone.text());
    CHECK(prompt.stats.n_decoded == 24);
  }
}

TEST_CASE("drafts of a pass that is overtaken count once") {
  GenerateRequest request;
  request.tokens.assign(2, text_token(0));
  request.n_predict = 40;
  request.sampler.temperature = 0;
  GenerateRequest overtaking = endless_request(20);
  overtaking.n_predict = 4;
  overtaking.priority = Priority::kInline;
  EngineOptions options;
  options.pass_ms.assign(64, 1000);  // so that drafts are taken to pay
  Recorder alone, overtaken, inline_request;
  run_alone(endless_model(), request, alone);
  std::unique_ptr<Engine> engine;
  bool is_sent = false;
  DecodeParts parts;
  parts.before_layer = [&] {
    if (overtaken.n_decoded.empty() || is_sent) return;  // the next pass checks a draft
    is_sent = true;
    engine->submit(overtaking, inline_request.sink());
  };
  engine = create_engine(endless_model(), options, parts);
  engine->submit(request, overtaken.sink());
  overtaken.wait();
  inline_request.wait();
  CHECK(overtaken.text() == alone.text());
  int64_t n_drafted = 0, n_accepted = 0;
  for (const DraftCounts& counts : overtaken.stats.drafts) {
    n_drafted += counts.n_drafted;
    n_accepted += counts.n_accepted;
  }
  CHECK(n_accepted > 0);
  CHECK(n_drafted == n_accepted);  // it says the same for ever: every guess is right
}

TEST_CASE("a request cancelled during its reply says no other token") {
  Recorder recorder;
  Turnstile turnstile;
  recorder.on_text = [&](int32_t n_decoded) {
    if (n_decoded == 3) turnstile.pass();
  };
  {
    const auto engine = Engine::create(endless_model());
    const uint64_t id = engine->submit(endless_request(), recorder.sink());
    turnstile.wait_for_arrival();
    engine->cancel(id);
    turnstile.open();
    recorder.wait();
    engine->cancel(id);  // over: ignored
    engine->cancel(12345);
    CHECK(engine->stats().n_active == 0);
  }
  CHECK(recorder.reason == StopReason::kCancelled);
  CHECK(recorder.n_done_calls == 1);
  CHECK(recorder.text() == "againagainagain");
  CHECK(recorder.stats.n_decoded == 3);
}

TEST_CASE("a sink may cancel its own request") {
  Recorder recorder;
  uint64_t id = 0;
  Turnstile turnstile;
  const auto engine = Engine::create(endless_model());
  recorder.on_prefill = [&](int32_t) { turnstile.pass(); };  // until the id is known
  recorder.on_text = [&](int32_t n_decoded) {
    if (n_decoded == 5) engine->cancel(id);
  };
  id = engine->submit(endless_request(), recorder.sink());
  turnstile.open();
  recorder.wait();
  CHECK(recorder.reason == StopReason::kCancelled);
  CHECK(recorder.stats.n_decoded == 5);
}

TEST_CASE("an engine that goes away cancels what runs and what waits, and joins") {
  Recorder running, waiting;
  Turnstile turnstile;
  running.on_text = [&](int32_t n_decoded) {
    if (n_decoded == 2) turnstile.pass();
    // To the end of the context this would take five seconds: time enough for the engine to go away.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  };
  {
    EngineOptions options;  // pages for one of them
    options.kv_bytes = 8 * 64 * endless_model()->info().kv_bytes_per_token;
    const auto engine = Engine::create(endless_model(), options);
    engine->submit(endless_request(), running.sink());
    turnstile.wait_for_arrival();
    engine->submit(endless_request(), waiting.sink());
    turnstile.open();
  }
  for (const Recorder* recorder : {&running, &waiting}) {
    CHECK(recorder->n_done_calls == 1);
    CHECK(recorder->n_late_calls == 0);
    CHECK(recorder->reason == StopReason::kCancelled);
  }
  CHECK(running.stats.n_decoded >= 2);
  CHECK(waiting.pieces.empty());
}

TEST_CASE("an idle engine goes away") {
  const auto engine = Engine::create(random_model());
  CHECK(engine->stats().n_active == 0);
  CHECK(&engine->model() == random_model().get());
}

TEST_CASE("a repeated prompt is found in the cache and gives the same reply") {
  Recorder first, second;
  const auto engine = Engine::create(random_model(), small_slices());
  engine->submit(random_request(100, 1), first.sink());
  first.wait();
  engine->submit(random_request(100, 1), second.sink());
  second.wait();
  CHECK(first.stats.n_reused == 0);
  CHECK(second.stats.n_reused == 99);
  CHECK(second.prefill == std::vector<std::pair<int32_t, int32_t>>{{100, 100}});
  CHECK(second.text() == first.text());
}

TEST_CASE("requests that do not fit together run one after the other, with the same replies") {
  EngineOptions options = small_slices();
  options.n_ctx = 192;
  options.kv_bytes = 3 * 64 * random_model()->info().kv_bytes_per_token;
  Recorder alone[3], together[3];
  for (uint32_t i = 0; i < 3; ++i) run_alone(random_model(), random_request(100, i, 60), alone[i]);
  const auto engine = Engine::create(random_model(), options);
  CHECK(engine->stats().kv_bytes_total == options.kv_bytes);
  for (uint32_t i = 0; i < 3; ++i) engine->submit(random_request(100, i, 60), together[i].sink());
  for (uint32_t i = 0; i < 3; ++i) {
    together[i].wait();
    CHECK(together[i].text() == alone[i].text());
  }
  CHECK(engine->stats().kv_bytes_used <= options.kv_bytes);
}

TEST_CASE("pages are counted while a request runs, from its first text on") {
  for (const uint64_t n_pages : {1, 2}) {
    CAPTURE(n_pages);
    Recorder recorder;
    Turnstile turnstile;
    recorder.on_text = [&](int32_t) { turnstile.pass(); };
    const auto engine = Engine::create(endless_model());
    GenerateRequest request = endless_request(n_pages == 1 ? 20 : 70);  // the first prompt is a single pass
    request.n_predict = 10;
    engine->submit(request, recorder.sink());
    turnstile.wait_for_arrival();
    CHECK(engine->stats().n_active == 1);
    CHECK(engine->stats().kv_bytes_used == n_pages * 64 * endless_model()->info().kv_bytes_per_token);
    turnstile.open();
    recorder.wait();
  }
}

TEST_CASE("a model that computes no numbers ends the request and leaves the engine usable") {
  TinyLlama damaged = scripted_llama({"again"}, {{text_token(0), text_token(0)}});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(damaged.tensor("output_norm.weight").data.bytes.data() + 4 * text_token(0), &nan, sizeof(nan));
  const auto engine = Engine::create(load(damaged));
  for (int i = 0; i < 2; ++i) {
    Recorder recorder;
    engine->submit(endless_request(), recorder.sink());
    recorder.wait();
    CHECK(recorder.reason == StopReason::kError);
    CHECK(recorder.error == ErrorCode::kInternal);
    CHECK(recorder.n_done_calls == 1);
  }
  CHECK(engine->stats().n_active == 0);
}

TEST_CASE("wrong requests are refused at once") {
  EngineOptions options;
  options.n_ctx = 16;
  const auto engine = Engine::create(random_model(), options);
  const auto refused = [&](auto&& change) {
    Recorder recorder;
    GenerateRequest request = random_request(4, 1);
    change(request);
    const auto code = error_of([&] { engine->submit(request, recorder.sink()); });
    CHECK(recorder.n_done_calls == 0);
    CHECK(engine->stats().n_active == 0);
    return code;
  };
  const int32_t n_vocab = random_model()->info().n_vocab;
  CHECK(refused([&](auto& r) { r.tokens[2] = n_vocab; }) == ErrorCode::kInvalidArgument);
  CHECK(refused([](auto& r) { r.tokens[0] = -1; }) == ErrorCode::kInvalidArgument);
  CHECK(refused([](auto& r) { r.n_predict = 0; }) == ErrorCode::kInvalidArgument);
  CHECK(refused([](auto& r) { r.n_predict = -5; }) == ErrorCode::kInvalidArgument);
  CHECK(refused([](auto& r) { r.sampler.temperature = NAN; }) == ErrorCode::kInvalidArgument);
  CHECK(refused([](auto& r) { r.sampler.top_p = 2; }) == ErrorCode::kInvalidArgument);
  CHECK(refused([](auto& r) { r.tokens.resize(16, 1); }) == ErrorCode::kContextFull);
  GenerateRequest wrong = random_request(4, 1);
  wrong.tokens[2] = n_vocab;
  CHECK(message_of([&] { engine->submit(wrong, {}); }) ==
        "Token number 2 is " + std::to_string(n_vocab) + "; expected 0 to " + std::to_string(n_vocab - 1) + ".");

  Recorder longest;  // one position is left for the reply
  GenerateRequest request = random_request(15, 1);
  request.n_predict = std::numeric_limits<int32_t>::max();
  engine->submit(request, longest.sink());
  longest.wait();
  CHECK(longest.reason == StopReason::kContextFull);
}

TEST_CASE("a request without callbacks runs") {
  Recorder after;
  const auto engine = Engine::create(random_model());
  engine->submit(random_request(4, 1, 2), {});
  engine->submit(random_request(4, 2, 2), after.sink());
  after.wait();
  CHECK(after.n_done_calls == 1);
}

TEST_CASE("engines with impossible options are refused") {
  const auto refused = [](auto&& change) {
    EngineOptions options;
    change(options);
    return error_of([&] { Engine::create(random_model(), options); });
  };
  CHECK(refused([](auto& o) { o.n_ctx = -1; }) == ErrorCode::kInvalidArgument);
  CHECK(refused([](auto& o) { o.n_prefill = -1; }) == ErrorCode::kInvalidArgument);
  CHECK(refused([](auto& o) { o.kv_bytes = 1000; }) == ErrorCode::kInvalidArgument);
  CHECK(refused([](auto& o) { o.kv_bytes = std::numeric_limits<uint64_t>::max(); }).has_value());
  CHECK(error_of([] { Engine::create(nullptr); }) == ErrorCode::kInvalidArgument);
}

TEST_CASE("a sink that throws ends its request, and the engine goes on") {
  const auto engine = Engine::create(endless_model());
  Recorder broken_text, after;
  broken_text.on_text = [](int32_t) { throw std::runtime_error("from the test"); };
  engine->submit(endless_request(), broken_text.sink());
  broken_text.wait();
  CHECK(broken_text.reason == StopReason::kError);
  CHECK(broken_text.error == ErrorCode::kInternal);
  CHECK(broken_text.n_done_calls == 1);

  int n_done_calls = 0;
  GenerateRequest request = endless_request();
  request.n_predict = 2;
  GenerateSink sink;
  sink.on_done = [&](StopReason, const GenerateStats&, const EngineError*) {
    ++n_done_calls;
    throw std::runtime_error("from the test");
  };
  engine->submit(request, sink);
  engine->submit(request, after.sink());
  after.wait();
  CHECK(n_done_calls == 1);
  CHECK(after.reason == StopReason::kLength);
}
