// Which tokens may begin a given text, against a look at each token of the vocabulary.
#include "tokenizer/prefix_index.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <random>
#include <set>

#include "tests/support/bpe_vocabulary.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/spm_vocabulary.h"

using namespace outpost;
using namespace outpost::test;

namespace {

std::unique_ptr<Tokenizer> make_tokenizer(const std::vector<Piece>& pieces) {
  GgufWriter writer;
  add_spm_vocabulary(writer, pieces);
  const std::string bytes = writer.bytes();
  return Tokenizer::create(GgufFile::parse(as_bytes(bytes), "vocab.gguf"));
}

bool is_word(unsigned char c) { return std::isalnum(c) || c == '_' || c == '$' || c >= 0x80; }

std::vector<int32_t> naive_find(const Tokenizer& tokenizer, std::string_view text) {
  const Vocabulary& vocab = tokenizer.vocabulary();
  std::vector<int32_t> whole, all;
  const auto encoded = tokenizer.encode_inside(text);
  bool is_encoded_there = false;
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    const std::string_view bytes = tokenizer.bytes(id);
    if (vocab.kind(id) == TokenKind::kControl || vocab.kind(id) == TokenKind::kUnknown || vocab.is_end(id)) continue;
    if (bytes.empty() || text.empty() || !(bytes.starts_with(text) || text.starts_with(bytes))) continue;
    all.push_back(id);
    const bool is_cut = bytes.size() < text.size() && is_word(bytes.back()) && is_word(text[bytes.size()]);
    if (!is_cut || id == encoded.front()) whole.push_back(id);
    if (id == encoded.front() && bytes.size() <= text.size()) is_encoded_there = true;
  }
  return is_encoded_there ? whole : all;
}

std::vector<int32_t> find(const PrefixIndex& index, std::string_view text) {
  std::vector<int32_t> ids = {-5};  // what is there before is replaced
  index.find(text, ids);
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::string random_text(std::mt19937& random, size_t n_max, std::string_view alphabet) {
  std::string text(1 + random() % n_max, ' ');
  for (char& c : text) c = alphabet[random() % alphabet.size()];
  return text;
}

constexpr int32_t kRe = kFirstPiece;

}  // namespace

TEST_CASE("tokens are found that are the text or go on behind it, and the one it is encoded with") {
  const auto tokenizer = make_tokenizer({{"re", -3},
                                         {"ret", -2},
                                         {"return", -1},
                                         {"retry", -1},
                                         {"red", -1},
                                         {"e", -1},
                                         {"t", -1},
                                         {"\xE2\x96\x81ret", -1},
                                         {"\xE2\x96\x81", -1}});
  const PrefixIndex index(*tokenizer);
  CHECK(find(index, "ret") == std::vector<int32_t>{kRe + 1, kRe + 2, kRe + 3});
  CHECK(find(index, "retu") == std::vector<int32_t>{kRe + 1, kRe + 2});
  CHECK(find(index, " r") == std::vector<int32_t>{3 + ' ', kRe + 7, kRe + 8});
  CHECK(find(index, "retx") == std::vector<int32_t>{kRe + 1});
  CHECK(find(index, "r-e") == std::vector<int32_t>{3 + 'r'});
  CHECK(find(index, "return 1") ==
        std::vector<int32_t>{kRe + 1, kRe + 2});  // "ret", "u", "r", "n"; "return" cuts nothing
  CHECK(find(index, "").empty());
}

TEST_CASE("a run of blanks may be cut anywhere, a word may not") {
  const std::string s = "\xE2\x96\x81";
  const auto tokenizer = make_tokenizer({{s, -1},
                                         {s + s, -1},
                                         {s + s + s, -1},
                                         {s + "i", -1},
                                         {s + "is", -1},
                                         {"i", -1},
                                         {"s", -1},
                                         {"is", -1},
                                         {"isinstance", -1}});
  const PrefixIndex index(*tokenizer);
  CHECK(find(index, "is") == std::vector<int32_t>{kFirstPiece + 7, kFirstPiece + 8});
  CHECK(find(index, " is") == std::vector<int32_t>{3 + ' ', kFirstPiece, kFirstPiece + 4});
  CHECK(find(index, "  is") == std::vector<int32_t>{3 + ' ', kFirstPiece, kFirstPiece + 1});
  CHECK(find(index, "   ") == std::vector<int32_t>{3 + ' ', kFirstPiece, kFirstPiece + 1, kFirstPiece + 2});
  CHECK(find(index, "i.s") == std::vector<int32_t>{3 + 'i', kFirstPiece + 5});
}

TEST_CASE("a text that cannot be encoded is left every way there is") {
  GgufWriter writer;  // no byte tokens: the "x" is unknown
  writer.add_string("tokenizer.ggml.model", "llama");
  writer.add_strings("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", "a", "xab", "xabc"});
  writer.add_int32s("tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 3, 1, 1, 1});
  const std::string bytes = writer.bytes();
  const auto tokenizer = Tokenizer::create(GgufFile::parse(as_bytes(bytes), "vocab.gguf"));
  const PrefixIndex index(*tokenizer);
  CHECK(find(index, "xabd") == std::vector<int32_t>{4});
  CHECK(find(index, "xa") == std::vector<int32_t>{4, 5});
  CHECK(find(index, "q").empty());
}

TEST_CASE("control, unknown and unused tokens and those that end a reply are not found") {
  const auto tokenizer = make_tokenizer(
      {{"<tool>", 0, 3}, {"<user>", 0, 4}, {"<gone>", 0, 5}, {"<what>", 0, 2}, {"<|im_end|>", 0, 1}, {"<EOT>", 0, 4}});
  const PrefixIndex index(*tokenizer);
  CHECK(find(index, "<") == std::vector<int32_t>{3 + '<', kFirstPiece + 1});
  CHECK(find(index, "</s>") == std::vector<int32_t>{3 + '<'});
  CHECK(find(index, "<0x41>") == std::vector<int32_t>{3 + '<'});
}

TEST_CASE("a token that ends a turn is not found though it is an ordinary one for the file") {
  GgufWriter writer;
  add_spm_vocabulary(writer, {{"<turn", -1}, {"<turn>", -1}});
  writer.add_uint32("tokenizer.ggml.eot_token_id", kFirstPiece + 1);
  const std::string bytes = writer.bytes();
  const auto tokenizer = Tokenizer::create(GgufFile::parse(as_bytes(bytes), "vocab.gguf"));
  REQUIRE(tokenizer->bytes(kFirstPiece + 1) == "<turn>");
  CHECK(find(PrefixIndex(*tokenizer), "<turn") == std::vector<int32_t>{3 + '<', kFirstPiece});
}

TEST_CASE("bytes above 127 sort as they compare, and parts of characters are found") {
  const auto tokenizer = make_tokenizer({{"é", -1}, {"éa", -1}, {"z", -1}, {"\xF0\x9F\x98\x80", -1}});
  const PrefixIndex index(*tokenizer);
  CHECK(find(index, "é") == std::vector<int32_t>{kFirstPiece, kFirstPiece + 1});
  CHECK(find(index, "è") == std::vector<int32_t>{3 + 0xC3});
  CHECK(find(index, "\xA9") == std::vector<int32_t>{3 + 0xA9});
  CHECK(find(index, "\x9F\x98\x80x") == std::vector<int32_t>{3 + 0x9F});
}

TEST_CASE("random vocabularies agree with the look at each token") {
  std::mt19937 random(1);
  for (const std::string_view alphabet : {"ab", "ab \xC3\xA9", "abcdefgh <>|"}) {
    for (int round = 0; round < 20; ++round) {
      CAPTURE(round);
      std::set<std::string> texts;
      for (size_t i = 0; i < random() % 300; ++i) texts.insert(random_text(random, 8, alphabet));
      std::vector<Piece> pieces;
      for (const std::string& text : texts) pieces.push_back({text, -1, static_cast<int32_t>(1 + random() % 5)});
      const auto tokenizer = make_tokenizer(pieces);
      const PrefixIndex index(*tokenizer);
      for (int i = 0; i < 100; ++i) {
        const std::string text = random_text(random, 12, alphabet);
        CAPTURE(text);
        CHECK(find(index, text) == naive_find(*tokenizer, text));
      }
    }
  }
}

TEST_CASE("two tokens with the same bytes are both found") {
  const auto tokenizer = make_tokenizer({{"a", -1}, {"\xE2\x96\x81", -1}, {" ", -1}});
  const PrefixIndex index(*tokenizer);
  CHECK(find(index, "a") == std::vector<int32_t>{3 + 'a', kFirstPiece});
  CHECK(find(index, " ") == std::vector<int32_t>{3 + ' ', kFirstPiece + 1, kFirstPiece + 2});
}

TEST_CASE("a byte-pair vocabulary: spaces and parts of characters are bytes like others") {
  BpeVocabulary vocabulary = {.merges = {{" ", "r"}, {"e", "t"}, {" r", "et"}, {"\xE2", "\x82"}, {"r", "et"}}};
  vocabulary.others = {{"<|fim_prefix|>", 0, 3}, {" ret", 0, 4}};
  const auto tokenizer = test::make_tokenizer(vocabulary);
  const PrefixIndex index(*tokenizer);
  CHECK(find(index, " ret") == std::vector<int32_t>{' ', 258, 262});
  CHECK(find(index, "\u20AC") == std::vector<int32_t>{259});  // as it is encoded
  std::mt19937 random(23);
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_text(random, 8, " ret\xE2\x82\xAC<");
    CAPTURE(text);
    CHECK(find(index, text) == naive_find(*tokenizer, text));
  }
}
