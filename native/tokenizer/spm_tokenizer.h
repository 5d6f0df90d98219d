// SentencePiece BPE as llama models use it: adjacent symbols merge in order of the merged token's score, the
// leftmost first among equals; characters without a token become byte tokens.
// Behaviour follows llama.cpp (src/llama-vocab.cpp), which the tests compare with.
#pragma once

#include <array>

#include "tokenizer/char_pairs.h"
#include "tokenizer/tokenizer.h"

namespace outpost {

class SpmTokenizer final : public Tokenizer {
 public:
  explicit SpmTokenizer(Vocabulary vocabulary);

 protected:
  void encode_plain(std::string_view text, size_t begin, bool is_after_special, Encoding& out) const override;
  std::string_view prefix_after_special() const override { return vocabulary().add_space_prefix ? " " : ""; }
  bool always_cuts(const Neighbours& n) const override;
  bool has_seams_at(const Neighbours& n) const override;
  bool may_follow(int32_t left, int32_t right) const override;

 private:
  struct Symbol {
    uint32_t begin, n_bytes;  // in escaped text
    int32_t id;               // -1 for a character that nobody has looked for
  };
  struct Workspace;
  size_t piece_length(std::string_view text) const;
  void encode_word(std::string_view word, size_t begin, bool has_prefix, Workspace& work, Encoding& out) const;
  void merge(std::string_view escaped, std::vector<Symbol>& symbols) const;
  void merge_short(std::string_view escaped, std::vector<Symbol>& symbols) const;
  void merge_long(std::string_view escaped, std::vector<Symbol>& symbols) const;
  int32_t joined(std::string_view escaped, const Symbol& left, const Symbol& right) const;

  std::array<int32_t, 256> byte_tokens_;  // -1 where the vocabulary has none
  size_t longest_ = 0;                    // bytes of a token's text
  // Text is merged in pieces that end where no token goes on, mostly before a space: the same result, faster.
  CharPairs pairs_;
  bool has_all_bytes_ = true;
};

}  // namespace outpost
