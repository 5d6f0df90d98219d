// The vocabularies of model families beside the repository, which llama.cpp tests with.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "tests/support/shared_data.h"

namespace outpost::test {

inline constexpr std::array kVocabularies = {"llama-spm",      "phi-3",     "gpt-2", "starcoder", "falcon",
                                             "deepseek-coder", "llama-bpe", "qwen2", "qwen35",    "bert-bge"};

/// @return nullopt, said aloud, if the file is absent
inline std::optional<std::string> vocabulary_file(const std::string& name, const char* test) {
  return shared_data("tokenizers/vocabs/ggml-vocab-" + name + ".gguf", test);
}

}  // namespace outpost::test
