// WordPiece, the tokenizer of BERT: words are cut at white space and punctuation, accents and case removed where the
// vocabulary wants it; each word becomes the longest tokens that spell it, or one <unk>.
// Behaviour follows llama.cpp (src/llama-vocab.cpp), which the tests compare with. Decoding gives no exact text back.
#pragma once

#include "tokenizer/byte_trie.h"
#include "tokenizer/tokenizer.h"

namespace outpost {

class WpmTokenizer final : public Tokenizer {
 public:
  WpmTokenizer(Vocabulary vocabulary, const GgufFile& file);

 protected:
  void encode_plain(std::string_view text, size_t begin, bool is_after_special, Encoding& out) const override;
  bool always_cuts(const Neighbours& n) const override { return n.left_is(kWhiteSpace) || n.right_is(kWhiteSpace); }

 private:
  void encode_word(std::string_view word, size_t begin, Encoding& out) const;

  ByteTrie tokens_;
  bool lowers_case_, strips_accents_;
};

}  // namespace outpost
