// A text with the class of every byte's character beside it, so that splitters can compare bytes and never decode.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "tokenizer/unicode.h"

namespace outpost {

class ClassifiedText {
 public:
  /// @param text is viewed, not copied. A byte that is not part of valid UTF-8 counts as a character of its own, with
  ///        the class of U+FFFD.
  void assign(std::string_view text);

  std::string_view text() const { return text_; }
  size_t size() const { return text_.size(); }
  char byte(size_t at) const { return text_[at]; }
  /// True if the character that the byte belongs to has one of the classes.
  bool is(size_t at, CharClass set) const { return (classes_[at] & set) != 0; }
  bool is_line_break(size_t at) const { return text_[at] == '\n' || text_[at] == '\r'; }
  /// Where the character after the one at `at` starts.
  size_t next(size_t at) const {
    do ++at;
    while (at < text_.size() && (classes_[at] & kContinuation) != 0);
    return at;
  }
  /// The end of the characters with one of the classes from `at` on.
  size_t run(size_t at, size_t end, CharClass set) const {
    while (at < end && is(at, set)) ++at;
    return at;
  }
  uint32_t code_point(size_t at) const { return decode_char(text_.substr(at)).code_point; }

 private:
  static constexpr CharClass kContinuation = 128;  // any byte of a character but its first
  std::string_view text_;
  std::vector<CharClass> classes_;
};

}  // namespace outpost
