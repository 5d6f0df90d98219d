// Test data beside the repository (../shared/data). Tests that need it skip aloud where it is absent.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace outpost::test {

/// The path of `name` below ../shared/data, seen from the directory the tests run in (the repository's root);
/// nullopt, with a line on stderr that names the skipped test, if there is no such file.
inline std::optional<std::string> shared_data(const std::string& name, const char* test) {
  const std::string path = "../shared/data/" + name;
  if (std::filesystem::exists(path)) return path;
  std::fprintf(stderr, "SKIPPED %s: %s is absent\n", test, path.c_str());
  return std::nullopt;
}

inline std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace outpost::test
