// A small byte-pair vocabulary for tests: the 256 bytes, then a token for what each merge makes, then others.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/gguf_writer.h"
#include "tests/support/spm_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace outpost::test {

struct BpeVocabulary {
  std::string pre = "gpt-2";
  std::vector<std::pair<std::string, std::string>> merges = {};  ///< of bytes, spelled as GPT-2 does only when written
  std::vector<Piece> others = {};                                ///< text as it is, with its kind
  bool has_merged_tokens = true;                                 ///< false: what merges make is no token
};

/// Bytes spelled by the characters that stand for them.
std::string spell_bytes(std::string_view bytes);

/// Adds the tokenizer's metadata to `writer`. Byte b is token b. @return the texts of the tokens
std::vector<std::string> add_bpe_vocabulary(GgufWriter& writer, const BpeVocabulary& vocabulary);

std::unique_ptr<Tokenizer> make_tokenizer(const GgufWriter& writer);
std::unique_ptr<Tokenizer> make_tokenizer(const BpeVocabulary& vocabulary);

/// The bytes of the tokens, one after another.
std::string decode(const Tokenizer& tokenizer, const std::vector<int32_t>& ids);

}  // namespace outpost::test
