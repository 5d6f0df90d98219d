// Splitters that tell scripts apart: DeepSeek's and its relatives, and stages with sets of code points.
#include <algorithm>
#include <array>
#include <string_view>

#include "tokenizer/split_stage.h"

namespace outpost {
namespace {

struct Range {
  uint32_t first, last;
};

template <size_t n>
bool is_in(const std::array<Range, n>& ranges, uint32_t c) {
  const auto it =
      std::lower_bound(ranges.begin(), ranges.end(), c, [](const Range& range, uint32_t x) { return range.last < x; });
  return it != ranges.end() && it->first <= c;
}

/// [set]+ for ranges of code points. White space is in none of them: llama.cpp matches these with a stand-in for it.
template <const auto& ranges>
void split_ranges(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  const auto is_member = [&](size_t at) { return !text.is(at, kWhiteSpace) && is_in(ranges, text.code_point(at)); };
  split_by(text, begin, end, ends, [&](size_t at) { return run_of(text, at, end, is_member); });
}

/// \s?[set]+
template <typename IsIn>
void split_led_by_space(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends,
                        const IsIn& is_in) {
  split_by(text, begin, end, ends, [&](size_t at) {
    const size_t first = text.is(at, kWhiteSpace) ? text.next(at) : at;
    const size_t stop = run_of(text, first, end, is_in);
    return stop > first ? stop : at;
  });
}

/// Letters of the scripts with case, as DeepSeek LLM lists them.
constexpr std::array kCasedScripts = std::to_array<Range>(
    {{0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
     {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
     {0x376, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},
     {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
     {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},
     {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},
     {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
     {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
     {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},
     {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},
     {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},
     {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
     {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},
     {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},
     {0xA771, 0xA787},   {0xA78B, 0xA78E},   {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},
     {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
     {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}});
/// [!-/:-~] and their wide forms, quotation marks, the ideographic full stop. From : to ~ there are letters too.
constexpr std::array kMarks = std::to_array<Range>(
    {{0x21, 0x2F}, {0x3A, 0x7E}, {0x2018, 0x201F}, {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}});
/// All between Samaritan and CJK, and Hangul.
constexpr std::array kAsian = std::to_array<Range>({{0x800, 0x9FA5}, {0xAC00, 0xD7FF}});
constexpr std::array kHanAndKana = std::to_array<Range>({{0x3040, 0x30FF}, {0x4E00, 0x9FA5}});
/// afmoe's CJK, Thai, Lao, Khmer, Burmese and Hangul. The range from U+8C48 is in the expression by mistake: its sign
/// looks like U+F900.
constexpr std::array kAfmoeScripts = std::to_array<Range>({{0xE40, 0xEFF},
                                                           {0x1000, 0x109F},
                                                           {0x1100, 0x11FF},
                                                           {0x1780, 0x17FF},
                                                           {0x2F00, 0x2FDF},
                                                           {0x3040, 0x30FF},
                                                           {0x3400, 0x4DBF},
                                                           {0x4E00, 0xFAFF},
                                                           {0xFF65, 0xFF9F}});
// youtu's alternatives, each of which is a run of its own.
constexpr std::array kHangul = std::to_array<Range>({{0x3131, 0x318E}, {0xAC00, 0xD7A3}});
constexpr std::array kEastAsianMarks = std::to_array<Range>({{0x2014, 0x2014},
                                                             {0x2018, 0x2019},
                                                             {0x201C, 0x201D},
                                                             {0x2026, 0x2026},
                                                             {0x3001, 0x303F},
                                                             {0xFE30, 0xFE4F},
                                                             {0xFF01, 0xFF01},
                                                             {0xFF0C, 0xFF0C},
                                                             {0xFF1A, 0xFF1B}});
constexpr std::array kBopomofo = std::to_array<Range>({{0x3105, 0x312F}});

void split_cased_scripts(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_led_by_space(text, begin, end, ends, [&](size_t at) { return is_in(kCasedScripts, text.code_point(at)); });
}

void split_marks(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_led_by_space(text, begin, end, ends,
                     [&](size_t at) { return !text.is(at, kWhiteSpace) && is_in(kMarks, text.code_point(at)); });
}

/// \s?[class]+
template <CharClass set>
void split_class_led_by_space(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_led_by_space(text, begin, end, ends, [&](size_t at) { return text.is(at, set); });
}

/// [\r\n]
void split_each_line_break(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) { return text.is_line_break(at) ? at + 1 : at; });
}

/// \s+$
void split_final_space(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  size_t last = end;  // bytes of one character have one class, so that steps of a byte will do
  while (last > begin && text.is(last - 1, kWhiteSpace)) --last;
  if (last > begin && last < end) ends.push_back(static_cast<uint32_t>(last));
  ends.push_back(static_cast<uint32_t>(end));
}

/// \p{N}+
void split_number_runs(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) { return text.run(at, end, kNumber); });
}

/// [ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
/// @param breaks_lines_singly for spark2_5: ...| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+
template <bool breaks_lines_singly>
size_t match_deepseek(const ClassifiedText& text, size_t at, size_t end) {
  constexpr CharClass kMarkOrSymbol = kPunctuation | kSymbol;
  const auto is_ascii_letter = [&](size_t i) {
    const char c = text.byte(i);
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  };
  const size_t after = text.next(at);
  if (static_cast<unsigned char>(text.byte(at)) < 128 && text.is(at, kMarkOrSymbol) && after < end &&
      is_ascii_letter(after)) {
    size_t stop = after;
    while (stop < end && is_ascii_letter(stop)) ++stop;
    return stop;
  }
  const bool leads = !text.is_line_break(at) && !text.is(at, kLetter | kMarkOrSymbol);
  const size_t word = leads && after < end && text.is(after, kLetter | kMark) ? after : at;
  if (text.is(word, kLetter | kMark)) return text.run(word, end, kLetter | kMark);

  const size_t first = text.byte(at) == ' ' && at + 1 < end ? at + 1 : at;
  if (text.is(first, kMarkOrSymbol)) {
    size_t stop = text.run(first, end, kMarkOrSymbol);
    while (!breaks_lines_singly && stop < end && text.is_line_break(stop)) ++stop;
    return stop;
  }
  if (breaks_lines_singly && text.is_line_break(at)) return at + 1;
  if (!breaks_lines_singly) {
    if (const size_t stop = line_breaks(text, at, end); stop > at) return stop;
  }
  return white_space(text, at, end);
}

template <bool breaks_lines_singly>
void split_deepseek(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  split_by(text, begin, end, ends, [&](size_t at) { return match_deepseek<breaks_lines_singly>(text, at, end); });
}

bool is_line_break(uint32_t c) { return c == '\n' || c == '\r'; }

/// Line breaks are cut out first, then words of cased letters, of which ASCII letters are some.
bool cuts_deepseek_llm(const Neighbours& n) {
  const bool ends_word = n.left < 128 && n.left_is(kLetter) && n.right < 128 && !n.right_is(kLetter);
  return is_line_break(n.left) || is_line_break(n.right) || ends_word;
}

/// As above; words are runs of letters, then come runs of punctuation.
bool cuts_deepseek_coder(const Neighbours& n) {
  return is_line_break(n.left) || is_line_break(n.right) || (n.left_is(kLetter) && !n.right_is(kLetter)) ||
         (n.left_is(kPunctuation) && !n.right_is(kPunctuation | kLetter));
}

/// Letters and marks end before all else; so do symbols, but for letters and the line breaks that go with them.
bool cuts_afmoe(const Neighbours& n) {
  constexpr CharClass kWord = kLetter | kMark;
  if (n.left_is(kWord)) return !n.right_is(kWord);
  if (n.left_is(kNumber)) return !n.right_is(kNumber);
  if (!n.left_is(kPunctuation | kSymbol)) return false;
  return n.right_is(kNumber) || (n.right_is(kWhiteSpace) && !is_line_break(n.right));
}

/// Numbers are cut out first.
bool cuts_deepseek3(const Neighbours& n) { return n.left_is(kNumber) != n.right_is(kNumber) || cuts_afmoe(n); }

constexpr SplitStage kDeepseekLlmStages[] = {split_each_line_break, split_cased_scripts,  split_marks,
                                             split_final_space,     split_ranges<kAsian>, split_number_runs};
constexpr SplitStage kDeepseekCoderStages[] = {split_each_line_break, split_class_led_by_space<kLetter>,
                                               split_class_led_by_space<kPunctuation>, split_ranges<kAsian>,
                                               split_each_number};
constexpr SplitStage kDeepseek3Stages[] = {split_numbers_by_3, split_ranges<kHanAndKana>, split_deepseek<false>};
constexpr SplitStage kSparkStages[] = {split_numbers_by_3, split_ranges<kHanAndKana>, split_deepseek<true>,
                                       split_each_number};
constexpr SplitStage kAfmoeStages[] = {split_digits_from_right, split_ranges<kAfmoeScripts>, split_deepseek<false>};

}  // namespace

/// [Hangul]+|[marks]+|[Bopomofo]+|[Han and kana]+, the first stage of youtu.
void split_east_asian(const ClassifiedText& text, size_t begin, size_t end, std::vector<uint32_t>& ends) {
  const auto set_of = [&](size_t at) {
    if (static_cast<unsigned char>(text.byte(at)) < 128 || text.is(at, kWhiteSpace)) return 0;
    const uint32_t c = text.code_point(at);
    return is_in(kHangul, c)           ? 1
           : is_in(kEastAsianMarks, c) ? 2
           : is_in(kBopomofo, c)       ? 3
           : is_in(kHanAndKana, c)     ? 4
                                       : 0;
  };
  split_by(text, begin, end, ends, [&](size_t at) {
    const int set = set_of(at);
    return set == 0 ? at : run_of(text, at, end, [&](size_t i) { return set_of(i) == set; });
  });
}

const Splitter kDeepseekLlm = {kDeepseekLlmStages, cuts_deepseek_llm};
const Splitter kDeepseekCoder = {kDeepseekCoderStages, cuts_deepseek_coder};
const Splitter kDeepseek3 = {kDeepseek3Stages, cuts_deepseek3};
const Splitter kSpark = {kSparkStages, cuts_deepseek3};
const Splitter kAfmoe = {kAfmoeStages, cuts_afmoe};

}  // namespace outpost
