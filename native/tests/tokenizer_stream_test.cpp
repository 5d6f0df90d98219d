// From tokens to text, for every vocabulary: whatever a model says, only whole characters leave the stream.
#include <doctest/doctest.h>

#include <random>

#include "runtime/text_stream.h"
#include "tests/support/bpe_vocabulary.h"
#include "tests/support/vocabularies.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// The UTF-8 decoder of the WHATWG Encoding Standard (section 8.1.1), which replaces errors by U+FFFD.
std::string reference_decode(std::string_view bytes) {
  std::string out, pending;
  int n_needed = 0;
  unsigned low = 0x80, high = 0xBF;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (n_needed == 0) {
      pending.clear();
      if (byte <= 0x7F) {
        out += bytes[i];
        continue;
      }
      n_needed = byte >= 0xC2 && byte <= 0xDF   ? 1
                 : byte >= 0xE0 && byte <= 0xEF ? 2
                 : byte >= 0xF0 && byte <= 0xF4 ? 3
                                                : 0;
      if (byte == 0xE0) low = 0xA0;
      if (byte == 0xED) high = 0x9F;
      if (byte == 0xF0) low = 0x90;
      if (byte == 0xF4) high = 0x8F;
      if (n_needed == 0) out += "\uFFFD";
      pending += bytes[i];
      continue;
    }
    const bool is_good = byte >= low && byte <= high;
    low = 0x80, high = 0xBF;
    if (!is_good) {
      n_needed = 0;
      out += "\uFFFD";
      --i;  // the byte is read again
      continue;
    }
    pending += bytes[i];
    if (--n_needed == 0) out += pending;
  }
  if (n_needed > 0) out += "\uFFFD";
  return out;
}

}  // namespace

TEST_CASE("any tokens of any vocabulary stream as whole characters that add up to their bytes") {
  std::mt19937 random(17);
  for (const std::string name : kVocabularies) {
    CAPTURE(name);
    const auto path = vocabulary_file(name, "streaming with the vocabularies of llama.cpp");
    if (!path) return;
    const auto tokenizer = Tokenizer::create(GgufFile::open(*path));
    std::vector<int32_t> broken;  // tokens that are not whole characters are rare: they need a place of their own
    for (int32_t id = 0; id < tokenizer->vocabulary().n_tokens(); ++id) {
      if (!is_utf8(tokenizer->bytes(id))) broken.push_back(id);
    }
    for (int round = 0; round < 300; ++round) {
      std::vector<int32_t> ids;
      for (int i = 0; i < 60; ++i) {
        const bool is_broken = !broken.empty() && random() % 2 == 0;
        ids.push_back(is_broken
                          ? broken[random() % broken.size()]
                          : static_cast<int32_t>(random() % static_cast<uint32_t>(tokenizer->vocabulary().n_tokens())));
      }
      TextStream stream({});
      std::string text;
      for (const int32_t id : ids) {
        const std::string part = stream.push(tokenizer->bytes(id));
        CHECK(is_utf8(part));
        text += part;
      }
      text += stream.finish();
      CHECK(text == reference_decode(decode(*tokenizer, ids)));
    }
  }
}

TEST_CASE("random Unicode and random bytes survive every vocabulary that has all bytes") {
  std::mt19937 random(19);
  for (const std::string name : {"gpt-2", "starcoder", "falcon", "llama-bpe", "qwen2", "qwen35", "llama-spm"}) {
    CAPTURE(name);
    const auto path = vocabulary_file(name, "round trips with the vocabularies of llama.cpp");
    if (!path) return;
    const auto tokenizer = Tokenizer::create(GgufFile::open(*path));
    const std::string prefix = tokenizer->vocabulary().add_space_prefix ? " " : "";
    std::string missing;  // bytes that the vocabulary has no token for: falcon's are some that occur in no text
    for (int byte = 0; byte < 256; ++byte) {
      const std::string text(1, static_cast<char>(byte));
      if (tokenizer->encode(text, {.add_bos = false}).empty()) missing += text;
    }
    CHECK(missing.size() < 30);
    int n_compared = 0;
    for (int round = 0; round < 400; ++round) {
      std::string text;
      const bool is_unicode = round % 2 == 0;
      for (size_t n = 1 + random() % 80; n > 0; --n) {
        const uint32_t code = random() % 4 == 0 ? random() % 0x11000 : random() % 0x250;
        if (!is_unicode) {
          text += static_cast<char>(random() % 256);
        } else if (code < 0xD800 || code > 0xDFFF) {
          append_utf8(text, code);
        }
      }
      // SentencePiece reads U+2581 as a space, and a space that a broken character takes as U+2581.
      const bool is_spm = !prefix.empty();
      if (is_spm &&
          (text.find("\u2581") != std::string::npos || (!is_unicode && text.find(' ') != std::string::npos))) {
        continue;
      }
      if (text.empty() || text.find_first_of(missing) != std::string::npos) continue;
      ++n_compared;
      CHECK(decode(*tokenizer, tokenizer->encode(text, {.add_bos = false})) == prefix + text);
    }
    CHECK(n_compared > 100);
  }
}
