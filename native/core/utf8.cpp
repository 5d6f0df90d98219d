#include "core/utf8.h"

namespace outpost {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// Bytes of an ill-formed start that belong together ("maximal subpart", Unicode 15 section 3.9).
size_t invalid_length(std::string_view text) {
  size_t n = 1;
  while (n < text.size() && utf8_sequence_length(text.substr(0, n)) == -1 &&
         utf8_sequence_length(text.substr(0, n + 1)) == -1) {
    ++n;
  }
  return n;
}

}  // namespace

int utf8_sequence_length(std::string_view text) {
  if (text.empty()) return -1;
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) >= text.size()) return -1;
    const unsigned char c = byte(static_cast<size_t>(i));
    if (c < (i == 1 ? low : 0x80) || c > (i == 1 ? high : 0xBF)) return 0;
  }
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const int length = utf8_sequence_length(text);
    if (length < 1) return false;
    text.remove_prefix(static_cast<size_t>(length));
  }
  return true;
}

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  std::string out;
  size_t at = 0;
  while (at < held_.size()) {
    const std::string_view rest = std::string_view(held_).substr(at);
    const int length = utf8_sequence_length(rest);
    if (length == -1) break;
    if (length > 0) {
      out += rest.substr(0, static_cast<size_t>(length));
      at += static_cast<size_t>(length);
    } else {
      out += kReplacement;
      at += invalid_length(rest);
    }
  }
  held_.erase(0, at);
  return out;
}

std::string Utf8Stream::finish() {
  if (held_.empty()) return {};
  held_.clear();
  return std::string(kReplacement);
}

}  // namespace outpost
