// Spaces as SentencePiece writes them, U+2581, and the way back from places in such text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace outpost {

inline constexpr std::string_view kEscapedSpace = "\xE2\x96\x81";

inline std::string escape_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 8);
  for (const char c : text) {
    if (c == ' ') {
      out += kEscapedSpace;
    } else {
      out += c;
    }
  }
  return out;
}

inline std::string unescape_spaces(std::string_view text) {
  std::string out;
  for (size_t at; (at = text.find(kEscapedSpace)) != std::string_view::npos;
       text.remove_prefix(at + kEscapedSpace.size())) {
    out += text.substr(0, at);
    out += ' ';
  }
  return out += text;
}

/// The character that `text` starts with, by its first byte alone: input need not be valid UTF-8, and whatever follows
/// a lead byte belongs to it, as in llama.cpp.
inline size_t char_length_by_lead(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return std::min(length, text.size());
}

/// Where the next word of text with escaped spaces starts: at a space that follows another character. `text.size()` if
/// nowhere.
inline size_t escaped_word_length(std::string_view text) {
  bool is_after_space = true;  // nothing can be cut off before the first character
  size_t at = 0;
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    const size_t n = char_length_by_lead(rest);
    const bool is_space = rest.substr(0, n) == kEscapedSpace;
    if (is_space && !is_after_space) break;
    is_after_space = is_space;
    at += n;
  }
  return at;
}

/// Walks through a text and its escaped form together.
class EscapeCursor {
 public:
  /// @param n_prefix bytes that the escaped form has in front of the text
  explicit EscapeCursor(std::string_view text, size_t n_prefix) : text_(text), escaped_(n_prefix) {}

  /// The place in the text of a place in the escaped form, which never decreases from call to call. A place inside of
  /// what one character became is that character's.
  size_t place_of(size_t escaped) {
    while (at_ < text_.size() && escaped_ + width() <= escaped) escaped_ += width(), ++at_;
    return at_;
  }

 private:
  size_t width() const { return text_[at_] == ' ' ? kEscapedSpace.size() : 1; }

  std::string_view text_;
  size_t at_ = 0, escaped_;
};

}  // namespace outpost
