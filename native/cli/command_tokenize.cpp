#include <charconv>
#include <cstdio>

#include "cli/command.h"
#include "core/strings.h"
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

/// Each text behind a line with its number of bytes. @throws UsageError
std::vector<std::string_view> split_records(std::string_view input) {
  std::vector<std::string_view> texts;
  while (!input.empty()) {
    size_t n_bytes = 0;
    const auto [end, error] = std::from_chars(input.data(), input.data() + input.size(), n_bytes);
    const auto n_digits = static_cast<size_t>(end - input.data());
    if (error != std::errc() || n_digits == input.size() || *end != '\n' || n_bytes > input.size() - n_digits - 1) {
      throw UsageError(concat("text ", texts.size(), " of the batch is not a line with its size and that many bytes"));
    }
    texts.push_back(input.substr(n_digits + 1, n_bytes));
    input.remove_prefix(n_digits + 1 + n_bytes);
  }
  return texts;
}

}  // namespace

int run_tokenize(const std::vector<std::string>& words) {
  const Arguments arguments(words, {"--text", "--file"},
                            {"--no-bos", "--add-eos", "--parse-special", "--batch", "--ids", "--json", "--pieces"});
  // Only the vocabulary is read: this works on vocabulary-only files as well.
  const GgufFile file = GgufFile::open(arguments.positional(0, "MODEL"));
  const auto tokenizer = Tokenizer::create(file);
  const TokenizeOptions options = {.add_bos = !arguments.has("--no-bos"),
                                   .parse_special = arguments.has("--parse-special"),
                                   .add_eos = arguments.has("--add-eos")};
  if (arguments.has("--batch")) {
    const std::string input = read_stdin();
    for (const std::string_view text : split_records(input)) {
      std::printf("[%s]\n", joined(tokenizer->encode(text, options), ",").c_str());
    }
    return 0;
  }
  const std::string text = arguments.has("--text")   ? arguments.get("--text")
                           : arguments.has("--file") ? read_file(arguments.get("--file"))
                                                     : read_stdin();
  const auto ids = tokenizer->encode(text, options);
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
