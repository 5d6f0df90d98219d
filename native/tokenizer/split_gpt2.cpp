// GPT-2's expression and the families that put other expressions before or after it:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#include <cstring>

#include "tokenizer/split_stage.h"

namespace outpost {
namespace {

size_t match_gpt2(const ClassifiedText& text, size_t at, size_t end) {
  if (const size_t stop = contraction<false>(text, at, end); stop > at) return stop;
  const size_t first = text.byte(at) == ' ' && at + 1 < end ? at + 1 : at;
  if (text.is(first, kLetter)) return text.run(first, end, kLetter);
  if (text.is(first, kNumber)) return text.run(first, end, kNumber);
  if (text.is(first, kWhiteSpace)) return white_space(text, at, end);
  size_t stop = first;
  while (stop < end && !text.is(stop, kLetter | kNumber | kWhiteSpace)) ++stop;
  return stop;
}

bool is_digit(const ClassifiedText& text, size_t at) { return text.byte(at) >= '0' && text.byte(at) <= '9'; }

/// [0-9][0-9][0-9]
void split_triples(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) {
    const bool is_triple = at + 2 < end && is_digit(text, at) && is_digit(text, at + 1) && is_digit(text, at + 2);
    return is_triple ? at + 3 : at;
  });
}

/// \p{N}+
void split_numbers(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) { return text.run(at, end, kNumber); });
}

/// Punctuation and the symbols of ASCII that many vocabularies treat like it: [\p{P}$+<=>^~|], for falcon also `.
template <bool with_backtick>
bool is_falcon_mark(uint32_t c, CharClass cls) {
  return (cls & kPunctuation) != 0 ||
         (c < 128 && c != 0 && std::strchr(with_backtick ? "$+<=>^~|`" : "$+<=>^~|", static_cast<int>(c)) != nullptr);
}

template <bool with_backtick>
void split_falcon_marks(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  const auto is_mark = [&](size_t at) {
    const auto byte = static_cast<unsigned char>(text.byte(at));
    return is_falcon_mark<with_backtick>(byte, text.is(at, kPunctuation) ? kPunctuation : CharClass{0});
  };
  split_by(text, begin, end, ends, [&](size_t at) { return run_of(text, at, end, is_mark); });
}

/// <sentinel:[0-9]+>
void split_sentinels(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  static constexpr std::string_view kStart = "<sentinel:";
  split_by(text, begin, end, ends, [&](size_t at) {
    if (text.text().substr(at, end - at).substr(0, kStart.size()) != kStart) return at;
    size_t stop = at + kStart.size();
    const size_t digits = stop;
    while (stop < end && is_digit(text, stop)) ++stop;
    return stop > digits && stop < end && text.byte(stop) == '>' ? stop + 1 : at;
  });
}

/// (IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z
void split_images(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  static constexpr std::string_view kStart = "IMGIMG";
  split_by(text, begin, end, ends, [&](size_t at) {
    if (text.text().substr(at, end - at).substr(0, kStart.size()) != kStart) return at;
    size_t stop = at + kStart.size();
    const size_t letters = stop;
    while (stop < end && stop < letters + 4 && text.byte(stop) >= 'A' && text.byte(stop) <= 'I') ++stop;
    return stop > letters && stop < end && text.byte(stop) == 'Z' ? stop + 1 : at;
  });
}

/// [\t\n]|    |  (four spaces, or two)
void split_indents(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) {
    if (text.byte(at) == '\t' || text.byte(at) == '\n') return at + 1;
    size_t stop = at;
    while (stop < end && stop < at + 4 && text.byte(stop) == ' ') ++stop;
    return at + (stop - at == 4 ? 4 : (stop - at) / 2 * 2);
  });
}

/// [\p{P}!-/:-@\[-`{-~]
void split_each_mark(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) {
    const char c = text.byte(at);
    const bool is_ascii_mark = (c >= '!' && c <= '~') && !text.is(at, kLetter | kNumber);
    return is_ascii_mark || text.is(at, kPunctuation) ? text.next(at) : at;
  });
}

/// Every alternative but white space is a run of one class, a space in front of it at most; a contraction is an
/// apostrophe and letters.
bool cuts_gpt2(const Neighbours& n) {
  constexpr CharClass kGroups = kLetter | kNumber | kWhiteSpace;
  return !n.left_is(kWhiteSpace) && (n.left_class & kGroups) != (n.right_class & kGroups) &&
         !(n.left == '\'' && n.right_is(kLetter));
}

/// Numbers are cut out first, one by one.
bool cuts_starcoder(const Neighbours& n) { return n.left_is(kNumber) || n.right_is(kNumber) || cuts_gpt2(n); }

template <bool with_backtick>
bool cuts_falcon(const Neighbours& n) {
  return is_falcon_mark<with_backtick>(n.left, n.left_class) != is_falcon_mark<with_backtick>(n.right, n.right_class) ||
         cuts_gpt2(n);
}

constexpr SplitStage kGpt2Stages[] = {split_gpt2};
constexpr SplitStage kStarcoderStages[] = {split_each_number, split_gpt2};
constexpr SplitStage kFalconStages[] = {split_falcon_marks<true>, split_gpt2, split_triples};
constexpr SplitStage kDefaultStages[] = {split_falcon_marks<false>, split_gpt2, split_numbers, split_triples};
constexpr SplitStage kChameleonStages[] = {split_sentinels,   split_images,    split_indents,
                                           split_each_number, split_each_mark, split_gpt2};

}  // namespace

void split_gpt2(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  while (begin < end) ends.push_back(static_cast<uint32_t>(begin = match_gpt2(text, begin, end)));
}

void split_each_number(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) { return text.is(at, kNumber) ? text.next(at) : at; });
}

const Splitter kGpt2 = {kGpt2Stages, cuts_gpt2};
const Splitter kStarcoder = {kStarcoderStages, cuts_starcoder};
const Splitter kFalcon = {kFalconStages, cuts_falcon<true>};
const Splitter kDefaultPre = {kDefaultStages, cuts_falcon<false>};
const Splitter kChameleon = {kChameleonStages, cuts_gpt2};

}  // namespace outpost
