// Small text helpers for messages: GCC 12 has no <format>.
#pragma once

#include <sstream>
#include <string>
#include <string_view>

namespace outpost {

/// The arguments written one after another with `<<`.
template <typename... Args>
std::string concat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

/// Text from an untrusted file made fit for a message: at most `max_bytes`, control and non-ASCII bytes as
/// \xNN, in quotes. Not "quoted": for a std::string, std::quoted would be found where a header brings it along.
std::string in_quotes(std::string_view text, size_t max_bytes = 80);

}  // namespace outpost
