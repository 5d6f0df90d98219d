// Text to token ids and back. One implementation per type of vocabulary; special tokens are found here, once.
// Immutable after construction: safe to use from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/word_cache.h"

namespace outpost {

/// Tokens with the place in the text where each begins.
struct TokenizedText {
  std::vector<int32_t> ids;
  /// Never decreasing. A token that stands for part of a character, or that normalization made, begins where its
  /// character or word does. BOS begins at 0, EOS and SEP at the end.
  std::vector<uint32_t> begins;
};

/// `n_removed` bytes at `begin` of a text were replaced by `n_inserted` others.
struct TextEdit {
  size_t begin = 0, n_removed = 0, n_inserted = 0;
};

class Tokenizer {
 public:
  /// @throws EngineError kModelInvalid, kModelUnsupported for a kind of tokenizer that is not built in
  static std::unique_ptr<Tokenizer> create(const GgufFile& file);
  virtual ~Tokenizer() = default;

  const Vocabulary& vocabulary() const { return vocabulary_; }

  /// Any bytes are accepted; what is not UTF-8 becomes byte tokens where the vocabulary has them.
  /// @throws EngineError kInvalidArgument if the text has more than 2^31 - 1 bytes
  std::vector<int32_t> encode(std::string_view text, const TokenizeOptions& options) const;
  /// The same, with places. @throws EngineError as `encode`
  TokenizedText encode_with_begins(std::string_view text, const TokenizeOptions& options) const;

  /// Makes `tokens`, which are `encode_with_begins` of a text with these options, those of the text after an edit: the
  /// same to the bit as tokenizing it anew. Only what the edit can change is tokenized: from a place before it where
  /// the tokenizer cuts whatever follows to one behind it. The rest is moved.
  /// @param text after the edit
  /// @return the bytes that were tokenized
  /// @throws EngineError kInvalidArgument if the text is too long or the edit is not within it
  size_t retokenize(TokenizedText& tokens, const TextEdit& edit, std::string_view text,
                    const TokenizeOptions& options) const;

  /// The bytes of one token, exactly; empty for control and unknown tokens.
  /// @pre 0 <= id < n_tokens
  std::string_view bytes(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }

  /// The ids of text without special tokens that follows other text.
  std::vector<int32_t> encode_inside(std::string_view text) const;

  /// The bytes of the tokens that `text` without special tokens becomes after the token `previous`: the text, and what
  /// the encoding puts in front of it there.
  /// @pre 0 <= previous < n_tokens
  std::string bytes_after(int32_t previous, std::string_view text) const {
    return (vocabulary_.is_special(previous) ? std::string(prefix_after_special()) : std::string()) + std::string(text);
  }

 protected:
  /// What one call of `encode` works with.
  struct Encoding {
    Encoding(std::vector<int32_t>& ids_out, std::vector<uint32_t>* begins_out, size_t n_bytes)
        : ids(ids_out), begins(begins_out), words(n_bytes) {}

    std::vector<int32_t>& ids;
    std::vector<uint32_t>* begins;  ///< null if nobody wants them
    WordCache words;
    ClassifiedText classified;
    std::vector<uint32_t> piece_ends;
    std::vector<uint64_t> pairs;  ///< see BpeSearch::encode

    void add(int32_t id, size_t begin) {
      ids.push_back(id);
      if (begins != nullptr) begins->push_back(static_cast<uint32_t>(begin));
    }
    /// Adds the tokens of a word that is known, if it is. @return whether it was
    bool add_known(const WordCache::Entry& entry, std::string_view word, size_t begin);
  };

  explicit Tokenizer(Vocabulary vocabulary);

  /// Appends the tokens of text that holds no special tokens.
  /// @param text stays where it is during a call of `encode`
  /// @param begin where the text stands in the input
  /// @param is_after_special true at the start of the input and after a special token
  virtual void encode_plain(std::string_view text, size_t begin, bool is_after_special, Encoding& out) const = 0;
  /// What `encode_plain` puts before text after a special token, as `bytes` reads it.
  virtual std::string_view prefix_after_special() const { return {}; }
  /// True if text is cut between these characters whatever is around them, and either side is encoded as it would be
  /// alone, the right one not as after a special token. Never wrong; may be false where a cut is.
  virtual bool always_cuts(const Neighbours& n) const = 0;
  /// True if text is never cut between these characters, and two tokens meeting there may be judged by `may_follow`.
  /// Never wrong; see retokenize.cpp.
  virtual bool has_seams_at(const Neighbours&) const { return false; }
  /// True if the two tokens together are the encoding of their text.
  virtual bool may_follow(int32_t /*left*/, int32_t /*right*/) const { return false; }

  /// Of each token; filled by the constructors.
  std::vector<std::string> bytes_;

 private:
  struct Splice;
  static void check_length(std::string_view text);
  const SpecialMatcher& matcher(const TokenizeOptions& options) const {
    return options.parse_special ? all_special_ : user_defined_;
  }
  void encode_into(std::string_view text, const TokenizeOptions& options, Encoding& out) const;
  void encode_range(std::string_view text, size_t begin, size_t end, const SpecialMatcher& special,
                    bool is_after_special, Encoding& out) const;
  bool parts_special(std::string_view text, size_t at, const SpecialMatcher& special) const;
  bool is_seamless(const TokenizedText& tokens, const Splice& left, const Splice& right,
                   const TokenizedText& fresh) const;

  Vocabulary vocabulary_;
  SpecialMatcher all_special_, user_defined_;
};

}  // namespace outpost
