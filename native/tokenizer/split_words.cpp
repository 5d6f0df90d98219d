// Llama 3's expression and its many relatives: Qwen, tekken, o200k and others. With the parts that differ in <>:
//   <contraction>|[^\r\n\p{L}\p{N}]?<letters><contraction>|\p{N}<{1,3}>|
//   ?[^\s\p{L}\p{N}]+<[\r\n/]*>|\s*[\r\n]+|<spaces>
#include "tokenizer/split_stage.h"

namespace outpost {
namespace {

enum class Letters {
  kPlain,      ///< \p{L}+
  kWithMarks,  ///< [\p{L}\p{M}]+, and marks are no symbols
  kJoined,     ///< [\p{L}\p{M}]+, and marks among symbols stay there
  kCased,      ///< upper case before lower case: [\p{Lu}...]*[\p{Ll}...]+|[\p{Lu}...]+[\p{Ll}...]*
  kCasedWithMarks,
  kSentence,  ///< (?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+ : words with single spaces between
};
enum class Tail { kNone, kLineBreaks, kLineBreaksAndSlashes, kOne };

struct WordRules {
  Letters letters = Letters::kPlain;
  bool contraction_before = true, contraction_after = false;
  int most_digits = 1;
  Tail tail = Tail::kLineBreaks;
};

constexpr CharClass word_class(Letters letters) {
  return letters == Letters::kPlain || letters == Letters::kCased || letters == Letters::kSentence ? kLetter
                                                                                                   : kLetter | kMark;
}

/// What is not "[^\s\p{L}\p{N}]".
constexpr CharClass non_symbol_class(Letters letters) {
  return kWhiteSpace | kLetter | kNumber | (letters == Letters::kWithMarks ? kMark : 0);
}

struct CasedMatch {
  size_t first_form, second_form;  ///< ends; the start where the form does not match
};

/// upper* lower+ and upper+ lower*. llama.cpp writes the categories of case as "a letter but a-z" and "a letter but
/// A-Z", so letters beyond ASCII are both. The first form gives characters back until its second half has one.
CasedMatch match_cased(const ClassifiedText& text, size_t at, size_t end, CharClass word) {
  const auto is_lower = [&](size_t i) { return text.byte(i) >= 'a' && text.byte(i) <= 'z'; };
  const auto is_upper = [&](size_t i) { return text.byte(i) >= 'A' && text.byte(i) <= 'Z'; };
  size_t i = at, caseless_end = at;
  for (; i < end && text.is(i, word) && !is_lower(i); ++i) {
    if (!is_upper(i)) caseless_end = i + 1;
  }
  const size_t upper_end = i;
  while (i < end && text.is(i, word) && !is_upper(i)) ++i;
  return {i > upper_end ? i : caseless_end, i};
}

size_t match_sentence(const ClassifiedText& text, size_t at, size_t end) {
  while (at < end) {
    const size_t letter = text.byte(at) == ' ' && at + 1 < end ? at + 1 : at;
    if (!text.is(letter, kLetter)) break;
    at = text.run(text.next(letter), end, kMark);
  }
  return at;
}

/// Letters, at `at` or after one other character there, and a contraction. @return `at` for no match
template <WordRules rules>
size_t match_letters(const ClassifiedText& text, size_t at, size_t end) {
  constexpr CharClass kWord = word_class(rules.letters);
  const size_t after = text.next(at);
  const bool leads = !text.is(at, kLetter | kNumber) && !text.is_line_break(at) && after < end && text.is(after, kWord);
  if (!leads && !text.is(at, kWord)) return at;
  const size_t first = leads ? after : at;
  size_t stop = first;
  if constexpr (rules.letters == Letters::kCased || rules.letters == Letters::kCasedWithMarks) {
    const CasedMatch match = match_cased(text, first, end, kWord);
    stop = match.first_form > first ? match.first_form : match.second_form;
    // A mark that leads is a letter too: before the second form the first is tried with it.
    if (leads && match.first_form == first && text.is(at, kWord)) stop = match_cased(text, at, end, kWord).first_form;
  } else if constexpr (rules.letters == Letters::kSentence) {
    stop = match_sentence(text, first, end);
  } else {
    stop = text.run(first, end, kWord);
  }
  if constexpr (rules.contraction_after) {
    if (stop < end) stop = contraction<true>(text, stop, end);
  }
  return stop;
}

template <WordRules rules>
size_t match_tail(const ClassifiedText& text, size_t at, size_t end) {
  const auto is_tail = [&](size_t i) {
    return text.is_line_break(i) || (rules.tail != Tail::kLineBreaks && text.byte(i) == '/');
  };
  if constexpr (rules.tail == Tail::kNone) return at;
  if constexpr (rules.tail == Tail::kOne) return at < end && is_tail(at) ? at + 1 : at;
  while (at < end && is_tail(at)) ++at;
  return at;
}

/// Numbers, symbols and white space.
template <WordRules rules>
size_t match_rest(const ClassifiedText& text, size_t at, size_t end) {
  constexpr CharClass kNonSymbol = non_symbol_class(rules.letters);
  if (text.is(at, kNumber)) return run_of_most(text, at, end, kNumber, rules.most_digits);
  const size_t first = text.byte(at) == ' ' && at + 1 < end ? at + 1 : at;
  if (!text.is(first, kNonSymbol)) {
    size_t stop = first;
    while (stop < end && !text.is(stop, kNonSymbol)) ++stop;
    return match_tail<rules>(text, stop, end);
  }
  if (const size_t stop = line_breaks(text, at, end); stop > at) return stop;
  return white_space(text, at, end);
}

template <WordRules rules>
size_t match_word(const ClassifiedText& text, size_t at, size_t end) {
  if constexpr (rules.contraction_before) {
    if (const size_t stop = contraction<true>(text, at, end); stop > at) return stop;
  }
  if (const size_t stop = match_letters<rules>(text, at, end); stop > at) return stop;
  return match_rest<rules>(text, at, end);
}

template <WordRules rules>
void split_words(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  while (begin < end) ends.push_back(static_cast<uint32_t>(begin = match_word<rules>(text, begin, end)));
}

/// Letters, numbers and symbols each end where another of them or a space starts, but for what may go before letters
/// and after symbols.
template <WordRules rules>
bool cuts_words(const Neighbours& n) {
  constexpr CharClass kWord = word_class(rules.letters);
  constexpr bool kMarksAreLetters = rules.letters == Letters::kWithMarks;
  const bool before_line_break = n.right == '\n' || n.right == '\r';
  if (n.left_is(kLetter) || (kMarksAreLetters && n.left_is(kMark))) {
    if (n.right_is(kWord)) return false;
    if (rules.letters == Letters::kSentence && (n.right == ' ' || n.right_is(kMark))) return false;
    return !(rules.contraction_after && n.right == '\'');
  }
  if (n.left_is(kNumber)) return !n.right_is(kNumber) || rules.most_digits == 1;
  if (n.left_is(kWhiteSpace)) return false;
  // Of symbols: a mark may be part of a word instead.
  if (n.left_is(kMark)) return n.right_is(kNumber) && rules.letters != Letters::kSentence;
  return n.right_is(kNumber) || (n.right_is(kWhiteSpace) && !before_line_break);
}

/// \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}, after line breaks. A run of white space is split at
/// once, not to look for its end again from every piece.
void split_jais2(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  static constexpr WordRules kRules = {.most_digits = 3};
  for (size_t at = begin; at < end;) {
    const size_t stop = match_word<kRules>(text, at, end);
    if (text.run(at, stop, kWhiteSpace) < stop || line_breaks(text, at, stop) > at) {
      ends.push_back(static_cast<uint32_t>(at = stop));
      continue;
    }
    const size_t run_end = text.run(at, end, kWhiteSpace);
    size_t n = 0;
    for (size_t i = at; i < run_end; i = text.next(i)) ++n;
    // The last character before a word may go with it; alone it is a piece.
    const size_t n_kept = run_end < end && n > 1 ? 1 : 0;
    while (n > n_kept) {
      size_t n_piece = 512;
      while (n_piece > n - n_kept) n_piece /= 2;
      for (size_t i = 0; i < n_piece; ++i) at = text.next(at);
      ends.push_back(static_cast<uint32_t>(at));
      n -= n_piece;
    }
  }
}

/// \p{Han}+, letters that are not Han with a contraction after them, and the rest as Llama 3.
void split_kimi_k2(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  static constexpr WordRules kRules = {.most_digits = 3};
  const auto is_han_at = [&](size_t at) { return text.is(at, kLetter) && is_han(text.code_point(at)); };
  const auto is_letter = [&](size_t at) { return text.is(at, kLetter) && !is_han_at(at); };
  while (begin < end) {
    size_t stop = run_of(text, begin, end, is_han_at);
    if (stop == begin) {
      const size_t after = text.next(begin);
      const bool leads = !text.is(begin, kLetter | kNumber) && !text.is_line_break(begin);
      const size_t first = leads && after < end && is_letter(after) ? after : begin;
      stop = run_of(text, first, end, is_letter);
      if (stop > first && stop < end) {
        stop = contraction<true>(text, stop, end);
      } else if (stop == first) {
        stop = match_rest<kRules>(text, begin, end);
      }
    }
    ends.push_back(static_cast<uint32_t>(begin = stop));
  }
}

// What differs from Llama 3. The contractions of bailing-moe and the line breaks of others are written otherwise in
// their expressions, but match the same.
constexpr WordRules kLlama3Rules = {.most_digits = 3};
constexpr WordRules kQwen2Rules = {};
constexpr WordRules kQwen35Rules = {.letters = Letters::kWithMarks};
constexpr WordRules kTekkenRules = {
    .letters = Letters::kCased, .contraction_before = false, .tail = Tail::kLineBreaksAndSlashes};
constexpr WordRules kGpt4oRules = {.letters = Letters::kCased,
                                   .contraction_before = false,
                                   .contraction_after = true,
                                   .most_digits = 3,
                                   .tail = Tail::kLineBreaksAndSlashes};
constexpr WordRules kGraniteMultiRules = {.letters = Letters::kCasedWithMarks,
                                          .contraction_before = false,
                                          .contraction_after = true,
                                          .most_digits = 3,
                                          .tail = Tail::kLineBreaksAndSlashes};
constexpr WordRules kTinyAyaRules = {.letters = Letters::kJoined,
                                     .contraction_before = false,
                                     .contraction_after = true,
                                     .most_digits = 3,
                                     .tail = Tail::kLineBreaksAndSlashes};
constexpr WordRules kYoutuRules = {.letters = Letters::kJoined,
                                   .contraction_before = false,
                                   .contraction_after = true,
                                   .tail = Tail::kLineBreaksAndSlashes};
constexpr WordRules kSeedCoderRules = {.tail = Tail::kNone};
constexpr WordRules kUfakzekaRules = {.contraction_before = false};
constexpr WordRules kMinicpm5Rules = {.most_digits = 1 << 30};  // \p{N}+
constexpr WordRules kExaoneMoeRules = {.letters = Letters::kSentence, .tail = Tail::kOne};
constexpr WordRules kKimiRules = {.contraction_before = false, .contraction_after = true, .most_digits = 3};

template <WordRules rules>
constexpr SplitStage kWordStages[] = {split_words<rules>};
constexpr SplitStage kJais2Stages[] = {split_jais2};
constexpr SplitStage kKimiStages[] = {split_kimi_k2};
constexpr SplitStage kTinyAyaStages[] = {split_digits_from_right, split_words<kTinyAyaRules>};
constexpr SplitStage kYoutuStages[] = {split_east_asian, split_words<kYoutuRules>};
constexpr SplitStage kMinicpm5Stages[] = {split_numbers_by_3, split_words<kMinicpm5Rules>};
constexpr SplitStage kLagunaStages[] = {split_newlines, split_words<kQwen2Rules>};

bool cuts_laguna(const Neighbours& n) { return (n.left == '\n') != (n.right == '\n') || cuts_words<kQwen2Rules>(n); }

}  // namespace

const Splitter kLlama3 = {kWordStages<kLlama3Rules>, cuts_words<kLlama3Rules>};
const Splitter kQwen2 = {kWordStages<kQwen2Rules>, cuts_words<kQwen2Rules>};
const Splitter kQwen35 = {kWordStages<kQwen35Rules>, cuts_words<kQwen35Rules>};
const Splitter kTekken = {kWordStages<kTekkenRules>, cuts_words<kTekkenRules>};
const Splitter kGpt4o = {kWordStages<kGpt4oRules>, cuts_words<kGpt4oRules>};
const Splitter kGraniteMulti = {kWordStages<kGraniteMultiRules>, cuts_words<kGraniteMultiRules>};
const Splitter kTinyAya = {kTinyAyaStages, cuts_words<kTinyAyaRules>};
const Splitter kYoutu = {kYoutuStages, cuts_words<kYoutuRules>};
const Splitter kSeedCoder = {kWordStages<kSeedCoderRules>, cuts_words<kSeedCoderRules>};
const Splitter kUfakzeka = {kWordStages<kUfakzekaRules>, cuts_words<kUfakzekaRules>};
const Splitter kJais2 = {kJais2Stages, cuts_words<kLlama3Rules>};
const Splitter kMinicpm5 = {kMinicpm5Stages, cuts_words<kLlama3Rules>};
const Splitter kLaguna = {kLagunaStages, cuts_laguna};
const Splitter kExaoneMoe = {kWordStages<kExaoneMoeRules>, cuts_words<kExaoneMoeRules>};
const Splitter kKimiK2 = {kKimiStages, cuts_words<kKimiRules>};

}  // namespace outpost
