#include "runtime/text_stream.h"

#include <algorithm>

namespace outpost {

TextStream::TextStream(std::vector<std::string> stop) : stop_(std::move(stop)) {
  std::erase_if(stop_, [](const std::string& text) { return text.empty(); });
}

std::string TextStream::push(std::string_view bytes) {
  if (is_stopped_) return {};
  held_ += utf8_.push(bytes);

  // The stop string that is complete first, so that it does not matter how the text is cut into tokens; of two
  // that end together the longer.
  size_t stop_begin = std::string::npos, stop_end = std::string::npos;
  for (const std::string& stop : stop_) {
    const size_t begin = held_.find(stop);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stop.size();
    if (end < stop_end || (end == stop_end && begin < stop_begin)) {
      stop_begin = begin;
      stop_end = end;
    }
  }
  if (stop_begin != std::string::npos) {
    is_stopped_ = true;
    std::string out = held_.substr(0, stop_begin);
    held_.clear();
    return out;
  }

  size_t n_held = 0;  // the longest end that could become a stop string
  for (const std::string& stop : stop_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > n_held; --n) {
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) n_held = n;
    }
  }
  // Stop strings are text: the cut never falls inside a character of theirs, nor then of ours.
  std::string out = held_.substr(0, held_.size() - n_held);
  held_.erase(0, out.size());
  return out;
}

std::string TextStream::finish() {
  if (is_stopped_) return {};
  std::string out = held_ + utf8_.finish();
  held_.clear();
  return out;
}

}  // namespace outpost
