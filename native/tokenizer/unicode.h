// What tokenizers need to know of a character: its general category, coarsely, and two mappings.
// Unicode 15.1, which llama.cpp's tables have too; see unicode_data.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace outpost {

/// A set of bits per character. Letters, numbers, marks, punctuation and symbols are the general categories L, N, M, P
/// and S; control is C without unassigned code points; space is the property White_Space.
using CharClass = uint8_t;
inline constexpr CharClass kLetter = 1, kNumber = 2, kMark = 4, kPunctuation = 8, kSymbol = 16, kWhiteSpace = 32,
                           kControl = 64;

/// @return 0 for what has none of the classes, also beyond U+10FFFF
CharClass char_class(uint32_t code_point);
/// The simple lower case mapping; the code point itself where there is none.
uint32_t to_lower(uint32_t code_point);
/// The first code point of the canonical decomposition: the letter without its accents.
uint32_t first_of_nfd(uint32_t code_point);
/// The ideographs as models' tokenizers count them: CJK unified, its extensions A to F, and the compatibility blocks.
bool is_han(uint32_t code_point);

inline constexpr uint32_t kReplacementCharacter = 0xFFFD;

struct DecodedChar {
  uint32_t code_point;
  uint32_t n_bytes;
};

/// The character that `text` starts with; a byte that begins no valid one is U+FFFD, one byte long.
/// @pre !text.empty()
DecodedChar decode_char(std::string_view text);
void append_utf8(std::string& out, uint32_t code_point);

}  // namespace outpost
