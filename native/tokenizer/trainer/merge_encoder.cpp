#include "tokenizer/trainer/merge_encoder.h"

#include <algorithm>
#include <limits>

namespace outpost {
namespace {

constexpr int32_t kNone = std::numeric_limits<int32_t>::max();

uint64_t key_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

MergeEncoder::MergeEncoder(const LearnedTokens& tokens) {
  merges_.reserve(tokens.merges().size() * 2);
  for (const Merge& merge : tokens.merges()) merges_.emplace(key_of(merge.left, merge.right), merge.merged);
}

int32_t MergeEncoder::merged(int32_t left, int32_t right) const {
  const auto it = merges_.find(key_of(left, right));
  return it == merges_.end() ? kNone : it->second;
}

void MergeEncoder::encode(std::string_view text, std::vector<int32_t>& out) const {
  // joined[i] is what tokens[i] and tokens[i + 1] become; the smallest was learned first.
  std::vector<int32_t> tokens, joined;
  for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  for (size_t i = 0; i + 1 < tokens.size(); ++i) joined.push_back(merged(tokens[i], tokens[i + 1]));
  while (!joined.empty()) {
    const auto best = std::min_element(joined.begin(), joined.end());
    if (*best == kNone) break;
    const auto i = static_cast<size_t>(best - joined.begin());
    tokens[i] = *best;
    tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(i) + 1);
    joined.erase(best);
    if (i > 0) joined[i - 1] = merged(tokens[i - 1], tokens[i]);
    if (i < joined.size()) joined[i] = merged(tokens[i], tokens[i + 1]);
  }
  out.insert(out.end(), tokens.begin(), tokens.end());
}

}  // namespace outpost
