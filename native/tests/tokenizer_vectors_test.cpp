// llama.cpp's own test texts: every vocabulary gives the recorded tokens.
#include <doctest/doctest.h>

#include <filesystem>
#include <iterator>
#include <sstream>

#include "tests/support/shared_data.h"
#include "tests/support/vocabularies.h"
#include "tokenizer/tokenizer.h"

using namespace outpost;
using namespace outpost::test;

TEST_CASE("llama.cpp's vectors: every text gives the recorded tokens") {
  for (const std::string name : kVocabularies) {
    CAPTURE(name);
    const auto path = vocabulary_file(name, "llama.cpp's vectors");
    if (!path) return;
    const auto tokenizer = Tokenizer::create(GgufFile::open(*path));
    const bool is_exact = tokenizer->vocabulary().type() != VocabularyType::kWpm;
    const std::string prefix = tokenizer->vocabulary().add_space_prefix ? " " : "";
    const std::string inputs = read_all(*path + ".inp");
    std::istringstream outputs(read_all(*path + ".out"));
    static const std::string kSeparator = "\n__ggml_vocab_test__\n";
    int n_texts = 0;
    for (size_t at = 0; at < inputs.size(); ++n_texts) {
      const size_t end = std::min(inputs.find(kSeparator, at), inputs.size());
      const std::string text = inputs.substr(at, end - at);
      at = end + kSeparator.size();
      CAPTURE(text);
      std::string line;
      REQUIRE(std::getline(outputs, line));
      std::istringstream numbers(line);
      const std::vector<int32_t> expected{std::istream_iterator<int32_t>(numbers), {}};
      CHECK(tokenizer->encode(text, {.add_bos = false}) == expected);
      std::string decoded;
      for (const int32_t id : expected) decoded += tokenizer->bytes(id);
      // The prefix space is the only difference between a text and the bytes of its tokens.
      if (is_exact && !text.empty()) CHECK(decoded == prefix + text);
    }
    CHECK(n_texts > 40);
  }
}
