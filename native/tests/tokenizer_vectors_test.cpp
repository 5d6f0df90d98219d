// llama.cpp's own test texts, and others that it tokenized for us: every vocabulary gives the recorded tokens.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <sstream>

#include "tests/support/bpe_vocabulary.h"
#include "tests/support/shared_data.h"
#include "tests/support/vocabularies.h"
#include "tokenizer/tokenizer.h"

using namespace outpost;
using namespace outpost::test;

namespace {

const std::string kVectors = "native/tests/vectors/";

std::vector<std::string> read_texts(const std::string& path) {
  static const std::string kSeparator = "\n__ggml_vocab_test__\n";
  const std::string inputs = read_all(path);
  std::vector<std::string> texts;
  for (size_t at = 0; at < inputs.size();) {
    const size_t end = std::min(inputs.find(kSeparator, at), inputs.size());
    texts.push_back(inputs.substr(at, end - at));
    at = end + kSeparator.size();
  }
  return texts;
}

/// The next line of `out`: a word if `name` is given, then ids.
std::vector<int32_t> next_ids(std::istringstream& out, std::string* name = nullptr) {
  std::string line;
  REQUIRE(std::getline(out, line));
  std::istringstream words(line);
  if (name != nullptr) words >> *name;
  return {std::istream_iterator<int32_t>(words), {}};
}

}  // namespace

TEST_CASE("llama.cpp's vectors: every text gives the recorded tokens") {
  for (const std::string name : kVocabularies) {
    CAPTURE(name);
    const auto path = vocabulary_file(name, "llama.cpp's vectors");
    if (!path) return;
    const auto tokenizer = Tokenizer::create(GgufFile::open(*path));
    const bool is_exact = tokenizer->vocabulary().type() != VocabularyType::kWpm;
    const std::string prefix = tokenizer->vocabulary().add_space_prefix ? " " : "";
    const auto texts = read_texts(*path + ".inp");
    CHECK(texts.size() > 40);
    std::istringstream out(read_all(*path + ".out"));
    for (const std::string& text : texts) {
      CAPTURE(text);
      const auto expected = next_ids(out);
      CHECK(tokenizer->encode(text, {.add_bos = false}) == expected);
      // The prefix space is the only difference between a text and the bytes of its tokens.
      if (is_exact && !text.empty()) CHECK(decode(*tokenizer, expected) == prefix + text);
    }
  }
}

TEST_CASE("every way to split text gives llama.cpp's tokens") {
  const auto path = vocabulary_file("gpt-2", "vectors of pre-tokenizers");
  if (!path) return;
  const auto texts = read_texts(kVectors + "pre-tokenizers.inp");
  std::istringstream out(read_all(kVectors + "pre-tokenizers.out"));
  const std::string file = read_all(*path);
  // The name is a string of eight bytes of length and five of text; it stands where the other goes.
  const size_t at = file.find("tokenizer.ggml.pre") + std::string_view("tokenizer.ggml.pre").size() + 4;
  int n_names = 0;
  for (; out.peek() != EOF; ++n_names) {
    std::unique_ptr<Tokenizer> tokenizer;
    for (const std::string& text : texts) {
      std::string name;
      const auto expected = next_ids(out, &name);
      if (tokenizer == nullptr) {
        std::string length;
        append_number(length, uint64_t{name.size()});
        const std::string renamed = file.substr(0, at) + length + name + file.substr(at + 8 + 5);
        tokenizer = Tokenizer::create(GgufFile::parse(as_bytes(renamed), name));
      }
      CAPTURE(name);
      CAPTURE(text);
      CHECK(tokenizer->encode(text, {.add_bos = false}) == expected);
    }
  }
  CHECK(n_names > 30);
}

TEST_CASE("small unigram vocabularies give llama.cpp's tokens") {
  const auto texts = read_texts(kVectors + "unigram.inp");
  CHECK(texts.size() > 20);
  for (int i = 0; i < 8; ++i) {
    CAPTURE(i);
    const std::string path = kVectors + "unigram-" + std::to_string(i);
    const auto tokenizer = Tokenizer::create(GgufFile::open(path + ".gguf"));
    std::istringstream out(read_all(path + ".out"));
    for (const std::string& text : texts) {
      CAPTURE(text);
      CHECK(tokenizer->encode(text, {.add_bos = false}) == next_ids(out));
    }
  }
}
