// Special tokens: where text is cut at them, which end a reply, which fill in the middle.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/support/bpe_vocabulary.h"
#include "tests/support/throws_error.h"
#include "tests/support/vocabularies.h"
#include "tokenizer/special_matcher.h"

using namespace outpost;
using namespace outpost::test;

namespace {

struct Found {
  size_t begin;
  int32_t id;
  bool operator==(const Found&) const = default;
};

/// The definition: each token in turn, the longest first, at every free place from left to right.
std::vector<Found> naive_find(const Vocabulary& vocab, std::string_view text, bool with_control) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    if (vocab.kind(id) == TokenKind::kUserDefined || (with_control && vocab.is_special(id))) ids.push_back(id);
  }
  std::stable_sort(ids.begin(), ids.end(),
                   [&](int32_t a, int32_t b) { return vocab.text(a).size() > vocab.text(b).size(); });
  std::vector<int> taken(text.size());
  std::vector<Found> found;
  for (const int32_t id : ids) {
    const std::string& token = vocab.text(id);
    for (size_t at = 0; at + token.size() <= text.size(); ++at) {
      const auto begin = taken.begin() + static_cast<ptrdiff_t>(at);
      const bool is_free = std::accumulate(begin, begin + static_cast<ptrdiff_t>(token.size()), 0) == 0;
      if (!is_free || text.substr(at, token.size()) != token) continue;
      std::fill_n(begin, token.size(), 1);
      found.push_back({at, id});
    }
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.begin < b.begin; });
  return found;
}

std::unique_ptr<Tokenizer> with_tokens(const std::vector<Piece>& others, const char* name = "") {
  GgufWriter writer;
  writer.add_string("general.name", name);
  BpeVocabulary vocabulary;
  vocabulary.others = others;
  add_bpe_vocabulary(writer, vocabulary);
  return make_tokenizer(writer);
}

}  // namespace

TEST_CASE("overlapping special tokens are found as the definition has it") {
  const auto tokenizer = with_tokens({{"ab", 0, 3},
                                      {"abc", 0, 4},
                                      {"ca", 0, 4},
                                      {"aa", 0, 4},
                                      {"aaa", 0, 3},
                                      {"bcab", 0, 3},
                                      {"a", 0, 2},
                                      {"aa", 0, 4},
                                      {"bb", 0, 1},
                                      {"cb", 0, 4}});
  std::mt19937 random(3);
  for (const bool with_control : {false, true}) {
    const SpecialMatcher matcher(tokenizer->vocabulary(), with_control);
    for (int round = 0; round < 3000; ++round) {
      std::string text;
      for (size_t n = random() % 30; n > 0; --n) text += "abcx"[random() % 4];
      CAPTURE(text);
      std::vector<Found> found;
      size_t end = 0;
      bool is_after_plain = false;
      for (const Fragment& fragment : matcher.split(text)) {
        CHECK(fragment.begin == end);
        CHECK(fragment.end > fragment.begin);
        CHECK_FALSE((is_after_plain && fragment.id < 0));
        end = fragment.end;
        is_after_plain = fragment.id < 0;
        if (fragment.id >= 0) found.push_back({fragment.begin, fragment.id});
      }
      CHECK(end == text.size());
      CHECK(found == naive_find(tokenizer->vocabulary(), text, with_control));
    }
  }
}

TEST_CASE("tokens that take white space take it on their side") {
  GgufWriter writer;
  writer.add_string("general.name", "modern-bert");
  BpeVocabulary vocabulary;
  vocabulary.others = {{"[MASK]", 0, 3}, {"[X]", 0, 3}};
  add_bpe_vocabulary(writer, vocabulary);
  const auto tokenizer = make_tokenizer(writer);
  const TokenizeOptions special = {.add_bos = false, .parse_special = true};
  CHECK(tokenizer->encode("a \n[MASK] b [X] c", special) ==
        std::vector<int32_t>{'a', 256, ' ', 'b', ' ', 257, ' ', 'c'});
  CHECK(tokenizer->encode("  [MASK][MASK]  ", special) == std::vector<int32_t>{256, 256, ' ', ' '});
  CHECK(tokenizer->encode("a [MASK]", {.add_bos = false}).size() == 8);
}

TEST_CASE("a million bytes full of special tokens") {
  std::vector<Piece> others;
  for (size_t n = 1; n <= 31; ++n) others.push_back({std::string(n, '\n'), 0, 4});
  const auto tokenizer = with_tokens(others);
  const auto ids = tokenizer->encode(std::string(1'000'000, '\n'), {});
  CHECK(ids.size() == 1'000'000 / 31 + 1);
  CHECK(decode(*tokenizer, ids) == std::string(1'000'000, '\n'));
}

TEST_CASE("a special token of absurd length is refused") {
  CHECK(error_of([] { with_tokens({{std::string(2000, 'x'), 0, 4}}); }) == ErrorCode::kModelInvalid);
  CHECK(error_of([] { with_tokens({{std::string(2000, 'x'), 0, 1}}); }) == std::nullopt);
}

TEST_CASE("EOS, and SEP of models of BERT's kind, are added when the caller and the vocabulary both want them") {
  GgufWriter writer;
  BpeVocabulary vocabulary = {.pre = "roberta-bpe"};
  vocabulary.others = {{"<s>", 0, 3}, {"</s>", 0, 3}};
  add_bpe_vocabulary(writer, vocabulary);
  writer.add_uint32("tokenizer.ggml.bos_token_id", 256);
  writer.add_uint32("tokenizer.ggml.eos_token_id", 257);
  writer.add_uint32("tokenizer.ggml.seperator_token_id", 257);
  writer.add_bool("tokenizer.ggml.add_bos_token", true);
  const auto tokenizer = make_tokenizer(writer);
  CHECK(tokenizer->encode("a", {}) == std::vector<int32_t>{256, 'a'});
  CHECK(tokenizer->encode("a", {.add_eos = true}) == std::vector<int32_t>{256, 'a', 257});
  CHECK(tokenizer->encode("a", {.add_bos = false}) == std::vector<int32_t>{'a'});
}

TEST_CASE("FIM tokens are found by the file's keys, old and new, or by their spelling") {
  const std::vector<std::vector<std::string>> spellings = {
      {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"},
      {"<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<fim_pad>", "<repo_name>", "<file_sep>"},
      {"<fim-prefix>", "<fim-suffix>", "<fim-middle>", "<fim-pad>", "<fim-repo>", "<|file_separator|>"},
      {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
      {"▁<PRE>", "▁<SUF>", "▁<MID>"},
      {"[PREFIX]", "[SUFFIX]", "[MIDDLE]"},
      {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"}};
  for (const auto& texts : spellings) {
    std::vector<Piece> pieces;
    for (const std::string& text : texts) pieces.push_back({text, 0, 1});
    const auto tokenizer = with_tokens(pieces);
    const FimTokens& fim = tokenizer->vocabulary().fim;
    const std::vector<int32_t> ids = {fim.prefix, fim.suffix, fim.middle, fim.pad, fim.repository, fim.file_separator};
    for (size_t i = 0; i < texts.size(); ++i) {
      CAPTURE(texts[i]);
      CHECK(ids[i] == 256 + static_cast<int32_t>(i));
      CHECK(tokenizer->vocabulary().kind(ids[i]) == TokenKind::kControl);
    }
    for (size_t i = texts.size(); i < ids.size(); ++i) CHECK(ids[i] == -1);
  }

  for (const bool is_old : {true, false}) {
    GgufWriter writer;
    add_bpe_vocabulary(writer, {});
    writer.add_uint32(is_old ? "tokenizer.ggml.prefix_token_id" : "tokenizer.ggml.fim_pre_token_id", 7);
    writer.add_uint32(is_old ? "tokenizer.ggml.suffix_token_id" : "tokenizer.ggml.fim_suf_token_id", 8);
    writer.add_uint32(is_old ? "tokenizer.ggml.middle_token_id" : "tokenizer.ggml.fim_mid_token_id", 9);
    const auto tokenizer = make_tokenizer(writer);
    const FimTokens& fim = tokenizer->vocabulary().fim;
    CHECK(fim.prefix == 7);
    CHECK(fim.suffix == 8);
    CHECK(fim.middle == 9);
    CHECK(fim.pad == -1);
  }
}

TEST_CASE("the vocabularies of llama.cpp: FIM tokens and ends of replies") {
  const auto open = [](const char* name) -> std::unique_ptr<Tokenizer> {
    const auto path = vocabulary_file(name, "FIM tokens of known vocabularies");
    return path ? Tokenizer::create(GgufFile::open(*path)) : nullptr;
  };
  if (const auto starcoder = open("starcoder")) {
    const Vocabulary& vocab = starcoder->vocabulary();
    CHECK(vocab.fim.prefix == 1);
    CHECK(vocab.fim.middle == 2);
    CHECK(vocab.fim.suffix == 3);
    CHECK(vocab.fim.pad == 4);
    CHECK(vocab.fim.repository == 5);
    CHECK(vocab.fim.file_separator == 6);
    for (const int32_t id : {0, 4, 5, 6}) CHECK(vocab.is_end(id));
    CHECK_FALSE(vocab.is_end(1));
  }
  if (const auto deepseek = open("deepseek-coder")) {
    const Vocabulary& vocab = deepseek->vocabulary();
    CHECK(vocab.fim.prefix == 32016);
    CHECK(vocab.fim.suffix == 32015);
    CHECK(vocab.fim.middle == 32017);
    CHECK(vocab.is_end(32014));
  }
  if (const auto llama = open("llama-bpe")) {
    CHECK(llama->vocabulary().fim.prefix == -1);
    for (const int32_t id : {128001, 128009}) CHECK(llama->vocabulary().is_end(id));
  }
  if (const auto qwen = open("qwen2")) {
    for (const int32_t id : {151643, 151645}) CHECK(qwen->vocabulary().is_end(id));
    CHECK_FALSE(qwen->vocabulary().is_end(151644));
  }
}

TEST_CASE("the marks of a harmony reply are shown, and text does not become them") {
  const auto tokenizer = with_tokens({{"<|return|>", 0, 3},
                                      {"<|call|>", 0, 3},
                                      {"<|end|>", 0, 3},
                                      {"<|start|>", 0, 3},
                                      {"<|message|>", 0, 4},
                                      {"<|channel|>", 0, 3}});
  const Vocabulary& vocab = tokenizer->vocabulary();
  CHECK(vocab.is_end(256));
  CHECK(vocab.is_end(257));
  CHECK_FALSE(vocab.is_end(258));
  CHECK(tokenizer->bytes(256) == "");
  for (const int32_t id : {258, 259, 260, 261}) CHECK(tokenizer->bytes(id) == vocab.text(id));
  CHECK(tokenizer->encode("<|message|>", {}).size() == 11);
  CHECK(tokenizer->encode("<|message|>", {.parse_special = true}) == std::vector<int32_t>{260});
  // Elsewhere <|end|> ends a turn.
  CHECK(with_tokens({{"<|end|>", 0, 3}, {"<|call|>", 0, 3}})->vocabulary().is_end(256));
}

TEST_CASE("gemma 4 has </s> as text") {
  const auto tokenizer = with_tokens({{"</s>", 0, 3}, {"<|tool_response>", 0, 3}, {"<turn|>", 0, 3}});
  CHECK_FALSE(tokenizer->vocabulary().is_end(256));
  CHECK(tokenizer->vocabulary().kind(256) == TokenKind::kNormal);
  CHECK(tokenizer->vocabulary().is_end(257));
  CHECK(tokenizer->vocabulary().is_end(258));
}
