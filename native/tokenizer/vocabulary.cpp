#include "tokenizer/vocabulary.h"

#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

/// A special token's id from metadata, -1 if absent.
int32_t special_id(const GgufFile& file, std::string_view key, size_t n_tokens) {
  const auto id = file.get_uint(key);
  if (!id.has_value()) return -1;
  if (*id >= n_tokens) {
    throw EngineError(ErrorCode::kModelInvalid,
                      concat(file.path(), ": ", key, " is ", *id, ", but the vocabulary has ", n_tokens, " tokens."));
  }
  return static_cast<int32_t>(*id);
}

}  // namespace

Vocabulary::Vocabulary(const GgufFile& file) {
  const auto fail = [&](const auto&... what) {
    throw EngineError(ErrorCode::kModelInvalid, concat(file.path(), ": ", what...));
  };
  const auto tokens = file.get_strings("tokenizer.ggml.tokens");
  if (!tokens.has_value() || tokens->empty()) fail("tokenizer.ggml.tokens is missing or empty.");
  const size_t n = tokens->size();
  if (n > (1u << 24)) fail("the vocabulary has ", n, " tokens; at most 16777216 are supported.");

  texts_.assign(tokens->begin(), tokens->end());
  scores_ = file.get_floats("tokenizer.ggml.scores").value_or(std::vector<float>(n, 0.0f));
  if (scores_.size() != n) fail("tokenizer.ggml.scores has ", scores_.size(), " entries; expected ", n, ".");
  const auto kinds = file.get_ints("tokenizer.ggml.token_type").value_or(std::vector<int32_t>(n, 1));
  if (kinds.size() != n) fail("tokenizer.ggml.token_type has ", kinds.size(), " entries; expected ", n, ".");
  kinds_.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    if (kinds[i] < 1 || kinds[i] > 6) fail("tokenizer.ggml.token_type[", i, "] is ", kinds[i], "; expected 1 to 6.");
    kinds_.push_back(static_cast<TokenKind>(kinds[i]));
  }
  index_.reserve(n);
  // Where two tokens have one text the first keeps it, so that encoding does not depend on a hash map's order.
  for (size_t i = 0; i < n; ++i) index_.emplace(texts_[i], static_cast<int32_t>(i));

  bos = special_id(file, "tokenizer.ggml.bos_token_id", n);
  eos = special_id(file, "tokenizer.ggml.eos_token_id", n);
  eot = special_id(file, "tokenizer.ggml.eot_token_id", n);
  unknown = special_id(file, "tokenizer.ggml.unknown_token_id", n);
  add_bos = file.get_bool("tokenizer.ggml.add_bos_token").value_or(true) && bos >= 0;
  add_eos = file.get_bool("tokenizer.ggml.add_eos_token").value_or(false) && eos >= 0;
  add_space_prefix = file.get_bool("tokenizer.ggml.add_space_prefix").value_or(true);
}

int32_t Vocabulary::find(std::string_view text) const {
  const auto it = index_.find(text);
  return it == index_.end() ? -1 : it->second;
}

}  // namespace outpost
