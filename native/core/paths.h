// Names of files. In the engine they are UTF-8 on every system.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace outpost {

inline std::filesystem::path path_of(std::string_view utf8) { return std::u8string(utf8.begin(), utf8.end()); }

inline std::string utf8_of(const std::filesystem::path& path) {
  const std::u8string utf8 = path.u8string();
  return {utf8.begin(), utf8.end()};
}

}  // namespace outpost
