#include "tokenizer/trainer/merge_learner.h"

#include <array>
#include <bit>

#include "tokenizer/trainer/parallel.h"

namespace outpost {
namespace {

// Pairs are counted in this many parts, one after the other on each thread: the rare pairs, most of all, are then
// in memory for a part at a time only.
constexpr size_t kParts = 16;

size_t part_of(uint64_t key) { return (key * 0x9e3779b97f4a7c15u) >> 60; }
static_assert(kParts == size_t{1} << (64 - 60));

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace

LearnedTokens::LearnedTokens() {
  for (int32_t byte = 0; byte < 256; ++byte) {
    texts_.emplace_back(1, static_cast<char>(byte));
    n_words_.push_back(is_word_byte(texts_.back()[0]) ? 1 : 0);
    ids_.emplace(texts_.back(), byte);
  }
}

int32_t LearnedTokens::find_joined(int32_t left, int32_t right) const {
  const auto it = ids_.find(text(left) + text(right));
  return it == ids_.end() ? -1 : it->second;
}

int32_t LearnedTokens::add(int32_t left, int32_t right, uint64_t count) {
  const int32_t id = size();
  const bool is_one_word = is_word_byte(text(left).back()) && is_word_byte(text(right).front());
  n_words_.push_back(n_words(left) + n_words(right) - (is_one_word ? 1 : 0));
  texts_.push_back(text(left) + text(right));
  ids_.emplace(texts_.back(), id);
  merges_.push_back({left, right, id, count});
  return id;
}

MergeLearner::MergeLearner(LearnedTokens& tokens, Sequences sequences, const MergeLimits& limits, ThreadPool& pool)
    : tokens_(tokens), sequences_(std::move(sequences)), limits_(limits) {
  count_pairs(pool);
  for (const auto& [key, pair] : pairs_) candidates_.push({pair.count, key});
}

void MergeLearner::count_pairs(ThreadPool& pool) {
  std::array<Pairs, kParts> parts;
  const auto for_each_pair = [&](size_t part, const auto& visit) {
    for (uint32_t i = 0; i < sequences_.items.size(); ++i) {
      const Sequences::Sequence& sequence = sequences_.items[i];
      const int32_t* const tokens = sequences_.tokens.data() + sequence.begin;
      for (uint32_t at = 0; at + 1 < sequence.length; ++at) {
        const uint64_t key = key_of(tokens[at], tokens[at + 1]);
        if (part_of(key) == part) visit(key, i, sequence.count);
      }
    }
  };
  run_parallel(pool, kParts, [&](size_t part) {
    std::unordered_map<uint64_t, uint64_t> counts;
    for_each_pair(part, [&](uint64_t key, uint32_t, uint64_t count) { counts[key] += count; });
    Pairs& pairs = parts[part];
    for (const auto& [key, count] : counts) {
      const auto left = static_cast<int32_t>(key >> 32), right = static_cast<int32_t>(key & 0xffffffffu);
      if (count >= limits_.min_count && is_within_limits(left, right)) pairs[key].count = static_cast<int64_t>(count);
    }
    for_each_pair(part, [&](uint64_t key, uint32_t i_sequence, uint64_t) {
      const auto it = pairs.find(key);
      if (it == pairs.end()) return;
      auto& where = it->second.sequences;
      if (where.empty() || where.back() != i_sequence) where.push_back(i_sequence);
    });
  });
  for (Pairs& part : parts) pairs_.merge(part);
}

bool MergeLearner::is_within_limits(int32_t left, int32_t right) const {
  if (tokens_.text(left).size() + tokens_.text(right).size() > limits_.max_token_bytes) return false;
  const bool is_one_word = is_word_byte(tokens_.text(left).back()) && is_word_byte(tokens_.text(right).front());
  return tokens_.n_words(left) + tokens_.n_words(right) - (is_one_word ? 1 : 0) <= limits_.max_words;
}

bool MergeLearner::has_enough_sources(int32_t left, int32_t right, const Pair& pair) const {
  if (limits_.min_sources <= 1) return true;
  uint64_t sources = 0;
  for (const uint32_t i : pair.sequences) {
    const Sequences::Sequence& sequence = sequences_.items[i];
    if ((sequence.sources & ~sources) == 0) continue;
    const int32_t* const tokens = sequences_.tokens.data() + sequence.begin;
    for (uint32_t at = 0; at + 1 < sequence.length; ++at) {
      if (tokens[at] != left || tokens[at + 1] != right) continue;
      sources |= sequence.sources;
      if (std::popcount(sources) >= limits_.min_sources) return true;
      break;
    }
  }
  return false;
}

bool MergeLearner::merge_next() {
  while (!candidates_.empty()) {
    const Candidate top = candidates_.top();
    candidates_.pop();
    const auto it = pairs_.find(top.key);
    if (it == pairs_.end()) continue;
    if (it->second.count != top.count) {
      // It has become rarer since it was put here.
      if (it->second.count >= static_cast<int64_t>(limits_.min_count)) {
        candidates_.push({it->second.count, top.key});
      } else {
        pairs_.erase(it);
      }
      continue;
    }
    const auto left = static_cast<int32_t>(top.key >> 32), right = static_cast<int32_t>(top.key & 0xffffffffu);
    const Pair pair = std::move(it->second);
    pairs_.erase(it);
    if (tokens_.find_joined(left, right) >= 0 || !has_enough_sources(left, right, pair)) continue;
    apply(left, right, pair, tokens_.add(left, right, static_cast<uint64_t>(pair.count)));
    return true;
  }
  return false;
}

void MergeLearner::apply(int32_t left, int32_t right, const Pair& pair, int32_t merged) {
  Pairs fresh;
  for (const uint32_t i : pair.sequences) rewrite(i, left, right, merged, fresh);
  for (auto& [key, value] : fresh) {
    if (value.count < static_cast<int64_t>(limits_.min_count)) continue;
    if (!is_within_limits(static_cast<int32_t>(key >> 32), static_cast<int32_t>(key & 0xffffffffu))) continue;
    candidates_.push({value.count, key});
    pairs_.emplace(key, std::move(value));
  }
}

void MergeLearner::rewrite(uint32_t i_sequence, int32_t left, int32_t right, int32_t merged, Pairs& fresh) {
  Sequences::Sequence& sequence = sequences_.items[i_sequence];
  int32_t* const tokens = sequences_.tokens.data() + sequence.begin;
  const auto count = static_cast<int64_t>(sequence.count);
  // Pairs with the new token are in no table yet.
  const auto change = [&](int32_t a, int32_t b, int64_t by) {
    if (a != merged && b != merged) {
      const auto it = pairs_.find(key_of(a, b));
      if (it != pairs_.end()) it->second.count += by;
      return;
    }
    Pair& pair = fresh[key_of(a, b)];
    pair.count += by;
    if (by > 0 && (pair.sequences.empty() || pair.sequences.back() != i_sequence)) {
      pair.sequences.push_back(i_sequence);
    }
  };
  uint32_t n_out = 0;
  for (uint32_t at = 0; at < sequence.length; ++n_out) {
    if (at + 1 >= sequence.length || tokens[at] != left || tokens[at + 1] != right) {
      tokens[n_out] = tokens[at++];
      continue;
    }
    if (n_out > 0) {
      change(tokens[n_out - 1], left, -count);
      change(tokens[n_out - 1], merged, count);
    }
    if (at + 2 < sequence.length) {
      change(right, tokens[at + 2], -count);
      change(merged, tokens[at + 2], count);
    }
    tokens[n_out] = merged;
    at += 2;
  }
  sequence.length = n_out;
}

}  // namespace outpost
