// Splitters by spaces, by lines and by numbers, and the table of all.
#include "tokenizer/split_stage.h"

namespace outpost {
namespace {

/// [^(\s|.,!?...] : what words of the BLOOM family consist of. The expression means more than its author did: ( | ) are
/// not part of words.
bool is_bloom_word(uint32_t c, CharClass cls) {
  static constexpr std::u32string_view kNot = U"(|.,!?)\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C";
  return (cls & kWhiteSpace) == 0 && kNot.find(static_cast<char32_t>(c)) == std::u32string_view::npos;
}

/// ` ?[word]+`
void split_bloom(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  const auto is_word = [&](size_t at) { return !text.is(at, kWhiteSpace) && is_bloom_word(text.code_point(at), 0); };
  split_by(text, begin, end, ends, [&](size_t at) {
    const size_t first = text.byte(at) == ' ' ? at + 1 : at;
    const size_t stop = run_of(text, first, end, is_word);
    return stop > first ? stop : at;
  });
}

/// (?=(\d{3})+(?!\d)) : before every group of three, counted from the last digit of a run. No character is matched.
void split_digit_groups(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  const auto is_digit = [&](size_t at) { return text.byte(at) >= '0' && text.byte(at) <= '9'; };
  size_t piece = begin;
  for (size_t at = begin; at < end;) {
    size_t stop = at;
    while (stop < end && is_digit(stop)) ++stop;
    for (size_t group = stop - (stop - at) / 3 * 3; group < stop; group += 3) {
      if (group > piece) ends.push_back(static_cast<uint32_t>(piece = group));
    }
    at = stop > at ? stop : text.next(at);
  }
  ends.push_back(static_cast<uint32_t>(end));
}

/// \p{N}+
void split_number_runs(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) { return text.run(at, end, kNumber); });
}

bool cuts_bloom(const Neighbours& n) { return n.right_is(kWhiteSpace) && is_bloom_word(n.left, n.left_class); }
bool cuts_viking(const Neighbours& n) { return cuts_bloom(n); }
bool cuts_superbpe(const Neighbours& n) { return n.left_is(kNumber) != n.right_is(kNumber); }
bool joins_superbpe(const Neighbours& n) { return !n.left_is(kNumber) && !n.right_is(kNumber); }
bool cuts_newlines(const Neighbours& n) { return (n.left == '\n') != (n.right == '\n'); }
bool joins_line(const Neighbours& n) { return n.left != '\n' && n.right != '\n'; }

constexpr SplitStage kPoroStages[] = {split_bloom};
constexpr SplitStage kVikingStages[] = {split_bloom, split_each_number};
constexpr SplitStage kSuperBpeStages[] = {split_number_runs, split_digit_groups};
constexpr SplitStage kNewlineStages[] = {split_newlines};

}  // namespace

/// \p{N}{1,3}
void split_numbers_by_3(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) { return run_of_most(text, at, end, kNumber, 3); });
}

/// Groups of three counted from the last number of a run. What comes before a run is in one piece with its first
/// group, as llama.cpp has it; later stages part them.
void split_digits_from_right(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  for (size_t at = begin; at < end;) {
    size_t n = 0;
    for (size_t i = at; i < end && text.is(i, kNumber); i = text.next(i)) ++n;
    if (n == 0) {
      at = text.next(at);
      continue;
    }
    for (size_t n_group = n % 3 == 0 ? 3 : n % 3; n > 0; n -= n_group, n_group = 3) {
      at = run_of_most(text, at, end, kNumber, static_cast<int>(n_group));
      ends.push_back(static_cast<uint32_t>(at));
    }
  }
  if (ends.empty() || ends.back() < end) ends.push_back(static_cast<uint32_t>(end));
}

/// [^\n]+|[\n]+
void split_newlines(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  for (size_t at = begin; at < end;) {
    const bool is_newline = text.byte(at) == '\n';
    while (at < end && (text.byte(at) == '\n') == is_newline) ++at;
    ends.push_back(static_cast<uint32_t>(at));
  }
}

const Splitter kPoro = {kPoroStages, cuts_bloom};
const Splitter kViking = {kVikingStages, cuts_viking};
const Splitter kSuperBpe = {kSuperBpeStages, cuts_superbpe, joins_superbpe, true};
const Splitter kNewlines = {kNewlineStages, cuts_newlines, joins_line, true};

}  // namespace outpost
