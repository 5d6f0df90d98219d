// The tokenizer trainer and its encoder by their definition, with nothing kept between two steps: references.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/trainer/trainer.h"

namespace outpost::test {

/// Pieces and words by regular expressions, as pieces.h describes them. The text must be valid UTF-8.
std::vector<std::string> naive_pieces(const std::string& text);
std::vector<std::string> naive_words(const std::string& piece);

struct NaiveMerge {
  std::string left, right;
  uint64_t count = 0;
  bool operator==(const NaiveMerge&) const = default;
};

/// Two stages over the texts, one source each; every step counts every pair again.
std::vector<NaiveMerge> naive_training(const std::vector<std::string>& texts, const TrainerOptions& options);

/// Applies the merges in their order to a whole text that is not cut anywhere but at numbers, as "superbpe" does.
std::vector<std::string> naive_encoding(const std::string& text, const std::vector<NaiveMerge>& merges);

}  // namespace outpost::test
