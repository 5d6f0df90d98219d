#include "tokenizer/bpe_search.h"

#include <algorithm>

namespace outpost {

BpeSearch::BpeSearch(const BpeMerger& merger, std::vector<std::string> tokens, std::span<const int32_t> byte_symbols)
    : merger_(merger),
      tokens_(std::move(tokens)),
      byte_symbols_(byte_symbols.begin(), byte_symbols.end()),
      first_(tokens_.size()),
      last_(tokens_.size()) {
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (!tokens_[id].empty()) add_token(static_cast<int32_t>(id), tokens_[id]);
  }
}

void BpeSearch::append_bytes(int32_t id, std::vector<Symbol>& symbols) const {
  for (const char c : tokens_[static_cast<size_t>(id)]) {
    symbols.push_back({byte_symbols_[static_cast<unsigned char>(c)], 1});
  }
}

/// Merges the token's bytes and notes when the first and the last symbol changed. A token that is not the encoding of
/// its own bytes is no part of any encoding.
void BpeSearch::add_token(int32_t id, std::string_view bytes) {
  std::vector<Symbol> symbols;
  append_bytes(id, symbols);
  std::vector<BpeMerger::Event> events;
  merger_.merge(symbols, events);
  if (symbols.size() != 1 || symbols[0].id != id) return;
  trie_.insert(bytes, id);
  const auto in_order = [](const auto& a, const auto& b) { return a.rank < b.rank; };
  if (!std::is_sorted(events.begin(), events.end(), in_order)) return;
  const auto add_steps = [&](unsigned char byte, auto&& concerns) {
    Steps steps = {static_cast<uint32_t>(steps_.size()), 1};
    steps_.push_back({byte_symbols_[byte], 0});
    for (const BpeMerger::Event& event : events) {
      if (!concerns(event)) continue;
      steps_.push_back({event.result, event.rank});
      ++steps.n;
    }
    return steps;
  };
  first_[static_cast<size_t>(id)] =
      add_steps(static_cast<unsigned char>(bytes.front()), [](const auto& event) { return event.begin == 0; });
  last_[static_cast<size_t>(id)] = add_steps(static_cast<unsigned char>(bytes.back()), [&](const auto& event) {
    return event.begin + event.n_bytes == bytes.size();
  });
}

bool BpeSearch::merge_pair(int32_t left, int32_t right) const {
  std::vector<Symbol> symbols;
  append_bytes(left, symbols);
  append_bytes(right, symbols);
  merger_.merge(symbols);
  return symbols.size() == 2 && symbols[0].id == left && symbols[1].id == right;
}

bool BpeSearch::may_follow(int32_t left, int32_t right) const {
  const Steps left_steps = last_[static_cast<size_t>(left)], right_steps = first_[static_cast<size_t>(right)];
  if (left_steps.n == 0 || right_steps.n == 0) return merge_pair(left, right);
  // Time is the rank of the merge that is made. What stands on both sides of the border merges there if that merge
  // comes before the next one that changes either side; of equal ranks the one further left.
  constexpr uint32_t kNever = ~uint32_t{0};
  for (uint32_t i = 0, j = 0;;) {
    const auto step_of = [&](Steps steps, uint32_t at) { return steps_[steps.begin + at]; };
    const uint32_t left_next = i + 1 < left_steps.n ? step_of(left_steps, i + 1).rank : kNever;
    const uint32_t right_next = j + 1 < right_steps.n ? step_of(right_steps, j + 1).rank : kNever;
    const uint32_t across = merger_.rank(step_of(left_steps, i).symbol, step_of(right_steps, j).symbol);
    if (across < left_next && across <= right_next && across != kNever) return false;
    if (left_next == kNever && right_next == kNever) return true;
    if (left_next <= right_next) {
      ++i;
    } else {
      ++j;
    }
  }
}

void BpeSearch::encode(std::string_view piece, std::vector<uint64_t>& memory, std::vector<Symbol>& symbols) const {
  // Code repeats its pairs of tokens. A place of the memory holds the last pair that fell on it, and the answer.
  constexpr size_t kMemoryBits = 14;
  constexpr uint64_t kYes = uint64_t{1} << 63;
  if (memory.empty()) memory.assign(size_t{1} << kMemoryBits, kYes - 1);
  const auto follows = [&](int32_t left, int32_t right) {
    const uint64_t pair = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
    uint64_t& known = memory[pair * 0x9E3779B97F4A7C15u >> (64 - kMemoryBits)];
    if ((known & ~kYes) != pair) known = pair | (may_follow(left, right) ? kYes : 0);
    return (known & kYes) != 0;
  };
  const size_t first = symbols.size();
  std::vector<bool> is_dead(piece.size() + 1);  // no encoding goes on from there
  std::vector<Symbol> matches;                  // the tokens that may come next, shortest first
  const auto look_up = [&](size_t at, size_t n_below) {
    matches.clear();
    trie_.prefixes(piece.substr(at), [&](size_t n, int32_t id) {
      if (n < n_below) matches.push_back({id, static_cast<uint32_t>(n)});
    });
  };
  size_t at = 0;
  look_up(at, piece.size() + 1);
  while (at < piece.size()) {
    if (matches.empty()) {
      is_dead[at] = true;
      const Symbol last = symbols.back();
      symbols.pop_back();
      at -= last.n_bytes;
      look_up(at, last.n_bytes);
      continue;
    }
    const Symbol next = matches.back();
    matches.pop_back();
    const bool fits = !is_dead[at + next.n_bytes] && (symbols.size() == first || follows(symbols.back().id, next.id));
    if (!fits) continue;
    symbols.push_back(next);
    at += next.n_bytes;
    look_up(at, piece.size() + 1);
  }
}

}  // namespace outpost
