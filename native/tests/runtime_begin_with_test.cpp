// Replies that have to begin with a given text: against a plain simulation that tries every token, and on scripted
// models whose favourite token is known.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <string>

#include "core/utf8.h"
#include "runtime/loaded_model.h"
#include "sampling/sampler.h"
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

std::shared_ptr<Model> random_model() {
  static const std::shared_ptr<Model> model = [] {
    TinyLlama tiny;
    tiny.pieces = word_pieces();
    for (const char* text : {"\xE2\x96\x81", "b", "bado", "dadadi", "é", "éba"}) tiny.pieces.push_back({text, -1.0f});
    return load_bytes(with_random_weights(tiny).bytes());
  }();
  return model;
}

/// 0 "start" 1 "re" 2 "return" 3 " x" 4 "print" 5 "loop" 6 " return" 7 "end" 8 "\n\n"
const std::vector<std::string> kTexts = {"start", "re", "return", " x", "print", "loop", " return", "end", "\n\n"};
constexpr int32_t kStart = kFirstPiece, kReturn = kFirstPiece + 2, kX = kFirstPiece + 3, kPrint = kFirstPiece + 4,
                  kLoop = kFirstPiece + 5, kSpaceReturn = kFirstPiece + 6, kEnd = kFirstPiece + 7,
                  kNewlines = kFirstPiece + 8;

TinyLlama script() {
  return scripted_llama(
      kTexts,
      {{kStart, kReturn, kX}, {1, kSpaceReturn, kX}, {kPrint, kPrint}, {kLoop, kLoop}, {kEnd, 2}, {kNewlines, kEnd}});
}

std::shared_ptr<Model> scripted_model() {
  static const std::shared_ptr<Model> model = load_bytes(script().bytes());
  return model;
}

GenerateRequest make_request(std::vector<int32_t> tokens, std::string begin_with, int32_t n_predict = 20) {
  GenerateRequest request;
  request.tokens = std::move(tokens);
  request.begin_with = std::move(begin_with);
  request.n_predict = n_predict;
  request.sampler.temperature = 0;
  return request;
}

void run(Engine& engine, const GenerateRequest& request, Recorder& recorder) {
  engine.submit(request, recorder.sink());
  recorder.wait();
  CHECK(recorder.n_done_calls == 1);
  CHECK(recorder.n_late_calls == 0);
}

void run_script(const GenerateRequest& request, Recorder& recorder) {
  const auto engine = Engine::create(scripted_model());
  run(*engine, request, recorder);
}

struct Simulated {
  std::string text;  ///< with what it must begin with
  int32_t n_decoded = 0;
};

/// A reply token by token, each from an empty cache, and each allowed token found by looking at all of them. The
/// vocabulary has a byte token for each byte, so that what text is encoded with can always be said.
Simulated simulate(const Model& model, const GenerateRequest& request) {
  const Tokenizer& tokenizer = dynamic_cast<const LoadedModel&>(model).tokenizer();
  const Vocabulary& vocab = tokenizer.vocabulary();
  const int32_t last = request.tokens.back();
  const std::string begin = (last == vocab.bos && !request.begin_with.empty() ? " " : "") + request.begin_with;
  Sampler sampler(request.sampler);
  std::vector<int32_t> history = request.tokens;
  Simulated out;
  while (out.n_decoded < request.n_predict) {
    std::vector<int32_t> allowed;
    for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
      const std::string candidate = out.text + std::string(tokenizer.bytes(id));
      const size_t n = std::min(candidate.size(), begin.size());
      if (candidate.size() == out.text.size() || candidate.substr(0, n) != begin.substr(0, n)) continue;
      const auto is_word = [](unsigned char c) { return std::isalnum(c) || c >= 0x80; };
      const bool is_cut = candidate.size() < begin.size() && is_word(candidate.back()) && is_word(begin[n]);
      if (!is_cut || id == tokenizer.encode_inside(begin.substr(out.text.size())).front()) allowed.push_back(id);
    }
    if (out.text.size() >= begin.size()) allowed.clear();
    const int32_t id = sampler.sample(evaluate_logits(model, history, 1, 64), history, allowed);
    if (vocab.is_end(id)) break;
    history.push_back(id);
    out.text += tokenizer.bytes(id);
    ++out.n_decoded;
  }
  CHECK(out.text.substr(0, begin.size()) == begin.substr(0, out.text.size()));
  out.text.erase(0, begin.size());
  return out;
}

}  // namespace

TEST_CASE("a reply that must begin with a text is what a look at every token gives") {
  EngineOptions options;
  options.n_prefill = 8;
  const auto engine = Engine::create(random_model(), options);
  int n_different = 0;
  for (const std::string& prompt : {std::string(), std::string("ba de"), std::string("go to pe ri")}) {
    for (const std::string begin : {"", "d", " ", " d", "dadad", "ba", "  z", "héb", "\n\tq", "é"}) {
      for (uint64_t seed = 0; seed < 4; ++seed) {
        CAPTURE(prompt);
        CAPTURE(begin);
        CAPTURE(seed);
        GenerateRequest request = make_request(random_model()->tokenize(prompt), begin, 12);
        request.sampler.temperature = seed == 0 ? 0.0f : 1.0f;
        request.sampler.repeat_penalty = seed == 3 ? 1.5f : 1.0f;
        request.sampler.seed = seed;
        Recorder recorder;
        run(*engine, request, recorder);
        const Simulated expected = simulate(*random_model(), request);
        Utf8Stream utf8;
        const std::string text = utf8.push(expected.text);
        CHECK(recorder.text() == text + utf8.finish());
        CHECK(recorder.stats.n_decoded == expected.n_decoded);
        if (seed > 0 && !recorder.text().empty()) ++n_different;
      }
    }
  }
  CHECK(n_different > 50);  // not a test of empty replies
}

TEST_CASE("what the reply begins with is not reported, what a token says beyond it is") {
  Recorder whole, word, exact, beyond;
  run_script(make_request({1, kStart}, ""), whole);
  CHECK(whole.pieces == std::vector<std::string>{"return", " x"});
  run_script(make_request({1, kStart}, "retu"), word);
  CHECK(word.pieces == std::vector<std::string>{"rn", " x"});
  CHECK(word.n_decoded == std::vector<int32_t>{1, 2});
  CHECK(word.stats.n_decoded == 2);
  CHECK(word.reason == StopReason::kEndOfText);
  run_script(make_request({1, kStart}, "return"), exact);
  CHECK(exact.pieces == std::vector<std::string>{" x"});
  run_script(make_request({1, kStart}, "return "), beyond);
  CHECK(beyond.pieces == std::vector<std::string>{"x"});
  CHECK(beyond.stats.n_decoded == 2);
}

TEST_CASE("other text than the model's favourite is said byte by byte if need be, and the end waits for it") {
  Recorder other, after_end;
  run_script(make_request({1, kPrint}, "zy"), other);  // the model wants "print" for ever
  CHECK(other.reason == StopReason::kEndOfText);       // after the byte "y" it has nothing to say
  CHECK(other.text().empty());
  CHECK(other.stats.n_decoded == 2);
  run_script(make_request({1, kEnd}, "loo"), after_end);  // it wants the end: "loop" is a token, "l" a byte with a
  CHECK(after_end.stats.n_decoded == 3);                  // lower id, and nothing else tells them apart
  CHECK(after_end.text().empty());
  CHECK(after_end.reason == StopReason::kEndOfText);
}

TEST_CASE("at the start of the prompt the word has its space, as in training") {
  Recorder empty, bos, with_space;
  run_script(make_request({}, "retu"), empty);
  CHECK(empty.text() == "rn x");
  run_script(make_request({1}, "retu"), bos);
  CHECK(bos.text() == "rn x");
  run_script(make_request({1}, " retu"), with_space);  // two spaces: the second token is then not " return"
  CHECK(with_space.text().empty());
}

TEST_CASE("stop strings are looked for after what the reply begins with") {
  GenerateRequest request = make_request({1, kStart}, "\n\n");
  request.stop = {"\n\n", "nd"};
  Recorder inside, across, behind;
  run_script(request, inside);
  CHECK(inside.reason == StopReason::kEndOfText);  // two byte tokens, after which the script has nothing
  CHECK(inside.stats.n_decoded == 2);
  request = make_request({1, kStart}, "retu");
  request.stop = {"urn"};
  run_script(request, across);
  CHECK(across.text() == "rn x");
  request.stop = {"rn"};
  run_script(request, behind);
  CHECK(behind.text().empty());
  CHECK(behind.reason == StopReason::kStopString);
}

TEST_CASE("tokens of what the reply begins with count") {
  Recorder cut, full;
  run_script(make_request({1, kPrint}, "zyx", 2), cut);
  CHECK(cut.reason == StopReason::kLength);
  CHECK(cut.stats.n_decoded == 2);
  CHECK(cut.text().empty());
  CHECK(cut.stats.ttft_ms == 0);  // nothing came that a user could see
  EngineOptions options;
  options.n_ctx = 4;
  const auto engine = Engine::create(scripted_model(), options);
  run(*engine, make_request({1, kPrint}, "zyxw"), full);
  CHECK(full.reason == StopReason::kContextFull);
  CHECK(full.stats.n_decoded == 3);
  Recorder seen;
  run_script(make_request({1, kStart}, "return"), seen);
  CHECK(seen.stats.ttft_ms > 0);
}

TEST_CASE("the prompt is found in the cache however much of the word is typed") {
  const auto engine = Engine::create(random_model());
  std::vector<int32_t> tokens(100, text_token(5));
  Recorder first, second, alone;
  run(*engine, make_request(tokens, "d"), first);
  run(*engine, make_request(tokens, "dad"), second);
  CHECK(second.stats.n_prompt == 100);
  CHECK(second.stats.n_reused == 99);
  const auto other = Engine::create(random_model());
  run(*other, make_request(tokens, "dad"), alone);
  CHECK(second.text() == alone.text());
}

TEST_CASE("a request may be cancelled before it has begun as it must") {
  Recorder recorder;
  Turnstile turnstile;
  recorder.on_prefill = [&](int32_t) { turnstile.pass(); };
  const auto engine = Engine::create(scripted_model());
  const uint64_t id = engine->submit(make_request({1, kPrint}, "zyx"), recorder.sink());
  turnstile.wait_for_arrival();
  engine->cancel(id);
  turnstile.open();
  recorder.wait();
  CHECK(recorder.reason == StopReason::kCancelled);
  CHECK(recorder.stats.n_decoded == 0);
}

TEST_CASE("a text to begin with that is too long or no UTF-8 is refused") {
  const auto engine = Engine::create(scripted_model());
  const auto refused = [&](const std::string& text) {
    Recorder recorder;
    const auto code = error_of([&] { engine->submit(make_request({1}, text), recorder.sink()); });
    if (!code.has_value()) recorder.wait();
    return code;
  };
  CHECK(refused(std::string(257, 'a')) == ErrorCode::kInvalidArgument);
  CHECK_FALSE(refused(std::string(256, 'a')).has_value());
  CHECK(refused("a\xC3") == ErrorCode::kInvalidArgument);
  CHECK(refused("\xFF") == ErrorCode::kInvalidArgument);
  CHECK_FALSE(refused(std::string("a\0b", 3)).has_value());
  CHECK(message_of([&] { engine->submit(make_request({1}, "a\xC3"), {}); }) ==
        "begin_with is \"a\\xc3\"; expected UTF-8.");
  CHECK(message_of([&] { engine->submit(make_request({1}, std::string(300, 'a')), {}); }) ==
        "begin_with has 300 bytes; at most 256.");
}

TEST_CASE("a vocabulary that cannot spell the text ends the request, and the engine goes on") {
  std::string bytes = script().bytes();
  const size_t at = bytes.find("<0x7A>");  // z: renamed, it is no byte token any more
  REQUIRE(at != std::string::npos);
  bytes.replace(at, 6, "<0x7_>");
  const auto engine = Engine::create(load_bytes(bytes));
  Recorder failed, after;
  run(*engine, make_request({1, kStart}, "rez"), failed);
  CHECK(failed.reason == StopReason::kError);
  CHECK(failed.error == ErrorCode::kInvalidArgument);
  CHECK(failed.stats.n_decoded >= 1);
  run(*engine, make_request({1, kStart}, "re"), after);
  CHECK(after.text() == "turn x");
}
