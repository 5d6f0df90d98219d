// SentencePiece BPE as llama models use it: adjacent symbols merge in order of the merged token's score, the
// leftmost first among equals; characters without a token become byte tokens.
// Behaviour follows llama.cpp (src/llama-vocab.cpp), which the tests compare with.
#pragma once

#include <array>

#include "tokenizer/tokenizer.h"

namespace outpost {

class SpmTokenizer final : public Tokenizer {
 public:
  explicit SpmTokenizer(Vocabulary vocabulary);

  std::string_view bytes(int32_t id) const override;

 protected:
  void encode_plain(std::string_view text, bool is_after_special, std::vector<int32_t>& ids) const override;
  std::string_view prefix_after_special() const override { return vocabulary().add_space_prefix ? " " : ""; }

 private:
  struct Workspace;
  size_t segment_length(std::string_view text) const;
  void merge_segment(std::string_view segment, Workspace& work, std::vector<int32_t>& ids) const;
  void append_symbol(std::string_view symbol, std::vector<int32_t>& ids) const;

  std::vector<std::string> bytes_;        // of each token
  std::array<int32_t, 256> byte_tokens_;  // -1 where the vocabulary has none
  // True if no token has a space (U+2581) after another character. Then merges never cross from a word into
  // the space before the next one, and words can be merged one by one: the same result in small pieces.
  bool is_splittable_ = true;
};

}  // namespace outpost
