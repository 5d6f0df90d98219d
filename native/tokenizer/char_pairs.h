// Which characters stand beside each other in some token. Between two that never do text may be cut: no merge can
// cross.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>

#include "tokenizer/escaped_word.h"

namespace outpost {

class CharPairs {
 public:
  /// ASCII characters are told apart, all others are one. A space is written U+2581, or as itself.
  using Code = unsigned char;
  static constexpr Code kOther = 128;
  static Code code_of(uint32_t code_point) {
    return code_point == 0x2581 ? Code{' '} : code_point < 128 ? static_cast<Code>(code_point) : kOther;
  }
  static Code code_of_byte(char byte) { return code_of(static_cast<unsigned char>(byte)); }

  /// Notes the pairs of a token's text, which need not be UTF-8: its bytes might meet a text's at any place.
  void add(std::string_view token) {
    for (size_t at = 1; at < token.size(); ++at) {
      const std::string_view before = token.substr(0, at), after = token.substr(at);
      const Code left = code_of_byte(before.back()), right = code_of_byte(after.front());
      const bool after_space = before.ends_with(kEscapedSpace), before_space = after.starts_with(kEscapedSpace);
      note(left, right);
      if (after_space) note(' ', right);
      if (before_space) note(left, ' ');
      if (after_space && before_space) note(' ', ' ');
    }
  }
  bool may_join(Code left, Code right) const { return pairs_[size_t{left} * kCodes + right]; }

 private:
  static constexpr size_t kCodes = 129;
  void note(Code left, Code right) { pairs_.set(size_t{left} * kCodes + right); }

  std::bitset<kCodes * kCodes> pairs_;
};

}  // namespace outpost
