#include "tokenizer/wpm_tokenizer.h"

#include <doctest/doctest.h>

#include "tests/support/bpe_vocabulary.h"

using namespace outpost;
using namespace outpost::test;

namespace {

const std::vector<std::string> kTexts = {"[UNK]",  "[CLS]", "[SEP]", "▁un", "aff", "able", "▁", "a",  "b",
                                         "▁hello", ",",     "▁,",    "▁漢", "▁e",  "▁É",   "é", "▁[", "CLS"};
enum : int32_t { kUnk, kCls, kSep, kUn, kAff, kAble, kSpace, kA, kB, kHello, kComma, kSpaceComma, kHan, kE, kAccent };

std::unique_ptr<Tokenizer> make(bool lower_case) {
  GgufWriter writer;
  std::vector<int32_t> kinds(kTexts.size(), 1);
  for (const int32_t id : {kUnk, kCls, kSep}) kinds[static_cast<size_t>(id)] = 3;
  writer.add_string("tokenizer.ggml.model", "bert");
  writer.add_strings("tokenizer.ggml.tokens", kTexts);
  writer.add_int32s("tokenizer.ggml.token_type", kinds);
  writer.add_uint32("tokenizer.ggml.unknown_token_id", kUnk);
  writer.add_uint32("tokenizer.ggml.cls_token_id", kCls);
  writer.add_uint32("tokenizer.ggml.seperator_token_id", kSep);
  writer.add_bool("tokenizer.ggml.normalizer.lowercase", lower_case);
  return make_tokenizer(writer);
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.add_bos = false});
}

}  // namespace

TEST_CASE("a word becomes the longest tokens that spell it, or one <unk>") {
  const auto tokenizer = make(true);
  CHECK(encode(*tokenizer, "unaffable") == std::vector<int32_t>{kUn, kAff, kAble});
  CHECK(encode(*tokenizer, " UN  Hello\n") == std::vector<int32_t>{kUn, kHello});
  CHECK(encode(*tokenizer, "unx hello") == std::vector<int32_t>{kUnk, kHello});
  CHECK(encode(*tokenizer, "") == std::vector<int32_t>{});
}

TEST_CASE("punctuation and Chinese characters are words; accents and control characters vanish") {
  const auto tokenizer = make(true);
  CHECK(encode(*tokenizer, "hello,un") == std::vector<int32_t>{kHello, kSpaceComma, kUn});
  CHECK(encode(*tokenizer, "漢漢") == std::vector<int32_t>{kHan, kHan});
  CHECK(encode(*tokenizer, "É") == std::vector<int32_t>{kE});
  CHECK(encode(*tokenizer, "e\u0301") == std::vector<int32_t>{kE});
  CHECK(encode(*tokenizer, "he\u200Bll\u0007o\xFF") == std::vector<int32_t>{kHello});
  CHECK(encode(*make(false), "É") == std::vector<int32_t>{kAccent});
}

TEST_CASE("an input stands between CLS and SEP, which no text becomes") {
  const auto tokenizer = make(true);
  CHECK(tokenizer->encode("hello", {.add_eos = true}) == std::vector<int32_t>{kCls, kHello, kSep});
  const auto ids = encode(*make(false), "[CLS]");
  CHECK(std::find(ids.begin(), ids.end(), kCls) == ids.end());
  CHECK(tokenizer->encode("[CLS]", {.add_bos = false, .parse_special = true}) == std::vector<int32_t>{kCls});
}

TEST_CASE("a long word costs its length") {
  const auto tokenizer = make(true);
  CHECK(encode(*tokenizer, std::string(1'000'000, 'a')).size() == 1'000'001);
  CHECK(encode(*tokenizer, std::string(1'000'000, 'x')) == std::vector<int32_t>{kUnk});
}
