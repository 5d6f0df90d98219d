// A context-free grammar over bytes, read from GBNF (the notation of llama.cpp's grammars): rules of alternatives,
// which are sequences of sets of bytes and of other rules. Characters beyond ASCII become sequences of byte sets.
// Immutable after construction.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

namespace outpost {

using ByteSet = std::bitset<256>;

struct Grammar {
  /// A place in an alternative; the one behind it in the sequence is the next element of `nodes`.
  struct Node {
    enum class Kind : uint8_t { kBytes, kRule, kEnd } kind;
    int32_t index = 0;  ///< into `sets` or `rules`
  };

  std::vector<ByteSet> sets;
  std::vector<Node> nodes;
  std::vector<std::vector<int32_t>> rules;  ///< of each, where in `nodes` its alternatives begin
  int32_t root = 0;
};

/// @throws EngineError kInvalidArgument: the line and column of what is wrong and what was expected there; rules that
///         are missing, that have no end or that begin with themselves; grammars of more than 2^16 nodes
Grammar parse_gbnf(std::string_view text);

}  // namespace outpost
