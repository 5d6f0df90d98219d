// The tokens of a model: text, score and kind of each, the special ones by role, and what the file says about encoding.
// Immutable after construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"
#include "gguf/gguf_file.h"
#include "tokenizer/splitter.h"
#include "tokenizer/token_index.h"

namespace outpost {

/// GGUF's `tokenizer.ggml.token_type`.
enum class TokenKind : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/// GGUF's `tokenizer.ggml.model`: "llama", "gpt2" (and "gemma4"), "bert", "t5".
enum class VocabularyType { kSpm, kBpe, kWpm, kUnigram };

class Vocabulary {
 public:
  /// Copies what it needs: the file may be closed afterwards.
  /// @throws EngineError kModelInvalid for missing or inconsistent tables; kModelUnsupported for a type or a
  ///         pre-tokenizer that is not built in
  explicit Vocabulary(const GgufFile& file);
  Vocabulary(Vocabulary&&) = default;
  Vocabulary(const Vocabulary&) = delete;  // the index points into this object's texts

  VocabularyType type() const { return type_; }
  /// How byte-pair vocabularies cut text; null for the others.
  const PreTokenizer* pre_tokenizer() const { return pre_tokenizer_; }

  int32_t n_tokens() const { return static_cast<int32_t>(texts_.size()); }
  const std::string& text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  float score(int32_t id) const { return scores_[static_cast<size_t>(id)]; }
  TokenKind kind(int32_t id) const { return kinds_[static_cast<size_t>(id)]; }
  /// True if encoding looks for this token's text before all else and cuts the text there.
  bool is_special(int32_t id) const {
    return kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUserDefined || kind(id) == TokenKind::kUnknown;
  }
  /// True if white space before or after this special token belongs to it.
  bool strips_left(int32_t id) const { return id == strips_left_; }
  bool strips_right(int32_t id) const { return strips_right_[static_cast<size_t>(id)]; }
  /// True for a token after which a reply is over.
  bool is_end(int32_t id) const { return is_end_[static_cast<size_t>(id)]; }
  /// True for control tokens that are part of a reply's text: they mark its parts.
  bool is_shown(int32_t id) const { return is_shown_[static_cast<size_t>(id)]; }
  /// @return -1 if no token has this text; of several that have it the last
  int32_t find(std::string_view text) const { return index_.find(text); }
  /// As `find`, but never a control or unknown token: what text may become that is only text.
  int32_t find_plain(std::string_view text) const {
    const int32_t id = find(text);
    return id >= 0 && (kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown) ? -1 : id;
  }

  /// The token "<0x0A>" of a byte, -1 if there is none.
  int32_t find_byte(int byte) const;

  int32_t bos = -1, eos = -1, eot = -1, eom = -1, unknown = -1, separator = -1;  ///< -1 where there is none
  FimTokens fim;
  bool add_bos = false, add_eos = false, add_separator = false;
  bool add_space_prefix = false, remove_extra_spaces = false;

 private:
  void read_type(const GgufFile& file);
  void read_tokens(const GgufFile& file);
  void read_special(const GgufFile& file);
  void read_flags(const GgufFile& file);
  void find_special_by_text();
  void mark_ends();
  void mark_strips(const GgufFile& file);
  int32_t find_control(std::initializer_list<std::string_view> texts);

  VocabularyType type_ = VocabularyType::kSpm;
  const PreTokenizer* pre_tokenizer_ = nullptr;
  std::vector<std::string> texts_;
  std::vector<float> scores_;
  std::vector<TokenKind> kinds_;
  int32_t strips_left_ = -1;
  std::vector<bool> strips_right_, is_end_, is_shown_;
  TokenIndex index_;  // views into texts_, which never changes
};

}  // namespace outpost
