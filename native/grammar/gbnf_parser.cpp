// GBNF: `name ::= alternatives`, of literals "…", classes [a-z] and [^…], any character `.`, names, groups (…) and the
// repetitions * + ? {m} {m,} {m,n}. A rule ends at a line break that is not inside a group, unless the line ends or the
// next one begins with `|`. Comments start with #.
#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "core/strings.h"
#include "core/utf8.h"
#include "engine.h"
#include "grammar/grammar.h"

namespace outpost {
namespace {

constexpr size_t kMaxNodes = 1 << 16;
constexpr int kMaxDepth = 128;  // of groups
constexpr int32_t kMaxRepetitions = 4096;
constexpr uint32_t kLastCodePoint = 0x10FFFF;

struct CodeRange {
  uint32_t first, last;
};

class GbnfParser {
 public:
  explicit GbnfParser(std::string_view text) : text_(text) {}

  Grammar parse() {
    if (!is_utf8(text_)) throw EngineError(ErrorCode::kInvalidArgument, "The grammar is not UTF-8.");
    skip_blank(true);
    while (at_ < text_.size()) rule();
    for (const auto& [name, rule] : names_) {
      if (rule.defined_at == kUndefined)
        fail(rule.used_at, concat("the rule ", in_quotes(name), " is used and not defined"));
    }
    const auto root = names_.find("root");
    if (root == names_.end()) fail(text_.size(), "expected a rule named \"root\"");
    grammar_.root = root->second.index;
    check_left_recursion();
    return std::move(grammar_);
  }

 private:
  using Node = Grammar::Node;
  using Sequence = std::vector<Node>;
  static constexpr size_t kUndefined = static_cast<size_t>(-1);
  struct Named {
    int32_t index;
    size_t used_at, defined_at;
  };

  [[noreturn]] void fail(size_t at, const std::string& what) const {
    const std::string_view before = text_.substr(0, std::min(at, text_.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    // Columns count characters, as editors do.
    const auto column = 1 + std::count_if(before.begin() + static_cast<std::ptrdiff_t>(line_start), before.end(),
                                          [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("Grammar, line ", line, ", column ", column, ": ", what, "."));
  }

  bool is_next(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  std::string found() const {
    if (at_ >= text_.size()) return "the end";
    return text_[at_] == '\n' ? "the end of the line" : in_quotes(text_.substr(at_, 12));
  }
  static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  }

  void skip_blank(bool with_newlines) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
      } else if (c == ' ' || c == '\t' || (with_newlines && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view name() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_name(text_[at_])) ++at_;
    if (at_ == begin) fail(at_, concat("expected the name of a rule, got ", found()));
    return text_.substr(begin, at_ - begin);
  }

  int32_t new_rule() {
    grammar_.rules.emplace_back();
    return static_cast<int32_t>(grammar_.rules.size()) - 1;
  }
  Named& named(std::string_view name, size_t used_at) {
    const auto [it, is_new] = names_.try_emplace(std::string(name), Named{0, used_at, kUndefined});
    if (is_new) it->second.index = new_rule();
    return it->second;
  }

  void rule() {
    const size_t begin = at_;
    const std::string_view rule_name = name();
    Named& rule = named(rule_name, begin);
    if (rule.defined_at != kUndefined) fail(begin, concat("the rule ", in_quotes(rule_name), " is defined twice"));
    rule.defined_at = begin;
    const int32_t index = rule.index;
    skip_blank(false);
    if (!is_next("::=")) fail(at_, concat("expected \"::=\", got ", found()));
    at_ += 3;
    skip_blank(true);
    alternatives(index, 0);
    skip_blank(false);
    if (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r')
      fail(at_, concat("expected an item or the end of the rule, got ", found()));
    skip_blank(true);
  }

  void alternatives(int32_t rule, int depth) {
    if (depth > kMaxDepth) fail(at_, concat("groups are nested more than ", kMaxDepth, " deep"));
    for (;;) {
      add_alternative(rule, sequence(depth));
      const size_t end = at_;
      skip_blank(true);
      if (!is_next("|")) {
        // A rule ends with its line, a group does not.
        if (depth == 0) at_ = end;
        return;
      }
      ++at_;
      skip_blank(true);
    }
  }

  void add_alternative(int32_t rule, const Sequence& sequence) {
    if (grammar_.nodes.size() + sequence.size() >= kMaxNodes)
      fail(at_, concat("the grammar has more than ", kMaxNodes, " elements"));
    grammar_.rules[static_cast<size_t>(rule)].push_back(static_cast<int32_t>(grammar_.nodes.size()));
    grammar_.nodes.insert(grammar_.nodes.end(), sequence.begin(), sequence.end());
    grammar_.nodes.push_back({Node::Kind::kEnd});
  }

  Sequence sequence(int depth) {
    Sequence all;
    for (;;) {
      skip_blank(depth > 0);
      if (at_ >= text_.size()) break;
      const size_t item_at = at_;
      Sequence item;
      const char c = text_[at_];
      if (c == '"') {
        item = literal();
      } else if (c == '[') {
        item = character_class();
      } else if (c == '.') {
        ++at_;
        item = one_of({{0, kLastCodePoint}});
      } else if (c == '(') {
        ++at_;
        const int32_t group = new_rule();
        skip_blank(true);
        alternatives(group, depth + 1);
        if (!is_next(")")) fail(at_, concat("expected \")\", got ", found()));
        ++at_;
        item = {{Node::Kind::kRule, group}};
      } else if (is_name(c)) {
        // At the start of a line a name may begin the next rule: it does if "::=" follows.
        item = {{Node::Kind::kRule, named(name(), item_at).index}};
      } else {
        break;
      }
      repeat(item, item_at);
      all.insert(all.end(), item.begin(), item.end());
    }
    return all;
  }

  /// Replaces `item` by its repetitions, if a sign for these follows.
  void repeat(Sequence& item, size_t item_at) {
    int32_t least = 1, most = 1;  // most -1: no limit
    if (is_next("*")) {
      least = 0, most = -1, ++at_;
    } else if (is_next("+")) {
      least = 1, most = -1, ++at_;
    } else if (is_next("?")) {
      least = 0, most = 1, ++at_;
    } else if (is_next("{")) {
      ++at_;
      least = number();
      most = least;
      if (is_next(",")) {
        ++at_;
        skip_blank(false);
        most = is_next("}") ? -1 : number();
      }
      if (!is_next("}")) fail(at_, concat("expected \"}\", got ", found()));
      ++at_;
      if (most >= 0 && most < least) fail(item_at, concat("repeated ", least, " to ", most, " times"));
    } else {
      return;
    }
    const int32_t unit = new_rule();
    add_alternative(unit, item);
    const Node one{Node::Kind::kRule, unit};
    Sequence repeated(static_cast<size_t>(least), one);
    if (most < 0) {
      const int32_t rest = new_rule();
      add_alternative(rest, {one, {Node::Kind::kRule, rest}});
      add_alternative(rest, {});
      repeated.push_back({Node::Kind::kRule, rest});
    } else if (most > least) {
      // One rule for each that may be left out: it is there with the following ones, or none of them is.
      int32_t following = -1;
      for (int32_t i = least; i < most; ++i) {
        const int32_t optional = new_rule();
        add_alternative(optional, following < 0 ? Sequence{one} : Sequence{one, {Node::Kind::kRule, following}});
        add_alternative(optional, {});
        following = optional;
      }
      repeated.push_back({Node::Kind::kRule, following});
    }
    item = std::move(repeated);
  }

  int32_t number() {
    skip_blank(false);
    const size_t begin = at_;
    int32_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      value = value * 10 + (text_[at_++] - '0');
      if (value > kMaxRepetitions) fail(begin, concat("more than ", kMaxRepetitions, " repetitions"));
    }
    if (at_ == begin) fail(at_, concat("expected a number, got ", found()));
    skip_blank(false);
    return value;
  }

  Sequence literal() {
    const size_t begin = at_++;
    Sequence sequence;
    while (!is_next("\"")) {
      if (at_ >= text_.size() || text_[at_] == '\n') fail(begin, "this text has no closing quote");
      const uint32_t code = character();
      const Sequence one = one_of({{code, code}});
      sequence.insert(sequence.end(), one.begin(), one.end());
    }
    ++at_;
    return sequence;
  }

  Sequence character_class() {
    const size_t begin = at_++;
    const bool is_negated = is_next("^");
    if (is_negated) ++at_;
    std::vector<CodeRange> ranges;
    while (!is_next("]")) {
      if (at_ >= text_.size() || text_[at_] == '\n') fail(begin, "this class has no closing bracket");
      const size_t range_at = at_;
      CodeRange range{};
      range.first = range.last = character();
      if (is_next("-") && !text_.substr(at_).starts_with("-]")) {
        ++at_;
        if (at_ >= text_.size()) fail(begin, "this class has no closing bracket");
        range.last = character();
        if (range.last < range.first) fail(range_at, "this range ends before it begins");
      }
      ranges.push_back(range);
    }
    ++at_;
    if (is_negated) ranges = complement(ranges);
    if (ranges.empty()) fail(begin, "no character is in this class");
    return one_of(ranges);
  }

  static std::vector<CodeRange> complement(std::vector<CodeRange> ranges) {
    std::sort(ranges.begin(), ranges.end(), [](auto& a, auto& b) { return a.first < b.first; });
    std::vector<CodeRange> rest;
    uint32_t next = 0;
    for (const CodeRange& range : ranges) {
      if (range.first > next) rest.push_back({next, range.first - 1});
      next = std::max(next, range.last + 1);
    }
    if (next <= kLastCodePoint) rest.push_back({next, kLastCodePoint});
    return rest;
  }

  /// A character of a literal or class, escapes resolved.
  uint32_t character() {
    if (text_[at_] != '\\') {
      const auto n = static_cast<size_t>(utf8_sequence_length(text_.substr(at_)));
      uint32_t code = static_cast<unsigned char>(text_[at_]);
      if (n > 1) code &= 0x7Fu >> n;
      for (size_t i = 1; i < n; ++i) code = code << 6 | (static_cast<unsigned char>(text_[at_ + i]) & 0x3F);
      at_ += n;
      return code;
    }
    const size_t begin = at_++;
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    switch (c) {
      case 'n': return '\n';
      case 'r': return '\r';
      case 't': return '\t';
      case '"':
      case '\\':
      case '[':
      case ']':
      case '-':
      case '^':
      case '/': return static_cast<unsigned char>(c);
      case 'x': return hex(begin, 2);
      case 'u': return hex(begin, 4);
      case 'U': return hex(begin, 8);
      default:
        fail(begin, "unknown escape; expected one of \\n \\r \\t \\\" \\\\ \\[ \\] \\- \\^ \\xNN \\uNNNN \\UNNNNNNNN");
    }
  }

  uint32_t hex(size_t begin, int n_digits) {
    uint32_t value = 0;
    for (int i = 0; i < n_digits; ++i) {
      const char c = at_ < text_.size() ? text_[at_++] : ' ';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail(begin, concat("expected ", n_digits, " hexadecimal digits"));
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    if (value > kLastCodePoint || (value >= 0xD800 && value < 0xE000)) fail(begin, "this is no character of Unicode");
    return value;
  }

  // ---- characters to bytes

  Node bytes(const ByteSet& set) {
    const auto known = std::find(grammar_.sets.begin(), grammar_.sets.end(), set);
    const auto index = static_cast<int32_t>(known - grammar_.sets.begin());
    if (known == grammar_.sets.end()) grammar_.sets.push_back(set);
    return {Node::Kind::kBytes, index};
  }
  static ByteSet byte_range(uint32_t first, uint32_t last) {
    ByteSet set;
    for (uint32_t byte = first; byte <= last; ++byte) set.set(byte);
    return set;
  }

  /// One character of some ranges, as bytes of UTF-8.
  Sequence one_of(const std::vector<CodeRange>& ranges) {
    ByteSet ascii;
    std::vector<Sequence> longer;
    for (CodeRange range : ranges) {
      for (uint32_t code = range.first; code <= std::min(range.last, 0x7Fu); ++code) ascii.set(code);
      // Ranges that are encoded in the same number of bytes; surrogates are no characters.
      constexpr CodeRange kParts[] = {{0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, kLastCodePoint}};
      for (const CodeRange& part : kParts) {
        const uint32_t first = std::max(range.first, part.first), last = std::min(range.last, part.last);
        if (first <= last) split({first, last}, part.first < 0x800 ? 2 : part.first < 0x10000 ? 3 : 4, longer);
      }
    }
    if (longer.empty()) return {bytes(ascii)};
    if (longer.size() == 1 && ascii.none()) return longer.front();
    const int32_t rule = new_rule();
    if (ascii.any()) add_alternative(rule, {bytes(ascii)});
    for (const Sequence& sequence : longer) add_alternative(rule, sequence);
    return {{Node::Kind::kRule, rule}};
  }

  /// Cuts a range until each byte of its encodings runs through a range of its own, independent of the others.
  void split(CodeRange range, int n_bytes, std::vector<Sequence>& out) {
    for (int i = 1; i < n_bytes; ++i) {
      const uint32_t mask = (1u << (6 * i)) - 1;
      if ((range.first & ~mask) == (range.last & ~mask)) continue;
      if ((range.first & mask) != 0) {
        split({range.first, range.first | mask}, n_bytes, out);
        return split({(range.first | mask) + 1, range.last}, n_bytes, out);
      }
      if ((range.last & mask) != mask) {
        split({range.first, (range.last & ~mask) - 1}, n_bytes, out);
        return split({range.last & ~mask, range.last}, n_bytes, out);
      }
    }
    Sequence sequence;
    for (int i = n_bytes - 1; i >= 0; --i) {
      const bool is_lead = i == n_bytes - 1;
      const uint32_t mark = is_lead ? 0xFF00u >> n_bytes & 0xFF : 0x80;
      const uint32_t bits = is_lead ? 0x7Fu >> n_bytes : 0x3F;
      sequence.push_back(
          bytes(byte_range(mark | (range.first >> (6 * i) & bits), mark | (range.last >> (6 * i) & bits))));
    }
    out.push_back(std::move(sequence));
  }

  // ---- rules that begin with themselves would be looked for without end

  void check_left_recursion() const {
    const size_t n = grammar_.rules.size();
    std::vector<bool> is_empty(n, false);  // may stand for no bytes at all
    for (bool has_changed = true; has_changed;) {
      has_changed = false;
      for (size_t rule = 0; rule < n; ++rule) {
        if (is_empty[rule]) continue;
        for (const int32_t begin : grammar_.rules[rule]) {
          auto node = grammar_.nodes.begin() + begin;
          while (node->kind == Node::Kind::kRule && is_empty[static_cast<size_t>(node->index)]) ++node;
          if (node->kind == Node::Kind::kEnd) is_empty[rule] = has_changed = true;
        }
      }
    }
    enum class Mark : uint8_t { kNew, kOpen, kDone };
    std::vector<Mark> marks(n, Mark::kNew);
    for (size_t start = 0; start < n; ++start) {
      struct Visit {
        size_t rule;
        std::vector<int32_t> first;  // rules it may begin with
      };
      std::vector<Visit> path;
      const auto open = [&](size_t rule) {
        marks[rule] = Mark::kOpen;
        Visit visit{rule, {}};
        for (const int32_t begin : grammar_.rules[rule]) {
          for (auto node = grammar_.nodes.begin() + begin; node->kind == Node::Kind::kRule; ++node) {
            visit.first.push_back(node->index);
            if (!is_empty[static_cast<size_t>(node->index)]) break;
          }
        }
        path.push_back(std::move(visit));
      };
      if (marks[start] == Mark::kNew) open(start);
      while (!path.empty()) {
        if (path.back().first.empty()) {
          marks[path.back().rule] = Mark::kDone;
          path.pop_back();
          continue;
        }
        const auto next = static_cast<size_t>(path.back().first.back());
        path.back().first.pop_back();
        if (marks[next] == Mark::kOpen) fail_recursion(next);
        if (marks[next] == Mark::kNew) open(next);
      }
    }
  }

  [[noreturn]] void fail_recursion(size_t rule) const {
    for (const auto& [name, named] : names_) {
      if (named.index == static_cast<int32_t>(rule))
        fail(named.defined_at, concat("the rule ", in_quotes(name), " may begin with itself; let it end with itself"));
    }
    fail(0, "something that may be empty is repeated without limit");
  }

  std::string_view text_;
  size_t at_ = 0;
  Grammar grammar_;
  std::map<std::string, Named, std::less<>> names_;
};

}  // namespace

Grammar parse_gbnf(std::string_view text) { return GbnfParser(text).parse(); }

}  // namespace outpost
