#include "tokenizer/trainer/pieces.h"

#include <algorithm>

#include "core/utf8.h"

namespace outpost {
namespace {

bool is_line_end(char c) { return c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_punctuation(char c) { return !is_line_end(c) && !is_digit(c) && !is_space(c) && !is_letter(c); }

/// First index from `i` on whose character is not in the class.
template <typename Class>
size_t skip(std::string_view text, size_t i, Class is_in_class) {
  while (i < text.size() && is_in_class(text[i])) ++i;
  return i;
}

void cut_long(std::string_view piece, const std::function<void(std::string_view)>& on_piece) {
  for (size_t i = 0; i < piece.size(); i += kMaxPieceBytes) on_piece(piece.substr(i, kMaxPieceBytes));
}

void split_line(std::string_view line, const std::function<void(std::string_view)>& on_piece) {
  size_t start = 0;
  while (start < line.size()) {
    const size_t number = skip(line, start, [](char c) { return !is_digit(c); });
    cut_long(line.substr(start, number - start), on_piece);
    const size_t end = skip(line, number, is_digit);
    for (size_t i = number; i < end;) {
      const size_t n_left = (end - i) % 3 == 0 ? 3 : (end - i) % 3;
      on_piece(line.substr(i, n_left));
      i += n_left;
    }
    start = end;
  }
}

}  // namespace

size_t next_line_start(std::string_view text, size_t from, size_t max_bytes) {
  const size_t limit = std::min(text.size(), from + max_bytes);
  for (size_t i = from; i < limit; ++i) {
    if (i > 0 && is_line_end(text[i]) && !is_line_end(text[i - 1])) return i;
  }
  return limit;
}

void for_each_piece(std::string_view text, const std::function<void(std::string_view piece)>& on_piece) {
  for (size_t start = 0; start < text.size();) {
    const size_t end = next_line_start(text, start + 1, text.size());
    const std::string_view line = text.substr(start, end - start);
    if (is_utf8(line)) split_line(line, on_piece);
    start = end;
  }
}

void for_each_word(std::string_view piece, const std::function<void(std::string_view word)>& on_word) {
  for (size_t start = 0; start < piece.size();) {
    size_t end = start;
    if (is_line_end(piece[start])) {
      end = skip(piece, skip(piece, start, is_line_end), is_space);
    } else if (is_space(piece[start])) {
      end = skip(piece, start, is_space);
    }
    // One space alone belongs to the word after it.
    const bool is_joined = end == start || (end == start + 1 && piece[start] == ' ');
    if (is_joined && end < piece.size()) {
      if (is_letter(piece[end])) {
        end = skip(piece, end, is_letter);
      } else if (is_punctuation(piece[end])) {
        end = skip(piece, end, is_punctuation);
      } else if (end == start) {
        end = skip(piece, end, is_digit);
      }
    }
    on_word(piece.substr(start, end - start));
    start = end;
  }
}

}  // namespace outpost
