// Byte-pair encoding as GPT-2 introduced it: text is cut into pieces (splitter.h), and in each the bytes are merged
// (bpe_merger.h). Tokens spell bytes by printable characters; those of gemma 4 and its like are plain UTF-8.
// Behaviour follows llama.cpp (src/llama-vocab.cpp), which the tests compare with, but for bytes that are not UTF-8:
// there they become U+FFFD, here they stay as they are.
#pragma once

#include <array>
#include <optional>

#include "tokenizer/bpe_merger.h"
#include "tokenizer/bpe_search.h"
#include "tokenizer/tokenizer.h"

namespace outpost {

class BpeTokenizer final : public Tokenizer {
 public:
  /// @throws EngineError kModelInvalid if the file has no merges
  BpeTokenizer(Vocabulary vocabulary, const GgufFile& file);

 protected:
  void encode_plain(std::string_view text, size_t begin, bool is_after_special, Encoding& out) const override;
  bool always_cuts(const Neighbours& n) const override { return pre_.splitter->always_cuts(n); }
  bool has_seams_at(const Neighbours& n) const override { return has_seams_ && pre_.splitter->never_cuts(n); }
  bool may_follow(int32_t left, int32_t right) const override;

 private:
  void encode_piece(std::string_view piece, size_t begin, std::vector<Symbol>& symbols, Encoding& out) const;
  /// The piece's token where the family takes one that is there as a whole; else -1.
  int32_t find_whole(std::string_view piece) const;
  void append_characters(std::string_view text, std::vector<Symbol>& symbols) const;

  const PreTokenizer pre_;
  BpeMerger merger_;
  std::array<int32_t, 256> byte_symbols_;  // the symbol of a byte alone; -1 where there is none
  std::array<int32_t, 256> byte_tokens_;   // what a byte becomes that is part of no token
  TokenIndex whole_;                       // by bytes, for families that ignore merges: views into bytes_
  bool has_seams_ = false;
  std::optional<BpeSearch> search_;  // for pieces of any length
};

}  // namespace outpost
