#include "tokenizer/classified_text.h"

#include <array>

namespace outpost {

void ClassifiedText::assign(std::string_view text) {
  static const std::array<CharClass, 128> ascii = [] {
    std::array<CharClass, 128> classes{};
    for (uint32_t c = 0; c < 128; ++c) classes[c] = char_class(c);
    return classes;
  }();
  text_ = text;
  classes_.resize(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 128) {
      classes_[at++] = ascii[byte];
      continue;
    }
    const DecodedChar c = decode_char(text.substr(at));
    const CharClass cls = char_class(c.code_point);
    classes_[at] = cls;
    for (uint32_t i = 1; i < c.n_bytes; ++i) classes_[at + i] = cls | kContinuation;
    at += c.n_bytes;
  }
}

}  // namespace outpost
