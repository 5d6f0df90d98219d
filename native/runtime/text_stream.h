// From token bytes to the text a user sees: whole characters, nothing of a stop string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/utf8.h"

namespace outpost {

class TextStream {
 public:
  /// @param stop strings that end the text; empty ones are ignored
  explicit TextStream(std::vector<std::string> stop);

  /// The text that is decided after `bytes`. Held back: a split character, and a possible start of a stop
  /// string. After a stop string was found everything is ignored.
  std::string push(std::string_view bytes);
  /// What was held back, when nothing more comes.
  std::string finish();

  bool is_stopped() const { return is_stopped_; }

 private:
  std::vector<std::string> stop_;
  Utf8Stream utf8_;
  std::string held_;
  bool is_stopped_ = false;
};

}  // namespace outpost
