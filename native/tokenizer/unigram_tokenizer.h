// SentencePiece's unigram model, the tokenizer of T5: of all ways to spell the text by tokens the one with the largest
// sum of scores (Viterbi's algorithm; Kudo, arXiv:1804.10959). A character that no token spells is <unk>.
// Behaviour follows llama.cpp (src/llama-vocab.cpp), which the tests compare with.
#pragma once

#include "tokenizer/byte_trie.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/tokenizer.h"

namespace outpost {

class UnigramTokenizer final : public Tokenizer {
 public:
  /// @throws EngineError kModelInvalid for a broken charsmap
  UnigramTokenizer(Vocabulary vocabulary, const GgufFile& file);

 protected:
  void encode_plain(std::string_view text, size_t begin, bool is_after_special, Encoding& out) const override;
  std::string_view prefix_after_special() const override {
    return vocabulary().add_space_prefix || vocabulary().remove_extra_spaces ? " " : "";
  }
  bool always_cuts(const Neighbours& n) const override {
    return has_cuts_ && n.right == ' ' && n.left > ' ' && n.left < 0x7F;
  }

 private:
  struct Normalized {
    std::string text;
    std::vector<uint32_t> places;  ///< of each byte in the input
  };
  Normalized normalize(std::string_view text, size_t begin, bool is_after_special) const;
  void encode_word(const Normalized& text, size_t begin, size_t end, size_t n_before, Encoding& out) const;
  float score_of(int32_t id) const {
    return vocabulary().kind(id) == TokenKind::kUserDefined ? 0.0f : vocabulary().score(id);
  }

  Charsmap charsmap_;
  ByteTrie tokens_, user_defined_;
  float unknown_score_;
  bool is_splittable_ = true;  // no token has U+2581 behind another character
  bool has_cuts_ = true;
};

}  // namespace outpost
