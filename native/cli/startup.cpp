#include "cli/startup.h"

#ifdef _WIN32
#include <windows.h>
// Behind it, whose types it needs.
#include <fcntl.h>
#include <io.h>
#include <shellapi.h>

#include <cstdio>
#endif

namespace outpost::cli {

#ifdef _WIN32
namespace {

std::string utf8(const wchar_t* text) {
  const int n = WideCharToMultiByte(CP_UTF8, 0, text, -1, nullptr, 0, nullptr, nullptr);
  std::string bytes(static_cast<size_t>(n), '\0');
  WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes.data(), n, nullptr, nullptr);
  bytes.pop_back();  // the end of a C string
  return bytes;
}

}  // namespace

std::vector<std::string> start_program(int, char**) {
  // Else "\n" is written as "\r\n", and what is read ends at the first 0x1a.
  for (std::FILE* stream : {stdin, stdout, stderr}) _setmode(_fileno(stream), _O_BINARY);
  SetConsoleOutputCP(CP_UTF8);
  // `argv` is in the code page of the machine, which has no signs for most names of files.
  int n = 0;
  wchar_t** wide = CommandLineToArgvW(GetCommandLineW(), &n);
  std::vector<std::string> words;
  for (int i = 1; i < n; ++i) words.push_back(utf8(wide[i]));
  LocalFree(wide);
  return words;
}
#else
std::vector<std::string> start_program(int argc, char** argv) { return {argv + 1, argv + argc}; }
#endif

}  // namespace outpost::cli
