#include "grammar/json_value.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/strings.h"
#include "core/utf8.h"
#include "engine.h"

namespace outpost {
namespace {

constexpr int kMaxDepth = 128;

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text_(text) {}

  JsonValue parse() {
    if (!is_utf8(text_)) fail("this is not UTF-8");
    JsonValue value = read(0);
    skip_blank();
    if (at_ < text_.size()) fail("expected the end");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    const std::string_view before = text_.substr(0, at_);
    const size_t newline = before.rfind('\n');
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("JSON, line ", 1 + std::count(before.begin(), before.end(), '\n'), ", column ",
                             before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1, ": ", what,
                             ", got ", at_ < text_.size() ? in_quotes(text_.substr(at_, 12)) : "the end", "."));
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_blank() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at_;
  }
  void expect(char c, const char* what) {
    skip_blank();
    if (peek() != c || at_ >= text_.size()) fail(what);
    ++at_;
  }

  JsonValue read(int depth) {
    if (depth > kMaxDepth) fail("values are nested too deeply");
    skip_blank();
    JsonValue value;
    switch (peek()) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"':
        value.kind = JsonValue::Kind::kString;
        value.text = string();
        return value;
      case 't':
      case 'f':
        value.kind = JsonValue::Kind::kBool;
        value.boolean = peek() == 't';
        word(value.boolean ? "true" : "false");
        return value;
      case 'n': word("null"); return value;
      default: return number();
    }
  }

  void word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) fail("expected a value");
    at_ += expected.size();
  }

  JsonValue object(int depth) {
    JsonValue value;
    value.kind = JsonValue::Kind::kObject;
    ++at_;
    skip_blank();
    if (peek() == '}') return ++at_, value;
    for (;;) {
      skip_blank();
      if (peek() != '"') fail("expected a name in quotes");
      std::string name = string();
      expect(':', "expected \":\"");
      if (value.find(name) != nullptr) fail("this name was there before");
      value.members.push_back({std::move(name), read(depth + 1)});
      skip_blank();
      if (peek() == ',') {
        ++at_;
        continue;
      }
      expect('}', "expected \",\" or \"}\"");
      return value;
    }
  }

  JsonValue array(int depth) {
    JsonValue value;
    value.kind = JsonValue::Kind::kArray;
    ++at_;
    skip_blank();
    if (peek() == ']') return ++at_, value;
    for (;;) {
      value.items.push_back(read(depth + 1));
      skip_blank();
      if (peek() == ',') {
        ++at_;
        continue;
      }
      expect(']', "expected \",\" or \"]\"");
      return value;
    }
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("expected a value");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }
  JsonValue number() {
    const size_t begin = at_;
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
    } else {
      digits();
    }
    if (peek() == '.') ++at_, digits();
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    JsonValue value;
    value.kind = JsonValue::Kind::kNumber;
    value.text = std::string(text_.substr(begin, at_ - begin));
    value.number = std::strtod(value.text.c_str(), nullptr);
    return value;
  }

  uint32_t hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
      if (digit < 0) fail("expected four hexadecimal digits");
      code = code << 4 | static_cast<uint32_t>(digit);
    }
    return code;
  }
  static void append_utf8(std::string& out, uint32_t code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
      return;
    }
    const int n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    out += static_cast<char>((0xF00 >> n & 0xFF) | code >> (6 * (n - 1)));
    for (int i = n - 2; i >= 0; --i) out += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
  }
  std::string string() {
    std::string out;
    for (++at_; peek() != '"';) {
      if (at_ >= text_.size() || static_cast<unsigned char>(peek()) < 0x20) fail("expected the end of the string");
      if (peek() != '\\') {
        out += text_[at_++];
        continue;
      }
      ++at_;
      const size_t which = std::string_view("\"\\/bfnrt").find(peek());
      if (at_ < text_.size() && which != std::string_view::npos) {
        out += "\"\\/\b\f\n\r\t"[which];
        ++at_;
      } else if (peek() == 'u') {
        ++at_;
        uint32_t code = hex4();
        if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
          at_ += 2;
          const uint32_t low = hex4();
          if (low < 0xDC00 || low >= 0xE000) fail("expected the second half of a character");
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        if (code >= 0xD800 && code < 0xE000) fail("half a character is none");
        append_utf8(out, code);
      } else {
        fail("unknown escape");
      }
    }
    ++at_;
    return out;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view name) const {
  const auto it = std::find_if(members.begin(), members.end(), [&](const auto& member) { return member.name == name; });
  return it == members.end() ? nullptr : &it->value;
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const size_t which = std::string_view("\"\\\b\f\n\r\t").find(c);
    if (which != std::string_view::npos) {
      out += '\\';
      out += "\"\\bfnrt"[which];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += kHex[c >> 4 & 0xF];
      out += kHex[c & 0xF];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string JsonValue::dump() const {
  std::string out;
  switch (kind) {
    case Kind::kNull: return "null";
    case Kind::kBool: return boolean ? "true" : "false";
    case Kind::kNumber: return text;
    case Kind::kString: return json_quoted(text);
    case Kind::kArray:
      for (const JsonValue& item : items) out += (out.empty() ? "" : ",") + item.dump();
      return "[" + out + "]";
    case Kind::kObject:
      for (const auto& [name, value] : members)
        out += (out.empty() ? "" : ",") + json_quoted(name) + ":" + value.dump();
      return "{" + out + "}";
  }
  return out;
}

JsonValue parse_json(std::string_view text) { return JsonParser(text).parse(); }

}  // namespace outpost
