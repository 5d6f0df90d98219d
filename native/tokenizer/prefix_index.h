// Which tokens may come next when a reply has to begin with a given text ("token healing", after the library
// guidance). The text of a token may end before the given one does, or go on behind it.
// Immutable after construction: safe to use from any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace outpost {

class PrefixIndex {
 public:
  /// Sorts the tokens by their bytes. Left out: tokens without bytes, control and unknown tokens, and those that end
  /// a reply.
  /// @param tokenizer is used by `find` too and must outlive the index
  explicit PrefixIndex(const Tokenizer& tokenizer);

  /// Replaces `ids` by the tokens whose bytes are a prefix of `text`, or of whose bytes `text` is one, in no useful
  /// order; none if `text` is empty. Of the tokens that end inside a word of `text` only the one that encoding puts
  /// there, if it is among them: "i" is probable before "s" for the variables of that name, but "is" and "isinstance"
  /// are never written "i", "s". Costs two binary searches for each byte that some token has in common with `text`, a
  /// copy of the result, and at most one encoding of `text`.
  void find(std::string_view text, std::vector<int32_t>& ids) const;

 private:
  void drop_cuts(std::string_view text, std::vector<int32_t>& ids) const;

  const Tokenizer& tokenizer_;
  std::vector<int32_t> sorted_;  // by bytes, a prefix before what it is a prefix of
};

}  // namespace outpost
