#include "tokenizer/prefix_index.h"

#include <algorithm>

namespace outpost {

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
  ids.insert(ids.end(), begin, end);
}

}  // namespace outpost
