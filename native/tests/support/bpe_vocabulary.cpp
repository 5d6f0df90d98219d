#include "tests/support/bpe_vocabulary.h"

#include <algorithm>
#include <array>

namespace outpost::test {

std::string spell_bytes(std::string_view bytes) {
  // GPT-2's bytes_to_unicode: bytes that can be seen are themselves, the others follow from U+0100 on in order.
  static const std::array<std::string, 256> spellings = [] {
    std::array<std::string, 256> out;
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool is_seen = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const uint32_t c = is_seen ? byte : next++;
      if (c < 128) {
        out[byte] = std::string(1, static_cast<char>(c));
      } else {
        out[byte] = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
      }
    }
    return out;
  }();
  std::string out;
  for (const char c : bytes) out += spellings[static_cast<unsigned char>(c)];
  return out;
}

std::vector<std::string> add_bpe_vocabulary(GgufWriter& writer, const BpeVocabulary& vocabulary) {
  std::vector<std::string> texts, merges;
  std::vector<int32_t> kinds(256, 1);
  for (int byte = 0; byte < 256; ++byte) texts.push_back(spell_bytes(std::string(1, static_cast<char>(byte))));
  for (const auto& [left, right] : vocabulary.merges) {
    merges.push_back(spell_bytes(left) + " " + spell_bytes(right));
    const std::string text = spell_bytes(left + right);
    if (!vocabulary.has_merged_tokens || std::find(texts.begin(), texts.end(), text) != texts.end()) continue;
    texts.push_back(text);
    kinds.push_back(1);
  }
  for (const Piece& piece : vocabulary.others) {
    texts.push_back(piece.text);
    kinds.push_back(piece.kind);
  }
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", vocabulary.pre);
  writer.add_strings("tokenizer.ggml.tokens", texts);
  writer.add_int32s("tokenizer.ggml.token_type", kinds);
  writer.add_strings("tokenizer.ggml.merges", merges);
  return texts;
}

std::unique_ptr<Tokenizer> make_tokenizer(const GgufWriter& writer) {
  const std::string bytes = writer.bytes();
  return Tokenizer::create(GgufFile::parse(as_bytes(bytes), "vocab.gguf"));
}

std::unique_ptr<Tokenizer> make_tokenizer(const BpeVocabulary& vocabulary) {
  GgufWriter writer;
  add_bpe_vocabulary(writer, vocabulary);
  return make_tokenizer(writer);
}

std::string decode(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string out;
  for (const int32_t id : ids) out += tokenizer.bytes(id);
  return out;
}

}  // namespace outpost::test
