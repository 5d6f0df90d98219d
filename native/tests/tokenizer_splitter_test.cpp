// Where each family cuts text. Against llama.cpp they are compared through tokens: vectors/pre-tokenizers.json, and
// scripts/model-tests. Here: what the splitters promise about single places.
#include "tokenizer/splitter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tests/support/bpe_vocabulary.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

std::vector<uint32_t> split(const Splitter& splitter, std::string_view text) {
  ClassifiedText classified;
  classified.assign(text);
  std::vector<uint32_t> ends;
  splitter.split(classified, ends);
  return ends;
}

std::vector<std::string> pieces(const char* name, std::string_view text) {
  std::vector<std::string> out;
  size_t begin = 0;
  for (const uint32_t end : split(*find_pre_tokenizer(name)->splitter, text)) {
    out.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return out;
}

using Pieces = std::vector<std::string>;

/// Characters of every class and of the sets that expressions name, with more of those that matter together.
std::string random_text(std::mt19937& random) {
  static const std::string kParts[] = {"a",        "B",        "z",
                                       "Q",        "é",        "É",
                                       "ж",        "'",        "'s",
                                       "'S",       "'re",      "'LL",
                                       "1",        "2",        "34",
                                       "567",      "\u0663",   "²",
                                       " ",        " ",        "  ",
                                       "\n",       "\n",       "\r\n",
                                       "\t",       "\u00A0",   "\u3000",
                                       "\u0085",   "\u2028",   "(",
                                       ")",        "/",        "_",
                                       "-",        "$",        "=",
                                       "`",        "|",        "\u0301",
                                       "\u0300",   "漢",       "字",
                                       "ん",       "ー",       "한",
                                       "ㄅ",       "。",       "，",
                                       "！",       "…",        "👩",
                                       "\u200B",   "\u0378",   "\uE000",
                                       "\x01",     "x",        "Foo",
                                       "BAR",      "ก",        "न",
                                       "ि",        "ǅ",        "ʰ",
                                       "\x80",     "\xF0\x9F", "Z",
                                       "\xE4\xB8", "IMGIMGA",  "<sentinel:1>",
                                       "\uFF0E"};
  std::string text;
  for (size_t n = 1 + random() % 24; n > 0; --n) text += kParts[random() % std::size(kParts)];
  return text;
}

}  // namespace

TEST_CASE("pieces of some families, as their expressions are read") {
  CHECK(pieces("gpt-2", "I've 12 apples,  don't\n") ==
        Pieces{"I", "'ve", " 12", " apples", ",", " ", " don", "'t", "\n"});
  CHECK(pieces("gpt-2", "x  \n  y") == Pieces{"x", "  \n ", " y"});
  CHECK(pieces("starcoder", "a12 3") == Pieces{"a", "1", "2", " ", "3"});
  CHECK(pieces("llama-bpe", "I'VE 12345(foo)\n\n  bar ") ==
        Pieces{"I", "'VE", " ", "123", "45", "(foo", ")\n\n", " ", " bar", " "});
  CHECK(pieces("qwen2", "a12") == Pieces{"a", "1", "2"});
  CHECK(pieces("qwen35", "e\u0301x") == Pieces{"e\u0301x"});
  CHECK(pieces("qwen2", "e\u0301x") == Pieces{"e", "\u0301x"});
  CHECK(pieces("tekken", "HelloWorldABCdef") == Pieces{"Hello", "World", "ABCdef"});
  CHECK(pieces("gpt-4o", "it's /* */\n") == Pieces{"it's", " /*", " */\n"});
  CHECK(pieces("deepseek-v3", "x=foo 1234 漢字") == Pieces{"x", "=foo", " ", "123", "4", " ", "漢字"});
  CHECK(pieces("deepseek-coder", "a\n\n(b) 12") == Pieces{"a", "\n", "\n", "(", "b", ")", " ", "1", "2"});
  CHECK(pieces("superbpe", "for i in 1234567:\n  x") == Pieces{"for i in ", "1", "234", "567", ":\n  x"});
  CHECK(pieces("gemma4", "a b\n\nc") == Pieces{"a b", "\n\n", "c"});
}

TEST_CASE("every splitter covers the text, in order") {
  std::mt19937 random(5);
  for (const std::string_view name : pre_tokenizer_names()) {
    CAPTURE(name);
    for (int round = 0; round < 200; ++round) {
      const std::string text = random_text(random);
      CAPTURE(text);
      const auto ends = split(*find_pre_tokenizer(name)->splitter, text);
      CHECK(std::adjacent_find(ends.begin(), ends.end(), std::greater_equal<>()) == ends.end());
      CHECK(ends.back() == text.size());
      CHECK(ends.front() > 0);
    }
  }
}

TEST_CASE("where text is always cut, either side is split as it would be alone; where never, it is not cut") {
  std::mt19937 random(6);
  for (const std::string_view name : pre_tokenizer_names()) {
    CAPTURE(name);
    const Splitter& splitter = *find_pre_tokenizer(name)->splitter;
    int n_cuts = 0;
    for (int round = 0; round < 1500; ++round) {
      const std::string text = random_text(random);
      CAPTURE(text);
      const auto whole = split(splitter, text);
      for (size_t at = 1; at < text.size(); ++at) {
        if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;
        const Neighbours neighbours = neighbours_at(text, at);
        const bool is_cut = std::find(whole.begin(), whole.end(), at) != whole.end();
        if (splitter.never_cuts(neighbours)) CHECK_FALSE(is_cut);
        if (!splitter.always_cuts(neighbours)) continue;
        CAPTURE(at);
        ++n_cuts;
        auto both = split(splitter, std::string_view(text).substr(0, at));
        for (const uint32_t end : split(splitter, std::string_view(text).substr(at))) {
          both.push_back(static_cast<uint32_t>(at + end));
        }
        CHECK(both == whole);
      }
    }
    CHECK(n_cuts > 500);
  }
}

TEST_CASE("a pre-tokenizer that is not known is refused with its name and those that are") {
  BpeVocabulary vocabulary;
  vocabulary.pre = "newest-model";
  const std::string message = message_of([&] { make_tokenizer(vocabulary); });
  CHECK(message.find("\"newest-model\"") != std::string::npos);
  CHECK(message.find("qwen2") != std::string::npos);
  CHECK(error_of([&] { make_tokenizer(vocabulary); }) == ErrorCode::kModelUnsupported);
}

TEST_CASE("long runs of anything are split in one pass") {
  for (const std::string_view name : pre_tokenizer_names()) {
    const Splitter& splitter = *find_pre_tokenizer(name)->splitter;
    for (const std::string part : {"a", " ", "\n", "1", "(", "漢", "\xFF", "é", "\u0301", "\u00A0", " \n", "'", "aA"}) {
      std::string text;
      while (text.size() < 200'000) text += part;
      CHECK(split(splitter, text).back() == text.size());
    }
  }
}
