#include "tokenizer/tokenizer.h"

#include <limits>

#include "core/strings.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/spm_tokenizer.h"
#include "tokenizer/unigram_tokenizer.h"
#include "tokenizer/wpm_tokenizer.h"

namespace outpost {

std::unique_ptr<Tokenizer> Tokenizer::create(const GgufFile& file) {
  Vocabulary vocabulary(file);
  switch (vocabulary.type()) {
    case VocabularyType::kSpm: return std::make_unique<SpmTokenizer>(std::move(vocabulary));
    case VocabularyType::kBpe: return std::make_unique<BpeTokenizer>(std::move(vocabulary), file);
    case VocabularyType::kWpm: return std::make_unique<WpmTokenizer>(std::move(vocabulary), file);
    case VocabularyType::kUnigram: return std::make_unique<UnigramTokenizer>(std::move(vocabulary), file);
  }
  throw EngineError(ErrorCode::kInternal, "A vocabulary has no type.");
}

Tokenizer::Tokenizer(Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)), all_special_(vocabulary_, true), user_defined_(vocabulary_, false) {
  bytes_.resize(static_cast<size_t>(vocabulary_.n_tokens()));
  for (int32_t id = 0; id < vocabulary_.n_tokens(); ++id) {
    const bool is_shown = vocabulary_.kind(id) == TokenKind::kUserDefined || vocabulary_.is_shown(id);
    if (is_shown) bytes_[static_cast<size_t>(id)] = vocabulary_.text(id);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const int32_t id = vocabulary_.find_byte(byte);
    const bool is_byte = id >= 0 && vocabulary_.kind(id) == TokenKind::kByte;
    if (is_byte) bytes_[static_cast<size_t>(id)] = static_cast<char>(byte);
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const TokenizeOptions& options) const {
  std::vector<int32_t> ids;
  Encoding out(ids, nullptr, text.size());
  encode_into(text, options, out);
  return ids;
}

TokenizedText Tokenizer::encode_with_begins(std::string_view text, const TokenizeOptions& options) const {
  TokenizedText tokens;
  Encoding out(tokens.ids, &tokens.begins, text.size());
  encode_into(text, options, out);
  return tokens;
}

std::vector<int32_t> Tokenizer::encode_inside(std::string_view text) const {
  std::vector<int32_t> ids;
  Encoding out(ids, nullptr, text.size());
  encode_plain(text, 0, /*is_after_special=*/false, out);
  return ids;
}

void Tokenizer::encode_into(std::string_view text, const TokenizeOptions& options, Encoding& out) const {
  check_length(text);
  out.ids.reserve(text.size() / 3 + 2);
  if (options.add_bos && vocabulary_.add_bos) out.add(vocabulary_.bos, 0);
  encode_range(text, 0, text.size(), matcher(options), /*is_after_special=*/true, out);
  if (options.add_eos && vocabulary_.add_eos) out.add(vocabulary_.eos, text.size());
  if (options.add_eos && vocabulary_.add_separator) out.add(vocabulary_.separator, text.size());
}

void Tokenizer::encode_range(std::string_view text, size_t begin, size_t end, const SpecialMatcher& special,
                             bool is_after_special, Encoding& out) const {
  for (const Fragment& fragment : special.split(text.substr(begin, end - begin))) {
    const size_t at = begin + fragment.begin;
    if (fragment.id >= 0) {
      out.add(fragment.id, at);
    } else {
      encode_plain(text.substr(at, fragment.end - fragment.begin), at, is_after_special, out);
    }
    is_after_special = fragment.id >= 0;
  }
}

void Tokenizer::check_length(std::string_view text) {
  if (text.size() <= std::numeric_limits<int32_t>::max()) return;
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("Cannot tokenize ", text.size(), " bytes at once; at most 2^31 - 1."));
}

bool Tokenizer::Encoding::add_known(const WordCache::Entry& entry, std::string_view word, size_t begin) {
  if (!entry.holds(word)) return false;
  const size_t at = ids.size(), first = entry.first_id;
  ids.resize(at + entry.n_ids);
  for (size_t i = 0; i < entry.n_ids; ++i) ids[at + i] = ids[first + i];
  if (begins != nullptr) {
    begins->resize(ids.size());
    const size_t known_begin = entry.begin;
    for (size_t i = 0; i < entry.n_ids; ++i) {
      (*begins)[at + i] = static_cast<uint32_t>(begin + ((*begins)[first + i] - known_begin));
    }
  }
  return true;
}

}  // namespace outpost
