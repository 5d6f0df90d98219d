// Parts that splitters are made of.
#pragma once

#include "tokenizer/splitter.h"

namespace outpost {

/// Finds matches from left to right, as a search with a regular expression does; what lies between two is a piece too.
/// @param match (at) -> end of the match that starts there; `at` itself or less for none
template <typename Match>
void split_by(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends, const Match& match) {
  size_t piece = begin;
  for (size_t at = begin; at < end;) {
    const size_t match_end = match(at);
    if (match_end <= at) {
      at = text.next(at);
      continue;
    }
    if (piece < at) ends.push_back(static_cast<uint32_t>(at));
    ends.push_back(static_cast<uint32_t>(match_end));
    piece = at = match_end;
  }
  if (piece < end) ends.push_back(static_cast<uint32_t>(end));
}

/// [set]+ for a set given as a condition on the character at a position.
template <typename IsIn>
size_t run_of(const ClassifiedText& text, size_t at, size_t end, const IsIn& is_in) {
  while (at < end && is_in(at)) at = text.next(at);
  return at;
}

/// At most `most` characters with one of the classes.
inline size_t run_of_most(const ClassifiedText& text, size_t at, size_t end, CharClass set, int most) {
  for (int n = 0; n < most && at < end && text.is(at, set); ++n) at = text.next(at);
  return at;
}

/// 's 't 're 've 'm 'll 'd. @return its end, or `at`
template <bool any_case>
size_t contraction(const ClassifiedText& text, size_t at, size_t end) {
  const auto letter = [&](size_t i) {
    const char c = text.byte(i);
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  if (text.byte(at) != '\'' || at + 1 >= end) return at;
  const char first = letter(at + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (at + 2 >= end) return at;
  const char second = letter(at + 2);
  const bool is_long =
      (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return is_long ? at + 3 : at;
}

/// \s+(?!\S)|\s+ : white space up to the last character before a word, which belongs to the word.
inline size_t white_space(const ClassifiedText& text, size_t at, size_t end) {
  size_t last = at, stop = at;
  while (stop < end && text.is(stop, kWhiteSpace)) {
    last = stop;
    stop = text.next(stop);
  }
  return stop == end || last == at ? stop : last;
}

/// \s*[\r\n]+ : white space up to its last line break. @return `at` if it has none
inline size_t line_breaks(const ClassifiedText& text, size_t at, size_t end) {
  size_t stop = at;
  for (size_t i = at; i < end && text.is(i, kWhiteSpace); ++i) {
    if (text.is_line_break(i)) stop = i + 1;
  }
  return stop;
}

// Stages that several families share.
void split_gpt2(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends);
void split_each_number(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends);
void split_numbers_by_3(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends);
void split_digits_from_right(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends);
void split_east_asian(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends);
void split_newlines(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends);

// The splitters, by file.
extern const Splitter kGpt2, kStarcoder, kFalcon, kDefaultPre, kChameleon, kPoro, kViking, kSuperBpe, kNewlines;
extern const Splitter kLlama3, kQwen2, kQwen35, kTekken, kGpt4o, kGraniteMulti, kTinyAya, kYoutu, kSeedCoder, kUfakzeka,
    kJais2, kMinicpm5, kLaguna, kExaoneMoe, kKimiK2;
extern const Splitter kDeepseekLlm, kDeepseekCoder, kDeepseek3, kSpark, kAfmoe;

}  // namespace outpost
