// UTF-8 for text that arrives in pieces: tokens may end inside a character.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace outpost {

/// Length of the valid UTF-8 sequence that `text` starts with: 1 to 4; 0 if the first bytes can never be
/// one; -1 if more bytes are needed to tell. (RFC 3629: no overlong forms, no surrogates, up to U+10FFFF.)
int utf8_sequence_length(std::string_view text);

/// True if `text` is a sequence of whole characters; also of none.
bool is_utf8(std::string_view text);

/// Turns a stream of bytes into a stream of whole characters.
class Utf8Stream {
 public:
  /// The characters that `bytes` completes. A split character is held back; bytes that can never become
  /// one are replaced by U+FFFD, one for each maximal invalid part.
  std::string push(std::string_view bytes);
  /// What is still held back when the stream ends, as U+FFFD; empty if nothing is.
  std::string finish();

 private:
  std::string held_;
};

}  // namespace outpost
