// A small SentencePiece vocabulary for tests: <unk>, <s>, </s>, the 256 byte tokens, then the pieces given.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/support/gguf_writer.h"

namespace outpost::test {

struct Piece {
  std::string text;  ///< with U+2581 for a space
  float score;
  int32_t kind = 1;  ///< as in TokenKind
};

/// Id of the first piece.
inline constexpr int32_t kFirstPiece = 3 + 256;

/// Adds the tokenizer's metadata to `writer`. @return the number of tokens
int32_t add_spm_vocabulary(GgufWriter& writer, const std::vector<Piece>& pieces);

}  // namespace outpost::test
