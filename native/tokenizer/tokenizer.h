// Text to token ids and back. One implementation per kind of vocabulary; special tokens are found here, once.
// Immutable after construction: safe to use from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"
#include "tokenizer/vocabulary.h"

namespace outpost {

class Tokenizer {
 public:
  /// @throws EngineError kModelInvalid, kModelUnsupported for a kind of tokenizer that is not built in
  static std::unique_ptr<Tokenizer> create(const GgufFile& file);
  virtual ~Tokenizer() = default;

  const Vocabulary& vocabulary() const { return vocabulary_; }

  /// Any bytes are accepted; what is not UTF-8 becomes byte tokens where the vocabulary has them.
  std::vector<int32_t> encode(std::string_view text, const TokenizeOptions& options) const;

  /// The bytes of one token, exactly; empty for control and unknown tokens.
  /// @pre 0 <= id < n_tokens
  virtual std::string_view bytes(int32_t id) const = 0;

  /// The ids of text without special tokens that follows other text.
  std::vector<int32_t> encode_inside(std::string_view text) const {
    std::vector<int32_t> ids;
    encode_plain(text, /*is_after_special=*/false, ids);
    return ids;
  }

  /// The bytes of the tokens that `text` without special tokens becomes after the token `previous`: the text, and what
  /// the encoding puts in front of it there.
  /// @pre 0 <= previous < n_tokens
  std::string bytes_after(int32_t previous, std::string_view text) const {
    return (vocabulary_.is_special(previous) ? std::string(prefix_after_special()) : std::string()) + std::string(text);
  }

 protected:
  explicit Tokenizer(Vocabulary vocabulary);

  /// Appends the ids of text that holds no special tokens. `is_after_special` is true at the start of the
  /// input and after a special token.
  virtual void encode_plain(std::string_view text, bool is_after_special, std::vector<int32_t>& ids) const = 0;
  /// What `encode_plain` puts before text after a special token, as `bytes` reads it.
  virtual std::string_view prefix_after_special() const = 0;

 private:
  Vocabulary vocabulary_;
  std::vector<int32_t> special_;  // control, unknown and user-defined tokens, longest text first
};

}  // namespace outpost
