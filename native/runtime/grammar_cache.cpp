#include "runtime/grammar_cache.h"

#include <algorithm>

namespace outpost {

std::shared_ptr<const TokenTexts> token_texts(const Tokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  std::vector<TokenTexts::Token> tokens;
  std::vector<int32_t> ends;
  for (int32_t id = 0; id < vocabulary.n_tokens(); ++id) {
    if (vocabulary.is_end(id)) {
      ends.push_back(id);
    } else if (vocabulary.kind(id) != TokenKind::kControl && vocabulary.kind(id) != TokenKind::kUnknown &&
               !tokenizer.bytes(id).empty()) {
      tokens.push_back({id, tokenizer.bytes(id)});
    }
  }
  return std::make_shared<TokenTexts>(std::move(tokens), std::move(ends), vocabulary.n_tokens());
}

std::shared_ptr<GrammarProgram> GrammarCache::get(const std::string& gbnf) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.gbnf == gbnf; });
  if (known != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, known);
    return entries_.front().program;
  }
  Grammar grammar = parse_gbnf(gbnf);
  if (texts_ == nullptr) texts_ = token_texts(model_.tokenizer());
  entries_.push_front({gbnf, std::make_shared<GrammarProgram>(std::move(grammar), texts_)});
  if (entries_.size() > kMost) entries_.pop_back();
  return entries_.front().program;
}

}  // namespace outpost
