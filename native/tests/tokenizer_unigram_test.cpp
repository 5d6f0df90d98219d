#include "tokenizer/unigram_tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "tests/support/bpe_vocabulary.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr int32_t kUnk = 2;

void add_vocabulary(GgufWriter& writer, const std::vector<Piece>& pieces) {
  std::vector<std::string> texts = {"<pad>", "</s>", "<unk>"};
  std::vector<float> scores(3, 0.0f);
  std::vector<int32_t> kinds = {3, 3, 2};
  for (const Piece& piece : pieces) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    kinds.push_back(piece.kind);
  }
  writer.add_string("tokenizer.ggml.model", "t5");
  writer.add_strings("tokenizer.ggml.tokens", texts);
  writer.add_floats("tokenizer.ggml.scores", scores);
  writer.add_int32s("tokenizer.ggml.token_type", kinds);
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.add_bos = false});
}

/// The definition: of all ways to cut `text` the one with the largest sum of scores.
struct Best {
  double score = -std::numeric_limits<double>::infinity();
  std::vector<int32_t> ids;
};
Best naive_best(const Vocabulary& vocab, std::string_view text, double unknown_score) {
  if (text.empty()) return {0.0, {}};
  Best best;
  const auto consider = [&](size_t n, int32_t id, double score) {
    Best rest = naive_best(vocab, text.substr(n), unknown_score);
    if (rest.score + score <= best.score) return;
    rest.score += score;
    rest.ids.insert(rest.ids.begin(), id);
    best = std::move(rest);
  };
  for (size_t n = 1; n <= text.size(); ++n) {
    const int32_t id = vocab.find(text.substr(0, n));
    if (id < 0 || vocab.kind(id) == TokenKind::kControl || vocab.kind(id) == TokenKind::kUnknown) continue;
    consider(n, id, vocab.kind(id) == TokenKind::kUserDefined ? 0.0 : static_cast<double>(vocab.score(id)));
  }
  const int32_t alone = vocab.find(text.substr(0, 1));
  if (alone < 0) consider(1, kUnk, unknown_score);
  return best;
}

std::vector<int32_t> join_unknown(std::vector<int32_t> ids) {
  ids.erase(std::unique(ids.begin(), ids.end(), [](int32_t a, int32_t b) { return a == kUnk && b == kUnk; }),
            ids.end());
  return ids;
}

/// A charsmap of one array and one block of replacements, made by hand.
GgufWriter with_charsmap(const std::vector<uint32_t>& units, std::string_view replacements, uint32_t n_extra = 0) {
  GgufWriter writer;
  add_vocabulary(writer, {{"a", -1}, {"b", -2}, {"▁", -3}});
  std::string blob, value;
  append_number(blob, static_cast<uint32_t>(units.size() * 4) + n_extra);
  for (const uint32_t unit : units) append_number(blob, unit);
  blob += replacements;
  append_number(value, uint32_t{0});  // uint8
  append_number(value, uint64_t{blob.size()});
  writer.add_raw("tokenizer.ggml.precompiled_charsmap", 9, value + blob);
  return writer;
}

}  // namespace

TEST_CASE("the tokens are those of the best sum of scores") {
  std::mt19937 random(13);
  std::uniform_real_distribution<float> score(-9.0f, -1.0f);
  for (int round = 0; round < 40; ++round) {
    std::vector<Piece> pieces = {{"a", score(random)}, {"b", score(random)}};
    for (const std::string text : {"ab", "ba", "aa", "aba", "bab", "abb", "bbaa", "xa", "ax"}) {
      if (random() % 3 != 0) pieces.push_back({text, score(random), random() % 8 == 0 ? 5 : 1});
    }
    GgufWriter writer;
    add_vocabulary(writer, pieces);
    const auto tokenizer = make_tokenizer(writer);
    float least = 0.0f;
    for (const Piece& piece : pieces) {
      if (piece.kind == 1) least = std::min(least, piece.score);
    }
    for (int i = 0; i < 40; ++i) {
      std::string text;
      for (size_t n = 1 + random() % 10; n > 0; --n) text += "abx"[random() % 3];
      CAPTURE(text);
      const Best best = naive_best(tokenizer->vocabulary(), text, static_cast<double>(least - 10.0f));
      CHECK(encode(*tokenizer, text) == join_unknown(best.ids));
    }
  }
}

TEST_CASE("a user-defined token is found before all else") {
  GgufWriter writer;
  add_vocabulary(writer, {{"a", -1}, {"b", -1}, {"ab", -9}, {"aab", 0, 4}});
  CHECK(encode(*make_tokenizer(writer), "aabab") == std::vector<int32_t>{6, 3, 4});
}

TEST_CASE("EOS is added by default where asked for, BOS is not") {
  GgufWriter writer;
  add_vocabulary(writer, {{"a", -1}});
  CHECK(make_tokenizer(writer)->encode("a", {.add_eos = true}) == std::vector<int32_t>{3, 1});
}

TEST_CASE("a charsmap that does not fit together is refused") {
  const auto code_of = [](const GgufWriter& writer) { return error_of([&] { make_tokenizer(writer); }); };
  // From the root, "c" leads to unit 2: base 1, 1 ^ 'c' = 98. It has a value, in unit 99 ^ 1 = 98 ^ base.
  std::vector<uint32_t> units(128);
  units[0] = 1u << 10;
  units[98] = (1u << 10) | (1u << 8) | 'c';  // the value is in unit 99
  units[99] = 1u << 31;
  const auto good = with_charsmap(units, std::string_view("ab\0", 3));
  CHECK(code_of(good) == std::nullopt);
  CHECK(encode(*make_tokenizer(good), "cc") == std::vector<int32_t>{3, 4, 3, 4});
  CHECK(code_of(with_charsmap(units, "ab")) == ErrorCode::kModelInvalid);  // not ended
  CHECK(code_of(with_charsmap(units, "")) == ErrorCode::kModelInvalid);    // nothing there
  CHECK(code_of(with_charsmap(units, std::string_view("\0", 1), 9999)) == ErrorCode::kModelInvalid);
  units[99] = (1u << 31) | 3;
  CHECK(code_of(with_charsmap(units, std::string_view("ab\0", 3))) == ErrorCode::kModelInvalid);
  units[98] = (1u << 20) | (1u << 8) | 'c';
  CHECK(code_of(with_charsmap(units, std::string_view("ab\0", 3))) == ErrorCode::kModelInvalid);
  units[98] = 'c';  // a node that is its own parent
  units[0] = 0;
  CHECK(code_of(with_charsmap(units, std::string_view("\0", 1))) == std::nullopt);
  GgufWriter wrong;
  add_vocabulary(wrong, {{"a", -1}});
  wrong.add_uint32("tokenizer.ggml.precompiled_charsmap", 1);
  CHECK(code_of(wrong) == ErrorCode::kModelInvalid);
}

TEST_CASE("a long text of one character costs its length") {
  GgufWriter writer;
  add_vocabulary(writer, {{"a", -1}, {"aa", -1.5f}, {"aaaaaaaa", -3}});
  const auto tokenizer = make_tokenizer(writer);
  CHECK(encode(*tokenizer, std::string(1'000'000, 'a')).size() == 125'000);
  CHECK(encode(*tokenizer, std::string(1'000'000, 'x')) == std::vector<int32_t>{kUnk});
}
