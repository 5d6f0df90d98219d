// Tokenizing a text again after an edit.
//
// The new tokens are old ones up to a place L before the edit, freshly encoded ones from L to a place R behind it, and
// old ones from R on. That is right where the tokenizer's result to the left of L does not depend on what is to the
// right of it and the other way round, in the old text and in the new; likewise for R. Two kinds of places are known
// to be so:
//
// - Cuts. `always_cuts` looks at the two characters around a place and is true if text is cut there whatever surrounds
//   them. Around a cut no special token may begin, end or take white space in another way in the one text than in the
//   other: so it keeps a distance from the edit that no special token spans.
// - Seams between two tokens of one long piece, for vocabularies whose pieces have no bounds. Merging is greedy: always
//   the pair of the best rank, the leftmost of equals. A sequence of tokens is the encoding of its text if and only if
//   every two neighbours are the encoding of theirs. For look at the first merge across a border in the whole text: up
//   to then nothing crossed it, so the two tokens at that border were merged from their own characters, in the order
//   in which they are merged when they are alone; then the same merge happens when the two are alone. So L and R may
//   lie between tokens that, encoded as a pair, remain that pair. Where they do not, they move away from the edit.
#include <algorithm>

#include "core/strings.h"
#include "tokenizer/tokenizer.h"

namespace outpost {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

constexpr size_t kLongestChar = 4;
// Seams seldom fail; each time they do the distance from the edit is doubled, from here.
constexpr size_t kFirstDistance = 32;

}  // namespace

/// A place to splice at: in the new text, and the old token that begins there or is the first behind it.
struct Tokenizer::Splice {
  size_t at;
  size_t token;
  bool is_cut;  ///< or a seam, to be checked
};

/// True if special tokens are found on both sides of the place as they would be in either side alone.
bool Tokenizer::parts_special(std::string_view text, size_t at, const SpecialMatcher& special) const {
  return !is_continuation(text[at]) && (special.keeps_white_space() || !is_space(text[at - 1])) &&
         !special.touches(text, at);
}

size_t Tokenizer::retokenize(TokenizedText& tokens, const TextEdit& edit, std::string_view text,
                             const TokenizeOptions& options) const {
  check_length(text);
  const size_t edit_end = edit.begin + edit.n_inserted;
  if (edit.begin > text.size() || edit.n_inserted > text.size() - edit.begin ||
      tokens.ids.size() != tokens.begins.size()) {
    throw EngineError(ErrorCode::kInvalidArgument, concat("An edit of ", edit.n_inserted, " bytes at ", edit.begin,
                                                          " is not within a text of ", text.size(), " bytes."));
  }
  const SpecialMatcher& special = matcher(options);
  const size_t n_first = options.add_bos && vocabulary_.add_bos ? 1 : 0;
  const size_t n_last = options.add_eos ? size_t{vocabulary_.add_eos} + size_t{vocabulary_.add_separator} : 0;
  if (tokens.ids.size() < n_first + n_last) {
    throw EngineError(ErrorCode::kInvalidArgument, "The tokens to edit were not encoded with these options.");
  }
  const auto old_place = [&](size_t at) { return at - edit.n_inserted + edit.n_removed; };  // behind the edit
  const auto first_token_at = [&](size_t old_at) {
    const auto it = std::lower_bound(tokens.begins.begin(), tokens.begins.end(), old_at);
    return static_cast<size_t>(it - tokens.begins.begin());
  };
  /// Whether one can splice here: nothing of what decides it was edited.
  const auto splice_at = [&](size_t at, size_t old_at, Splice& splice) {
    if (!parts_special(text, at, special)) return false;
    const Neighbours neighbours = neighbours_at(text, at);
    if (!neighbours.is_between_chars) return false;
    const bool is_cut = always_cuts(neighbours);
    const size_t token = first_token_at(old_at);
    const bool is_seam = !is_cut && has_seams_at(neighbours) && token > n_first && token < tokens.ids.size() - n_last &&
                         tokens.begins[token] == old_at;
    if (is_cut || is_seam) splice = {at, token, is_cut};
    return is_cut || is_seam;
  };

  const size_t margin = std::max(special.reach(), kLongestChar);
  size_t n_tokenized = 0;
  for (size_t distance = 0;; distance = std::max(kFirstDistance, 2 * distance)) {
    Splice left = {0, n_first, true}, right = {text.size(), tokens.ids.size() - n_last, true};
    for (size_t at = edit.begin - std::min(edit.begin, margin + distance); at > 0; --at) {
      if (splice_at(at, at, left)) break;
    }
    for (size_t at = edit_end + margin + distance; at < text.size(); ++at) {
      if (splice_at(at, old_place(at), right)) break;
    }

    if (right.token < left.token) {
      throw EngineError(ErrorCode::kInvalidArgument, "The tokens to edit are not in the order of the text.");
    }
    TokenizedText fresh;
    Encoding out(fresh.ids, &fresh.begins, right.at - left.at);
    encode_range(text, left.at, right.at, special, /*is_after_special=*/left.at == 0, out);
    n_tokenized += right.at - left.at;
    if (!is_seamless(tokens, left, right, fresh)) continue;

    const auto moved = static_cast<uint32_t>(edit.n_inserted - edit.n_removed);  // modulo 2^32, as it is added
    for (size_t i = right.token; i < tokens.begins.size(); ++i) tokens.begins[i] += moved;
    const auto replace = [&](auto& old, const auto& part) {
      const size_t n_common = std::min(part.size(), right.token - left.token);
      const auto at = old.begin() + static_cast<ptrdiff_t>(left.token);
      std::copy(part.begin(), part.begin() + static_cast<ptrdiff_t>(n_common), at);
      const auto rest = at + static_cast<ptrdiff_t>(n_common);
      if (n_common < part.size()) {
        old.insert(rest, part.begin() + static_cast<ptrdiff_t>(n_common), part.end());
      } else {
        old.erase(rest, old.begin() + static_cast<ptrdiff_t>(right.token));
      }
    };
    replace(tokens.ids, fresh.ids);
    replace(tokens.begins, fresh.begins);
    return n_tokenized;
  }
}

/// Whether the old and the fresh tokens may stand beside each other where they meet inside a piece.
bool Tokenizer::is_seamless(const TokenizedText& tokens, const Splice& left, const Splice& right,
                            const TokenizedText& fresh) const {
  if (left.is_cut && right.is_cut) return true;
  // A token that begins elsewhere is not all of what is at the seam.
  if (fresh.ids.empty() || fresh.begins.front() != left.at) return false;
  return (left.is_cut || may_follow(tokens.ids[left.token - 1], fresh.ids.front())) &&
         (right.is_cut || may_follow(fresh.ids.back(), tokens.ids[right.token]));
}

}  // namespace outpost
