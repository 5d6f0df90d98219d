#include "tokenizer/wpm_tokenizer.h"

#include "tokenizer/escaped_word.h"

namespace outpost {
namespace {

/// What BERT's tokenizer calls Chinese: each such character is a word. The gap from U+2B820 on is in Hugging Face's
/// implementation, which models were trained with.
bool is_word_alone(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

}  // namespace

WpmTokenizer::WpmTokenizer(Vocabulary vocabulary_in, const GgufFile& file) : Tokenizer(std::move(vocabulary_in)) {
  const Vocabulary& vocab = vocabulary();
  lowers_case_ = file.get_bool("tokenizer.ggml.normalizer.lowercase").value_or(true);
  strips_accents_ = file.get_bool("tokenizer.ggml.normalizer.strip_accents").value_or(lowers_case_);
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    const std::string& text = vocab.text(id);
    if (vocab.kind(id) == TokenKind::kNormal) bytes_[static_cast<size_t>(id)] = unescape_spaces(text);
    if (vocab.find_plain(text) == id) tokens_.insert(text, id);
  }
}

void WpmTokenizer::encode_plain(std::string_view text, size_t begin, bool, Encoding& out) const {
  std::string word;
  size_t word_begin = 0;
  const auto end_word = [&] {
    if (!word.empty()) encode_word(word, begin + word_begin, out);
    word.clear();
  };
  DecodedChar c;
  for (size_t at = 0; at < text.size(); at += c.n_bytes) {
    c = decode_char(text.substr(at));
    uint32_t code = strips_accents_ ? first_of_nfd(c.code_point) : c.code_point;
    const CharClass cls = char_class(code);
    if ((cls & kWhiteSpace) != 0) {
      end_word();
      continue;
    }
    const bool is_dropped =
        code == 0 || code == kReplacementCharacter || (cls & kControl) != 0 || (strips_accents_ && (cls & kMark) != 0);
    if (is_dropped) continue;
    const bool is_alone = (cls & kPunctuation) != 0 || (code < 0x7F && (cls & kSymbol) != 0) || is_word_alone(code);
    if (is_alone) end_word();
    if (word.empty()) word_begin = at;
    append_utf8(word, lowers_case_ ? to_lower(code) : code);
    if (is_alone) end_word();
  }
  end_word();
}

void WpmTokenizer::encode_word(std::string_view word, size_t begin, Encoding& out) const {
  const std::string spelled = std::string(kEscapedSpace) + std::string(word);
  std::vector<int32_t> ids;
  for (size_t at = 0; at < spelled.size();) {
    size_t n = 0;
    int32_t id = -1;
    tokens_.prefixes(std::string_view(spelled).substr(at), [&](size_t length, int32_t found) {
      n = length;
      id = found;
    });
    if (n == 0) {  // a word is spelled completely or not at all
      ids.assign(1, vocabulary().unknown);
      break;
    }
    ids.push_back(id);
    at += n;
  }
  for (const int32_t id : ids) {
    if (id >= 0) out.add(id, begin);
  }
}

}  // namespace outpost
