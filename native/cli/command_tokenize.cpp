#include <cstdio>

#include "cli/command.h"
#include "gguf/gguf_file.h"
#include "tokenizer/tokenizer.h"

namespace outpost::cli {
namespace {

std::string joined(const std::vector<int32_t>& ids, const char* separator) {
  std::string out;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += separator;
    out += std::to_string(ids[i]);
  }
  return out;
}

}  // namespace

int run_tokenize(const std::vector<std::string>& words) {
  const Arguments arguments(words, {"--text", "--file"},
                            {"--no-bos", "--parse-special", "--ids", "--json", "--pieces"});
  // Only the vocabulary is read: this works on vocabulary-only files as well.
  const GgufFile file = GgufFile::open(arguments.positional(0, "MODEL"));
  const auto tokenizer = Tokenizer::create(file);
  const std::string text = arguments.has("--text")   ? arguments.get("--text")
                           : arguments.has("--file") ? read_file(arguments.get("--file"))
                                                     : read_stdin();
  const auto ids = tokenizer->encode(
      text, {.add_bos = !arguments.has("--no-bos"), .parse_special = arguments.has("--parse-special")});
  if (arguments.has("--pieces")) {
    for (const int32_t id : ids) std::printf("%7d %s\n", id, json_string(tokenizer->vocabulary().text(id)).c_str());
  } else if (arguments.has("--ids")) {
    std::printf("%s\n", joined(ids, " ").c_str());
  } else {
    std::printf("[%s]\n", joined(ids, ",").c_str());
  }
  return 0;
}

}  // namespace outpost::cli
