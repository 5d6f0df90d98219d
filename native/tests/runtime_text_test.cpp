// What text a request streams: a scripted model says known tokens, so that every piece is known too.
#include <doctest/doctest.h>

#include "runtime/text_stream.h"
#include "tests/support/recorder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// 0 "Hel" 1 "lo" 2 "," 3 " wor" 4 "ld" 5 "!" 6 "start" 7 "euro" 8 "broken" 9 "loop" 10 "half" 11 "\n\n"
const std::vector<std::string> kTexts = {"Hel",   "lo",   ",",      " wor", "ld",   "!",
                                         "start", "euro", "broken", "loop", "half", "\n\n"};
constexpr int32_t kStart = kFirstPiece + 6, kEuro = kFirstPiece + 7, kBroken = kFirstPiece + 8, kLoop = kFirstPiece + 9,
                  kHalf = kFirstPiece + 10;

std::shared_ptr<Model> load_script() {
  const auto t = [](int32_t i) { return text_token(i); };
  const TinyLlama script = scripted_llama(kTexts, {
                                                      {kStart, t(0), t(1), t(2), t(3), t(4), t(5)},
                                                      // U+20AC in three tokens, then the end
                                                      {kEuro, byte_token(0xE2), byte_token(0x82), byte_token(0xAC)},
                                                      // a byte that starts nothing
                                                      {kBroken, byte_token(0xFF), t(11)},
                                                      {kLoop, kLoop},
                                                      // a character that is never finished
                                                      {kHalf, byte_token(0xF0), byte_token(0x9F)},
                                                  });
  const TempDir dir;
  LoadOptions options;
  options.n_threads = 1;
  return Model::load(dir.write("script.gguf", script.bytes()), options);
}

struct Reply {
  std::vector<std::string> pieces;
  std::string text;
  StopReason reason;
  GenerateStats stats;
};

Reply ask(int32_t prompt, std::vector<std::string> stop = {}, int32_t n_predict = 20, int32_t n_ctx = 0) {
  static const auto model = load_script();
  EngineOptions options;
  options.n_ctx = n_ctx;
  GenerateRequest request;
  request.tokens = {1, prompt};
  request.n_predict = n_predict;
  request.sampler.temperature = 0;
  request.stop = std::move(stop);
  Recorder recorder;
  {
    const auto engine = Engine::create(model, options);
    engine->submit(request, recorder.sink());
    recorder.wait();
  }
  CHECK(recorder.n_done_calls == 1);
  CHECK(recorder.n_late_calls == 0);
  return {recorder.pieces, recorder.text(), recorder.reason, recorder.stats};
}

}  // namespace

TEST_CASE("a reply streams token after token until the model ends it") {
  const Reply reply = ask(kStart);
  CHECK(reply.pieces == std::vector<std::string>{"Hel", "lo", ",", " wor", "ld", "!"});
  CHECK(reply.reason == StopReason::kEndOfText);
  CHECK(reply.stats.n_prompt == 2);
  CHECK(reply.stats.n_reused == 0);
  CHECK(reply.stats.n_decoded == 6);
  CHECK(reply.stats.n_ctx == 512);
}

TEST_CASE("a reply ends after n_predict tokens") {
  const Reply reply = ask(kStart, {}, 3);
  CHECK(reply.text == "Hello,");
  CHECK(reply.reason == StopReason::kLength);
  CHECK(reply.stats.n_decoded == 3);
  const Reply whole = ask(kStart, {}, 6);  // the end is not asked for any more
  CHECK(whole.text == "Hello, world!");
  CHECK(whole.reason == StopReason::kLength);
}

TEST_CASE("a reply ends when the context is full") {
  const Reply reply = ask(kLoop, {}, 100, /*n_ctx=*/5);
  // Positions 0 and 1 hold the prompt, 2 to 4 the first tokens of the reply; the fourth needs none.
  CHECK(reply.text == "looplooplooploop");
  CHECK(reply.reason == StopReason::kContextFull);
  CHECK(reply.stats.n_decoded == 4);
  CHECK(reply.stats.n_ctx == 5);
}

TEST_CASE("a stop string ends the reply and is not part of it") {
  const Reply inside = ask(kStart, {"el"});
  CHECK(inside.text == "H");
  CHECK(inside.reason == StopReason::kStopString);
  CHECK(inside.stats.n_decoded == 1);
  CHECK(ask(kStart, {"lo, w"}).text == "Hel");  // over three tokens
  CHECK(ask(kStart, {"Hello"}).text.empty());
  CHECK(ask(kStart, {"world!"}).text == "Hello, ");
  CHECK(ask(kStart, {"orange", "or"}).text == "Hello, w");
  const Reply unused = ask(kStart, {"xyz", ""});
  CHECK(unused.text == "Hello, world!");
  CHECK(unused.reason == StopReason::kEndOfText);
}

TEST_CASE("what may become a stop string is held back and comes when it does not") {
  const Reply reply = ask(kStart, {"lo, wood"});
  CHECK(reply.pieces == std::vector<std::string>{"He", "l", "lo, wor", "ld", "!"});
  CHECK(reply.reason == StopReason::kEndOfText);
  const Reply at_the_end = ask(kStart, {"!!"});
  CHECK(at_the_end.text == "Hello, world!");
  const Reply cut_by_length = ask(kStart, {"lo, world"}, 3);
  CHECK(cut_by_length.text == "Hello,");
  CHECK(cut_by_length.reason == StopReason::kLength);
}

TEST_CASE("a character arrives whole, however its bytes are spread over tokens") {
  const Reply reply = ask(kEuro);
  CHECK(reply.pieces == std::vector<std::string>{"\xE2\x82\xAC"});
  CHECK(reply.stats.n_decoded == 3);
  CHECK(ask(kEuro, {"\xE2\x82\xAC"}).text.empty());
}

TEST_CASE("bytes that are no character arrive as U+FFFD") {
  CHECK(ask(kBroken).text == "\xEF\xBF\xBD\n\n");
  CHECK(ask(kHalf).text == "\xEF\xBF\xBD");
  CHECK(ask(kEuro, {}, 2).text == "\xEF\xBF\xBD");  // cut off by the length
  CHECK(ask(kBroken, {"\n\n"}).text == "\xEF\xBF\xBD");
}

TEST_CASE("an empty prompt starts from BOS") {
  Recorder recorder;
  const auto engine = Engine::create(load_script());
  engine->submit({}, recorder.sink());
  recorder.wait();
  CHECK(recorder.stats.n_prompt == 1);
  CHECK(recorder.reason == StopReason::kEndOfText);  // the script says nothing after <s>
}

TEST_CASE("the text before a stop string does not depend on how it arrives") {
  struct Case {
    std::string text;
    std::vector<std::string> stop;
    std::string expected;
  };
  const Case cases[] = {
      {"one two three", {"two"}, "one "}, {"aaab", {"aab"}, "a"},
      {"abababc", {"ababc"}, "ab"},       {"xabcy", {"b", "abc"}, "xa"},  // whichever is complete first
      {"xabcy", {"abc", "bc"}, "x"},                                      // of two that end together the longer
      {"no stop", {"st!"}, "no stop"},
  };
  for (const auto& [text, stop, expected] : cases) {
    CAPTURE(text);
    for (size_t n = 1; n <= text.size(); ++n) {
      CAPTURE(n);
      TextStream stream(stop);
      std::string out;
      for (size_t at = 0; at < text.size(); at += n) out += stream.push(std::string_view(text).substr(at, n));
      CHECK(out + stream.finish() == expected);
      CHECK(stream.is_stopped() == (expected != text));
    }
  }
}
