// The tokens of a model: text, score and kind of each, and the special ones by role.
// Immutable after construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gguf/gguf_file.h"

namespace outpost {

/// GGUF's `tokenizer.ggml.token_type`.
enum class TokenKind : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

class Vocabulary {
 public:
  /// Copies what it needs: the file may be closed afterwards.
  /// @throws EngineError kModelInvalid for missing or inconsistent tables
  explicit Vocabulary(const GgufFile& file);
  Vocabulary(Vocabulary&&) = default;
  Vocabulary(const Vocabulary&) = delete;  // the index points into this object's texts

  int32_t n_tokens() const { return static_cast<int32_t>(texts_.size()); }
  const std::string& text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  float score(int32_t id) const { return scores_[static_cast<size_t>(id)]; }
  TokenKind kind(int32_t id) const { return kinds_[static_cast<size_t>(id)]; }
  /// True if encoding looks for this token's text before all else and cuts the text there.
  bool is_special(int32_t id) const {
    return kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUserDefined || kind(id) == TokenKind::kUnknown;
  }
  /// True if white space after this special token belongs to it.
  bool strips_right(int32_t id) const { return strips_right_[static_cast<size_t>(id)]; }
  /// True for a token after which a reply is over.
  bool is_end(int32_t id) const { return is_end_[static_cast<size_t>(id)]; }
  /// @return -1 if no token has this text
  int32_t find(std::string_view text) const;

  int32_t bos = -1, eos = -1, eot = -1, unknown = -1;  ///< -1 where there is none
  bool add_bos = true, add_eos = false, add_space_prefix = true;

 private:
  void read_special(const GgufFile& file);
  void mark_ends();
  void mark_strips_right(const GgufFile& file);

  std::vector<std::string> texts_;
  std::vector<float> scores_;
  std::vector<TokenKind> kinds_;
  std::vector<bool> strips_right_, is_end_;
  std::unordered_map<std::string_view, int32_t> index_;  // views into texts_, which never changes
};

}  // namespace outpost
