#include "tokenizer/vocabulary.h"

#include <cmath>

#include "core/log.h"
#include "core/strings.h"

namespace outpost {
namespace {

constexpr size_t kMaxTokens = 1u << 24;
// Real ones have less than a hundred. They are looked for at every byte of a text.
constexpr size_t kMaxSpecialBytes = 1024;

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

std::string names_of_pre_tokenizers() {
  std::string out;
  for (const std::string_view name : pre_tokenizer_names()) out += concat(out.empty() ? "" : ", ", name);
  return out;
}

}  // namespace

Vocabulary::Vocabulary(const GgufFile& file) {
  read_type(file);
  read_tokens(file);
  read_special(file);
  find_special_by_text();
  mark_ends();
  read_flags(file);
  mark_strips(file);
  for (int32_t id = 0; id < n_tokens(); ++id) {
    if (is_special(id) && text(id).size() > kMaxSpecialBytes) {
      fail(file, "the special token ", id, " has ", text(id).size(), " bytes; at most ", kMaxSpecialBytes, ".");
    }
  }
}

int32_t Vocabulary::find_byte(int byte) const {
  static constexpr char kHex[] = "0123456789ABCDEF";
  const char text[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
  return find_plain({text, sizeof(text)});
}

void Vocabulary::read_type(const GgufFile& file) {
  const auto model = file.get_string("tokenizer.ggml.model");
  if (!model.has_value()) fail(file, "tokenizer.ggml.model is missing.");
  std::string_view pre = file.get_string("tokenizer.ggml.pre").value_or("");
  if (*model == "llama") {
    type_ = VocabularyType::kSpm;
  } else if (*model == "gpt2" || *model == "gemma4") {
    type_ = VocabularyType::kBpe;
    if (*model == "gemma4") pre = "gemma4";
  } else if (*model == "bert") {
    type_ = VocabularyType::kWpm;
  } else if (*model == "t5") {
    type_ = VocabularyType::kUnigram;
  } else {
    throw EngineError(
        ErrorCode::kModelUnsupported,
        concat(file.path(), ": the tokenizer ", in_quotes(*model), " is not supported; expected \"llama\" ",
               "(SPM), \"gpt2\" (BPE), \"gemma4\" (BPE), \"bert\" (WPM) or \"t5\" (unigram)."));
  }
  if (type_ != VocabularyType::kBpe) return;
  if (pre.empty()) {
    log_warning(file.path(), ": tokenizer.ggml.pre is missing; text may be cut into other tokens than in training.");
    pre = "default";
  }
  pre_tokenizer_ = find_pre_tokenizer(pre);
  if (pre_tokenizer_ == nullptr) {
    throw EngineError(ErrorCode::kModelUnsupported,
                      concat(file.path(), ": the pre-tokenizer ", in_quotes(pre), " is not supported; it knows ",
                             names_of_pre_tokenizers(), "."));
  }
}

void Vocabulary::read_tokens(const GgufFile& file) {
  const auto tokens = file.get_strings("tokenizer.ggml.tokens");
  if (!tokens.has_value() || tokens->empty()) fail(file, "tokenizer.ggml.tokens is missing or empty.");
  const size_t n = tokens->size();
  if (n > kMaxTokens) fail(file, "the vocabulary has ", n, " tokens; at most ", kMaxTokens, " are supported.");
  texts_.assign(tokens->begin(), tokens->end());
  for (size_t i = 0; i < n; ++i) {
    if (texts_[i].empty()) texts_[i] = concat("[EMPTY_", i, "]");  // as llama.cpp: no text may be without bytes
  }

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

  index_ = TokenIndex(n);
  // Where two tokens have one text the last keeps it, as in llama.cpp.
  for (size_t i = 0; i < n; ++i) index_.set(texts_[i], static_cast<int32_t>(i));
  if (index_.size() < n) log_warning(file.path(), ": ", n - index_.size(), " tokens have the text of another token.");
}

void Vocabulary::read_special(const GgufFile& file) {
  /// Ids that files of a type have where they do not name them.
  struct Defaults {
    int32_t bos, eos, unknown, separator;
  };
  const Defaults defaults = type_ == VocabularyType::kSpm       ? Defaults{1, 2, 0, -1}
                            : type_ == VocabularyType::kWpm     ? Defaults{101, -1, 100, 102}
                            : type_ == VocabularyType::kUnigram ? Defaults{-1, 1, 2, -1}
                                                                : Defaults{-1, -1, -1, -1};
  const auto id = [&](std::string_view key, int32_t fallback) { return special_id(file, key, fallback, n_tokens()); };
  bos = id("tokenizer.ggml.bos_token_id", id("tokenizer.ggml.cls_token_id", defaults.bos));
  eos = id("tokenizer.ggml.eos_token_id", defaults.eos);
  eot = id("tokenizer.ggml.eot_token_id", -1);
  eom = id("tokenizer.ggml.eom_token_id", -1);
  unknown = id("tokenizer.ggml.unknown_token_id", defaults.unknown);
  separator = id("tokenizer.ggml.seperator_token_id", defaults.separator);  // GGUF spells it so
  // The names without "fim" are older.
  fim.prefix = id("tokenizer.ggml.fim_pre_token_id", id("tokenizer.ggml.prefix_token_id", -1));
  fim.suffix = id("tokenizer.ggml.fim_suf_token_id", id("tokenizer.ggml.suffix_token_id", -1));
  fim.middle = id("tokenizer.ggml.fim_mid_token_id", id("tokenizer.ggml.middle_token_id", -1));
  fim.pad = id("tokenizer.ggml.fim_pad_token_id", -1);
  fim.repository = id("tokenizer.ggml.fim_rep_token_id", -1);
  fim.file_separator = id("tokenizer.ggml.fim_sep_token_id", -1);
}

void Vocabulary::read_flags(const GgufFile& file) {
  const bool is_wpm = type_ == VocabularyType::kWpm;
  const bool is_unigram = type_ == VocabularyType::kUnigram;
  const bool is_spm = type_ == VocabularyType::kSpm;
  const auto flag = [&](std::string_view key, bool fallback) { return file.get_bool(key).value_or(fallback); };
  const PreTokenizer pre = pre_tokenizer_ != nullptr ? *pre_tokenizer_ : PreTokenizer{};
  add_bos = flag("tokenizer.ggml.add_bos_token", is_spm || pre.add_bos);
  add_eos = flag("tokenizer.ggml.add_eos_token", is_unigram);
  add_separator = flag("tokenizer.ggml.add_sep_token", is_wpm || pre.add_sep);
  // BERT's inputs always have both; gemma 4's files are often wrong.
  if (is_wpm) add_bos = add_separator = true;
  if (pre.forces_add_bos) add_bos = true;
  add_bos = add_bos && bos >= 0;
  add_eos = add_eos && eos >= 0;
  add_separator = add_separator && separator >= 0;
  add_space_prefix = flag("tokenizer.ggml.add_space_prefix", is_spm);
  remove_extra_spaces = flag("tokenizer.ggml.remove_extra_whitespaces", false);
}

}  // namespace outpost
