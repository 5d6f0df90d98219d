#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

constexpr size_t kMaxTokens = 1u << 24;

template <typename... Args>
[[noreturn]] void fail(const GgufFile& file, const Args&... what) {
  throw EngineError(ErrorCode::kModelInvalid, concat(file.path(), ": ", what...));
}

/// A special token's id from metadata; the fallback, where the vocabulary has it, if the key is absent; else -1.
int32_t special_id(const GgufFile& file, std::string_view key, int32_t fallback, int32_t n_tokens) {
  const auto id = file.get_uint(key);
  if (!id.has_value()) return fallback < n_tokens ? fallback : -1;
  if (*id >= static_cast<uint64_t>(n_tokens)) {
    fail(file, key, " is ", *id, ", but the vocabulary has ", n_tokens, " tokens.");
  }
  return static_cast<int32_t>(*id);
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

Vocabulary::Vocabulary(const GgufFile& file) {
  const auto tokens = file.get_strings("tokenizer.ggml.tokens");
  if (!tokens.has_value() || tokens->empty()) fail(file, "tokenizer.ggml.tokens is missing or empty.");
  const size_t n = tokens->size();
  if (n > kMaxTokens) fail(file, "the vocabulary has ", n, " tokens; at most ", kMaxTokens, " are supported.");
  texts_.assign(tokens->begin(), tokens->end());

  scores_ = file.get_floats("tokenizer.ggml.scores").value_or(std::vector<float>(n, 0.0f));
  if (scores_.size() != n) fail(file, "tokenizer.ggml.scores has ", scores_.size(), " entries; expected ", n, ".");
  for (size_t i = 0; i < n; ++i) {
    // Merges are ordered by score; NaN has no order.
    if (std::isnan(scores_[i])) fail(file, "tokenizer.ggml.scores[", i, "] is not a number.");
  }
  const auto kinds = file.get_ints("tokenizer.ggml.token_type").value_or(std::vector<int32_t>(n, 1));
  if (kinds.size() != n) fail(file, "tokenizer.ggml.token_type has ", kinds.size(), " entries; expected ", n, ".");
  kinds_.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    if (kinds[i] < 1 || kinds[i] > 6)
      fail(file, "tokenizer.ggml.token_type[", i, "] is ", kinds[i], "; expected 1 to 6.");
    kinds_.push_back(static_cast<TokenKind>(kinds[i]));
  }

  index_.reserve(n);
  // Where two tokens have one text the last keeps it, as in llama.cpp.
  for (size_t i = 0; i < n; ++i) index_[texts_[i]] = static_cast<int32_t>(i);
  if (index_.size() < n) log_warning(file.path(), ": ", n - index_.size(), " tokens have the text of another token.");
  read_special(file);
  mark_ends();
  mark_strips_right(file);
}

int32_t Vocabulary::find(std::string_view text) const {
  const auto it = index_.find(text);
  return it == index_.end() ? -1 : it->second;
}

void Vocabulary::read_special(const GgufFile& file) {
  // A file of kind "llama" that names no special tokens has SentencePiece's: <unk>, <s>, </s>.
  const bool is_spm = file.get_string("tokenizer.ggml.model").value_or("") == "llama";
  unknown = special_id(file, "tokenizer.ggml.unknown_token_id", is_spm ? 0 : -1, n_tokens());
  bos = special_id(file, "tokenizer.ggml.bos_token_id", is_spm ? 1 : -1, n_tokens());
  eos = special_id(file, "tokenizer.ggml.eos_token_id", is_spm ? 2 : -1, n_tokens());
  eot = special_id(file, "tokenizer.ggml.eot_token_id", -1, n_tokens());
  add_bos = file.get_bool("tokenizer.ggml.add_bos_token").value_or(true) && bos >= 0;
  add_eos = file.get_bool("tokenizer.ggml.add_eos_token").value_or(false) && eos >= 0;
  add_space_prefix = file.get_bool("tokenizer.ggml.add_space_prefix").value_or(true);
}

void Vocabulary::mark_ends() {
  is_end_.assign(texts_.size(), false);
  for (const int32_t id : {eos, eot}) {
    if (id >= 0) is_end_[static_cast<size_t>(id)] = true;
  }
  // Chat models end a turn with a token that files seldom name by role, and whose kind is often wrong: a reply
  // must not show it, nor a text contain it by accident. Spellings and behaviour are llama.cpp's
  // (src/llama-vocab.cpp, where it fills `special_eog_ids`).
  static constexpr std::string_view kEndTexts[] = {
      "</s>",
      "<eos>",
      "<|end|>",
      "<|im_end|>",
      "<|eot_id|>",
      "<|eom_id|>",
      "<|endoftext|>",
      "<|return|>",
      "<|end_of_text|>",
      "<end_of_turn>",
      "<EOT>",
      "[EOT]",
      "<end_of_utterance>",
  };
  for (const std::string_view text : kEndTexts) {
    const int32_t id = find(text);
    if (id < 0) continue;
    is_end_[static_cast<size_t>(id)] = true;
    kinds_[static_cast<size_t>(id)] = TokenKind::kControl;
  }
}

void Vocabulary::mark_strips_right(const GgufFile& file) {
  strips_right_.assign(texts_.size(), false);
  // GGUF has no field for this. llama.cpp goes by the model's name: Phi-3's special tokens take the white space
  // after them, except those that SentencePiece defines itself.
  const std::string name = lower_case(file.get_string("general.name").value_or(""));
  if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) return;
  for (int32_t id = 0; id < n_tokens(); ++id) {
    const bool keeps = text(id) == "<unk>" || text(id) == "<s>" || text(id) == "<|endoftext|>";
    if ((is_special(id) || text(id) == "</s>") && !keeps) strips_right_[static_cast<size_t>(id)] = true;
  }
}

}  // namespace outpost
