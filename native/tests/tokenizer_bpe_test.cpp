#include "tokenizer/bpe_tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

#include "core/utf8.h"
#include "tests/support/bpe_vocabulary.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

using Merges = std::vector<std::pair<std::string, std::string>>;

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text, bool parse_special = false) {
  return tokenizer.encode(text, {.add_bos = false, .parse_special = parse_special});
}

/// The definition: join the pair of the best rank, the leftmost of equals, until there is none.
std::vector<std::string> naive_merge(const Merges& merges, const std::string& word) {
  std::vector<std::string> symbols;
  for (const char c : word) symbols.emplace_back(1, c);
  for (;;) {
    size_t best = symbols.size(), best_rank = merges.size();
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto it = std::find(merges.begin(), merges.end(), std::pair(symbols[i], symbols[i + 1]));
      const auto rank = static_cast<size_t>(it - merges.begin());
      if (rank < best_rank) best = i, best_rank = rank;
    }
    if (best == symbols.size()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

/// Merges of parts that earlier merges made, in random order, so that ranks rise and fall within a token.
Merges random_merges(std::mt19937& random, size_t n) {
  std::vector<std::string> parts = {"a", "b", "c", "d"};
  Merges merges;
  for (size_t i = 0; i < n; ++i) {
    const std::string left = parts[random() % parts.size()], right = parts[random() % parts.size()];
    if (left.size() + right.size() > 12) continue;
    merges.emplace_back(left, right);
    parts.push_back(left + right);
  }
  std::shuffle(merges.begin(), merges.end(), random);
  return merges;
}

}  // namespace

TEST_CASE("pairs merge by rank, the leftmost first; words of every length as the definition has it") {
  std::mt19937 random(11);
  for (int round = 0; round < 120; ++round) {
    const Merges merges = random_merges(random, 40);
    // Splitters with long pieces search where the others merge.
    const auto tokenizer = make_tokenizer({.pre = round % 2 == 0 ? "gpt-2" : "superbpe", .merges = merges});
    for (const size_t n : {1u, 2u, 7u, 23u, 24u, 25u, 26u, 39u, 40u, 41u, 42u, 90u, 300u}) {
      std::string word;
      for (size_t i = 0; i < n; ++i) word += static_cast<char>('a' + random() % 4);
      CAPTURE(word);
      std::vector<int32_t> expected;
      for (const std::string& part : naive_merge(merges, word)) {
        expected.push_back(tokenizer->vocabulary().find(spell_bytes(part)));
      }
      CHECK(encode(*tokenizer, word) == expected);
    }
  }
}

TEST_CASE("what merges make but no token is becomes its bytes") {
  const auto tokenizer = make_tokenizer({.merges = {{"a", "b"}, {"ab", "c"}}, .has_merged_tokens = false});
  CHECK(encode(*tokenizer, "abcab") == std::vector<int32_t>{'a', 'b', 'c', 'a', 'b'});
}

TEST_CASE("merges name unknown tokens, themselves, the same again, or nothing: tolerated") {
  GgufWriter writer;
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.push_back(spell_bytes(std::string(1, static_cast<char>(byte))));
  for (const std::string text : {"ab", "ab", "", "aab"}) texts.push_back(text);
  const std::vector<std::string> merges = {"x y", "a b", "a b",  "ab a", "",      " ",     "  ",     "a",
                                           "a ",  "  b", "a aa", "aa a", "q q q", "a b c", "aab aab"};
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "gpt-2");
  writer.add_strings("tokenizer.ggml.tokens", texts);
  writer.add_strings("tokenizer.ggml.merges", merges);
  const auto tokenizer = make_tokenizer(writer);
  CHECK(encode(*tokenizer, "ab") == std::vector<int32_t>{257});  // of two tokens with one text the last
  CHECK(decode(*tokenizer, encode(*tokenizer, "xyabaaab qqq")) == "xyabaaab qqq");
  CHECK(tokenizer->vocabulary().text(258) == "[EMPTY_258]");
}

TEST_CASE("a family that ignores merges takes a piece that is a token whole") {
  BpeVocabulary vocabulary = {.merges = {{"a", "b"}, {"c", "d"}, {"b", "c"}}, .others = {{"abcd", 0}}};
  const auto merged = make_tokenizer(vocabulary);
  CHECK(decode(*merged, encode(*merged, "abcd")) == "abcd");
  CHECK(encode(*merged, "abcd").size() == 2);
  vocabulary.pre = "llama-bpe";
  const auto whole = make_tokenizer(vocabulary);
  CHECK(encode(*whole, "abcd") == std::vector<int32_t>{whole->vocabulary().find("abcd")});
  CHECK(encode(*whole, "abcdx").size() == 3);
}

TEST_CASE("text never becomes a control token") {
  for (const char* pre : {"gpt-2", "llama-bpe"}) {
    BpeVocabulary vocabulary = {.pre = pre, .merges = {{"e", "n"}, {"en", "d"}}, .has_merged_tokens = false};
    vocabulary.others = {{"en", 0}, {"end", 0, 3}};
    const auto tokenizer = make_tokenizer(vocabulary);
    CHECK(encode(*tokenizer, "end") == std::vector<int32_t>{256, 'd'});
    CHECK(encode(*tokenizer, "end", true) == std::vector<int32_t>{257});
  }
}

TEST_CASE("bytes that are not UTF-8 stay what they are, and count as a symbol") {
  std::mt19937 random(2);
  for (const char* pre : {"gpt-2", "llama-bpe", "deepseek-v3", "superbpe"}) {
    const auto tokenizer = make_tokenizer({.pre = pre, .merges = {{"a", "b"}, {"\xC3", "\xA9"}, {" ", "a"}}});
    for (int round = 0; round < 500; ++round) {
      std::string text;
      for (size_t n = random() % 60; n > 0; --n) text += static_cast<char>(random() % 256);
      CHECK(decode(*tokenizer, encode(*tokenizer, text)) == text);
    }
  }
}

TEST_CASE("every token has the bytes it spells; a spelling of no bytes is shown as it is") {
  BpeVocabulary vocabulary = {.merges = {{" ", "a"}}};
  vocabulary.others = {{"\xC4\xA0<｜x｜>", 0}, {"<tool>", 0, 4}, {"<end>", 0, 3}, {"<pad>", 0, 5}};
  const auto tokenizer = make_tokenizer(vocabulary);
  for (int32_t id = 0; id < 256; ++id) CHECK(tokenizer->bytes(id) == std::string(1, static_cast<char>(id)));
  CHECK(tokenizer->bytes(256) == " a");
  CHECK(tokenizer->bytes(257) == "\xC4\xA0<｜x｜>");
  CHECK(tokenizer->bytes(258) == "<tool>");
  CHECK(tokenizer->bytes(259) == "");
  CHECK(tokenizer->bytes(260) == "");
}

TEST_CASE("text that is all one character takes no more than its length") {
  for (const char* pre : {"gpt-2", "llama-bpe", "superbpe", "deepseek-coder"}) {
    const auto tokenizer = make_tokenizer({.pre = pre, .merges = {{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}}});
    for (const char c : {'a', ' ', '\n', '\xFF'}) {
      const std::string text(1'000'000, c);
      const auto ids = encode(*tokenizer, text);
      CHECK(ids.size() == (c == 'a' ? text.size() / 8 : text.size()));
    }
  }
}

TEST_CASE("raw vocabularies write spaces as U+2581, bytes as tokens of their own and keep newlines together") {
  GgufWriter writer;
  std::vector<std::string> texts = {"a", "b", "▁", "▁a", "\n\n", "\n", "é"};
  std::vector<int32_t> kinds(texts.size(), 1);
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", byte);
    texts.emplace_back(text);
    kinds.push_back(6);
  }
  writer.add_string("tokenizer.ggml.model", "gemma4");
  writer.add_strings("tokenizer.ggml.tokens", texts);
  writer.add_int32s("tokenizer.ggml.token_type", kinds);
  writer.add_strings("tokenizer.ggml.merges", std::vector<std::string>{"▁ a"});
  const auto tokenizer = make_tokenizer(writer);
  CHECK(encode(*tokenizer, "b a\n\né") == std::vector<int32_t>{1, 3, 4, 6});
  CHECK(encode(*tokenizer, "ü\n\n\n") == std::vector<int32_t>{7 + 0xC3, 7 + 0xBC, 5, 5, 5});
  CHECK(decode(*tokenizer, encode(*tokenizer, "a  ü b\n")) == "a  ü b\n");
}

TEST_CASE("a byte-pair vocabulary without merges is refused") {
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "gpt-2");
  writer.add_strings("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
  CHECK(error_of([&] { make_tokenizer(writer); }) == ErrorCode::kModelInvalid);
  writer.add_strings("tokenizer.ggml.merges", std::vector<std::string>{});
  CHECK(encode(*make_tokenizer(writer), "ab") == std::vector<int32_t>{0});
}
