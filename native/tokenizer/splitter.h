// Cuts text into the pieces that byte-pair merges never cross ("pre-tokens"), as the regular expressions of a model
// family do. The expressions are facts of the models; llama.cpp lists them by the name in `tokenizer.ggml.pre`
// (src/llama-vocab.cpp). Here each is a hand-written matcher over character classes; where llama.cpp's reading of
// an expression differs from its author's, this is llama.cpp's: non-ASCII letters have no case, for example.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/classified_text.h"

namespace outpost {

/// One expression: splits [begin, end) and appends the end of each piece, `end` last.
/// @pre begin < end
using SplitStage = void (*)(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends);

/// Both sides of a position between two characters.
struct Neighbours {
  uint32_t left, right;  ///< code points
  CharClass left_class, right_class;
  bool is_between_chars;  ///< false if what is right before the position is not UTF-8
  bool left_is(CharClass set) const { return (left_class & set) != 0; }
  bool right_is(CharClass set) const { return (right_class & set) != 0; }
};
using BoundaryRule = bool (*)(const Neighbours& n);

struct Splitter {
  std::span<const SplitStage> stages;  ///< each splits the pieces of the one before
  /// True if the text is cut here whatever surrounds the two characters, and either side is split as it would be
  /// alone. Never wrong; may be false where a cut is.
  BoundaryRule always_cuts;
  /// True if the text is never cut here. Never wrong; false for most splitters. It matters to those with pieces of
  /// unlimited length.
  BoundaryRule never_cuts = [](const Neighbours&) { return false; };

  bool has_long_pieces = false;  ///< whole lines, or all between two numbers

  /// Replaces `ends` by the end of each piece of `text`, in order.
  void split(const ClassifiedText& text, std::vector<uint32_t>& ends) const;
};

/// How a family of byte-pair vocabularies works, by its name in `tokenizer.ggml.pre`.
struct PreTokenizer {
  std::string_view name;
  const Splitter* splitter;
  bool ignore_merges = false;   ///< a piece that is a token stays one, whatever merges would make of it
  bool add_bos = false;         ///< where the file does not say
  bool add_sep = false;         ///< likewise
  bool has_raw_text = false;    ///< tokens are UTF-8 with U+2581 for a space, not GPT-2's letters for bytes
  bool joins_newlines = false;  ///< a piece of newlines that is a token stays one (gemma 4)
  bool forces_add_bos = false;  ///< whatever the file says
};

/// @return null for a name that is not known
const PreTokenizer* find_pre_tokenizer(std::string_view name);
/// All names, for messages and tests.
std::vector<std::string_view> pre_tokenizer_names();

/// The position's neighbours. @pre 0 < at < text.size(), and a character starts at `at`
Neighbours neighbours_at(std::string_view text, size_t at);

}  // namespace outpost
