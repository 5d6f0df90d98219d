// Tokenizing again after an edit gives what tokenizing anew gives, and reads little more than the edit.
#include <doctest/doctest.h>

#include <random>

#include "tests/support/bpe_vocabulary.h"
#include "tests/support/throws_error.h"
#include "tests/support/vocabularies.h"
#include "tokenizer/tokenizer.h"

using namespace outpost;
using namespace outpost::test;

namespace {

const std::vector<std::string> kInserts = {
    "x",  "",      " ",  "\n", "foo(bar)",   "    ", "漢字",   "é",        "1234",   "\n\n    return x;\n}",
    "'",  "'s",    "\t", ".",  "<|im_end|>", "<s>",  "\u0301", "\xE4",     "\x80",   "camelCaseName_42",
    "\r", "<tool", ">",  "  ", "<user>",     "//",   "a b",    "\xF0\x9F", "\u2581", "if (a == b) {"};

std::string source_code() {
  const std::string code = read_all("native/tokenizer/tokenizer.cpp") + read_all("native/tokenizer/special_names.cpp");
  REQUIRE(code.size() > 5000);
  return code;
}

struct Edited {
  size_t n_edits = 0, n_tokenized = 0, most = 0;
};

/// Edits `text` at random places and compares after each one.
Edited edit_at_random(const Tokenizer& tokenizer, std::string text, const TokenizeOptions& options, size_t n_edits,
                      uint32_t seed) {
  std::mt19937 random(seed);
  Edited result;
  TokenizedText tokens = tokenizer.encode_with_begins(text, options);
  CHECK(tokens.ids == tokenizer.encode(text, options));
  for (size_t i = 0; i < n_edits; ++i) {
    TextEdit edit;
    edit.begin = random() % (text.size() + 1);
    edit.n_removed = random() % 3 == 0 ? std::min<size_t>(random() % 40, text.size() - edit.begin) : 0;
    const std::string insert = kInserts[random() % kInserts.size()];
    edit.n_inserted = insert.size();
    const std::string before = text;
    text.replace(edit.begin, edit.n_removed, insert);
    CAPTURE(insert);
    CAPTURE(edit.begin);
    CAPTURE(edit.n_removed);
    CAPTURE(before.substr(edit.begin - std::min<size_t>(edit.begin, 40), 80));
    const size_t n = tokenizer.retokenize(tokens, edit, text, options);
    const TokenizedText expected = tokenizer.encode_with_begins(text, options);
    const bool is_same = tokens.ids == expected.ids && tokens.begins == expected.begins;
    CHECK(is_same);
    if (!is_same) return result;
    ++result.n_edits;
    result.n_tokenized += n - std::min(n, edit.n_inserted);
    result.most = std::max(result.most, n);
  }
  return result;
}

}  // namespace

TEST_CASE("an edit of source code costs the edit, with every vocabulary") {
  const std::string code = source_code();
  for (const std::string name : kVocabularies) {
    CAPTURE(name);
    const auto path = vocabulary_file(name, "re-tokenizing with the vocabularies of llama.cpp");
    if (!path) return;
    const auto tokenizer = Tokenizer::create(GgufFile::open(*path));
    for (const bool parse_special : {false, true}) {
      CAPTURE(parse_special);
      const TokenizeOptions options = {.parse_special = parse_special, .add_eos = true};
      const Edited edited = edit_at_random(*tokenizer, code, options, 150, 3);
      CHECK(edited.n_edits == 150);
      // Special tokens may reach as far as the longest of them on either side; words of code are short.
      size_t reach = 4;
      for (int32_t id = 0; id < tokenizer->vocabulary().n_tokens(); ++id) {
        const bool is_looked_for = tokenizer->vocabulary().is_special(id) &&
                                   (parse_special || tokenizer->vocabulary().kind(id) == TokenKind::kUserDefined);
        if (is_looked_for) reach = std::max(reach, tokenizer->vocabulary().text(id).size());
      }
      CHECK(edited.n_tokenized / edited.n_edits < 2 * reach + 64);
    }
  }
}

TEST_CASE("every splitter and random text: the same as tokenizing anew") {
  std::string text;
  std::mt19937 random(8);
  for (int i = 0; i < 60; ++i) text += kInserts[random() % kInserts.size()] + (random() % 2 == 0 ? "\n" : "");
  for (const std::string_view name : pre_tokenizer_names()) {
    CAPTURE(name);
    BpeVocabulary vocabulary = {.pre = std::string(name),
                                .merges = {{" ", " "},
                                           {"f", "o"},
                                           {"o", "o"},
                                           {"fo", "o"},
                                           {"\n", "\n"},
                                           {" ", "a"},
                                           {"r", "e"},
                                           {"1", "2"},
                                           {"3", "4"},
                                           {"12", "34"},
                                           {"e", "t"},
                                           {")", "\n"}}};
    vocabulary.others = {{"<user>", 0, 4}, {"<|im_end|>", 0, 3}, {"  \n", 0, 4}};
    const auto tokenizer = make_tokenizer(vocabulary);
    for (const bool parse_special : {false, true}) {
      CHECK(edit_at_random(*tokenizer, text, {.parse_special = parse_special}, 60, 9).n_edits == 60);
    }
  }
}

TEST_CASE("inside a piece of any length an edit is spliced at seams") {
  // All of the text is one piece; merges cross spaces and lines.
  const std::string code = source_code();
  std::string text;
  for (const char c : code) text += c >= '0' && c <= '9' ? 'x' : c;
  BpeVocabulary vocabulary = {.pre = "superbpe"};
  std::mt19937 random(4);
  std::vector<std::string> symbols;  // of a part of the text, as merged so far
  for (size_t i = 0; i < 3000; ++i) symbols.emplace_back(1, text[i]);
  for (int round = 0; round < 300; ++round) {
    const size_t at = random() % (symbols.size() - 1);
    const auto pair = std::pair(symbols[at], symbols[at + 1]);
    vocabulary.merges.push_back(pair);
    std::vector<std::string> merged;
    for (size_t i = 0; i < symbols.size(); ++i) {
      const bool joins = i + 1 < symbols.size() && symbols[i] == pair.first && symbols[i + 1] == pair.second;
      merged.push_back(joins ? symbols[i] + symbols[i + 1] : symbols[i]);
      i += joins;
    }
    symbols.swap(merged);
  }
  const auto tokenizer = make_tokenizer(vocabulary);
  const Edited edited = edit_at_random(*tokenizer, text, {}, 200, 5);
  CHECK(edited.n_edits == 200);
  CHECK(edited.n_tokenized / edited.n_edits < 400);
}

TEST_CASE("an SPM vocabulary with tokens across spaces") {
  GgufWriter writer;
  add_spm_vocabulary(writer, {{"▁", -1},
                              {"a", -2},
                              {"b", -3},
                              {"a▁", -1.5f},
                              {"b▁a", -0.5f},
                              {"ab", -4},
                              {"▁a▁", -0.3f},
                              {"<user>", 0, 4},
                              {"  ", 0, 4},
                              {"\n\n", 0, 4}});
  const auto tokenizer = make_tokenizer(writer);
  std::string text;
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) text += "ab "[random() % 3];
  const Edited edited = edit_at_random(*tokenizer, text, {}, 200, 6);
  CHECK(edited.n_edits == 200);
  CHECK(edited.n_tokenized / edited.n_edits < 200);
}

TEST_CASE("a unigram vocabulary, spaces kept or merged") {
  for (const bool removes_spaces : {false, true}) {
    GgufWriter writer;
    writer.add_string("tokenizer.ggml.model", "t5");
    const std::vector<Piece> pieces = {{"<pad>", 0, 3},  {"</s>", 0, 3}, {"<unk>", 0, 2}, {"▁", -2},   {"a", -3},
                                       {"▁a", -4},       {"b", -3.5f},   {"ab", -5},      {"▁▁", -3},  {"<user>", 0, 4},
                                       {"return", -6.f}, {"▁x", -5},     {";", -4},       {"(", -4.5f}};
    std::vector<std::string> texts;
    std::vector<float> scores;
    std::vector<int32_t> kinds;
    for (const Piece& piece : pieces) {
      texts.push_back(piece.text);
      scores.push_back(piece.score);
      kinds.push_back(piece.kind);
    }
    writer.add_strings("tokenizer.ggml.tokens", texts);
    writer.add_floats("tokenizer.ggml.scores", scores);
    writer.add_int32s("tokenizer.ggml.token_type", kinds);
    writer.add_bool("tokenizer.ggml.add_space_prefix", true);
    writer.add_bool("tokenizer.ggml.remove_extra_whitespaces", removes_spaces);
    const auto tokenizer = make_tokenizer(writer);
    const Edited edited = edit_at_random(*tokenizer, source_code(), {.add_eos = true}, 200, 7);
    CHECK(edited.n_edits == 200);
    CHECK(edited.n_tokenized / edited.n_edits < 100);
  }
}

TEST_CASE("an edit at the ends, of nothing, of everything") {
  const auto tokenizer = make_tokenizer({.merges = {{"a", "b"}}});
  TokenizedText tokens = tokenizer->encode_with_begins("", {});
  const auto apply = [&](size_t begin, size_t n_removed, size_t n_inserted, const std::string& text) {
    tokenizer->retokenize(tokens, {begin, n_removed, n_inserted}, text, {});
    CHECK(tokens.ids == tokenizer->encode(text, {}));
  };
  apply(0, 0, 5, "ab ab");
  apply(5, 0, 1, "ab aba");
  apply(0, 0, 1, "xab aba");
  apply(0, 7, 2, "ab");
  apply(1, 0, 0, "ab");
  apply(0, 2, 0, "");
  CHECK(error_of([&] { tokenizer->retokenize(tokens, {2, 0, 0}, "a", {}); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { tokenizer->retokenize(tokens, {0, 0, 2}, "a", {}); }) == ErrorCode::kInvalidArgument);
}
