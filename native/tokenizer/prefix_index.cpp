#include "tokenizer/prefix_index.h"

#include <algorithm>

namespace outpost {
namespace {

/// Letters, digits and what names of programming languages have besides; all that is not ASCII, which is mostly
/// letters.
bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte >= 0x80 ||
         byte == '_' || byte == '$';
}

}  // namespace

PrefixIndex::PrefixIndex(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  const Vocabulary& vocab = tokenizer.vocabulary();
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    const bool is_text = vocab.kind(id) != TokenKind::kControl && vocab.kind(id) != TokenKind::kUnknown &&
                         !vocab.is_end(id) && !tokenizer.bytes(id).empty();
    if (is_text) sorted_.push_back(id);
  }
  std::sort(sorted_.begin(), sorted_.end(),
            [&](int32_t a, int32_t b) { return tokenizer.bytes(a) < tokenizer.bytes(b); });
}

void PrefixIndex::find(std::string_view text, std::vector<int32_t>& ids) const {
  ids.clear();
  if (text.empty()) return;
  // Always the tokens that begin with text[0, n): those of n bytes first, the others ordered by their next byte.
  auto begin = sorted_.begin(), end = sorted_.end();
  for (size_t n = 0; n < text.size() && begin != end; ++n) {
    const auto next_byte = [&](int32_t id) { return static_cast<unsigned char>(tokenizer_.bytes(id)[n]); };
    const auto byte = static_cast<unsigned char>(text[n]);
    const auto longer = std::partition_point(begin, end, [&](int32_t id) { return tokenizer_.bytes(id).size() == n; });
    ids.insert(ids.end(), begin, longer);
    begin = std::partition_point(longer, end, [&](int32_t id) { return next_byte(id) < byte; });
    end = std::partition_point(begin, end, [&](int32_t id) { return next_byte(id) == byte; });
  }
  drop_cuts(text, ids);
  ids.insert(ids.end(), begin, end);
}

/// @param ids the tokens that are a prefix of `text` and not all of it
void PrefixIndex::drop_cuts(std::string_view text, std::vector<int32_t>& ids) const {
  const auto is_cut = [&](int32_t id) {
    const std::string_view bytes = tokenizer_.bytes(id);
    return is_word_byte(bytes.back()) && is_word_byte(text[bytes.size()]);
  };
  if (std::none_of(ids.begin(), ids.end(), is_cut)) return;
  const std::vector<int32_t> encoded = tokenizer_.encode_inside(text);
  if (encoded.empty()) return;
  const int32_t first = encoded.front();
  // A vocabulary without byte tokens may encode what it cannot spell: then every way there is remains.
  const bool starts_so = std::find(ids.begin(), ids.end(), first) != ids.end();
  const bool is_all = !tokenizer_.bytes(first).empty() && tokenizer_.bytes(first) == text;
  if (!starts_so && !is_all) return;
  std::erase_if(ids, [&](int32_t id) { return id != first && is_cut(id); });
}

}  // namespace outpost
