// Grammars: what is read, what is refused and where, and masks against a check of every token by itself.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "grammar/grammar.h"
#include "grammar/grammar_program.h"
#include "grammar/json_schema.h"
#include "grammar/json_value.h"
#include "tests/support/shared_data.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr int32_t kEndToken = 0;

std::shared_ptr<const TokenTexts> texts_of(const std::vector<std::string>& tokens) {
  std::vector<TokenTexts::Token> views;
  for (size_t i = 0; i < tokens.size(); ++i) views.push_back({static_cast<int32_t>(i) + 1, tokens[i]});
  return std::make_shared<TokenTexts>(std::move(views), std::vector<int32_t>{kEndToken},
                                      static_cast<int32_t>(tokens.size()) + 1);
}

GrammarProgram program_of(const std::string& gbnf) { return {parse_gbnf(gbnf), texts_of({"a"})}; }

bool accepts(GrammarProgram& program, std::string_view text) {
  const auto state = program.next(program.start(), text);
  return state != GrammarProgram::kDead && program.may_end(state);
}
bool accepts(const std::string& gbnf, std::string_view text) {
  GrammarProgram program = program_of(gbnf);
  return accepts(program, text);
}
bool matches_schema(const std::string& schema, std::string_view text) {
  return accepts(json_schema_to_gbnf(schema), text);
}
std::string error_in(const std::string& gbnf) {
  return message_of([&] { parse_gbnf(gbnf); });
}

}  // namespace

TEST_CASE("GBNF: literals, classes, groups, alternatives and repetitions") {
  const std::string list =
      "root ::= \"[\" (item (\",\" item)*)? \"]\" # a list\nitem ::= [0-9]+ | \"-\" [^0-9] | .{2,3}";
  GrammarProgram program = program_of(list);
  for (const char* text : {"[]", "[1]", "[12,3]", "[-x,44]", "[ab]", "[äöü]", "[-é]"}) CHECK(accepts(program, text));
  for (const char* text : {"", "[", "[a]", "[-1x", "[a]]x", "1"}) CHECK_FALSE(accepts(program, text));
  CHECK(accepts("root ::= \"a\"{3}", "aaa"));
  CHECK_FALSE(accepts("root ::= \"a\"{3}", "aaaa"));
  CHECK(accepts("root ::= \"a\"{2,}", "aaaaaaaa"));
  CHECK_FALSE(accepts("root ::= \"a\"{2,}", "a"));
  CHECK(accepts("root ::= \"a\"{0,2} \"b\"", "b"));
  CHECK_FALSE(accepts("root ::= \"a\"{0,2} \"b\"", "aaab"));
  CHECK(accepts("root ::=\n  | \"x\"\n  | \"\\u00e9\\x41\\n\"", "éA\n"));
  CHECK(accepts("root ::=\n  | \"x\"", ""));
  CHECK(accepts("root ::= \"(\" root \")\" | \"\"", std::string(500, '(') + std::string(500, ')')));
  CHECK(accepts("a ::= \"1\"\r\nroot ::= a b\r\nb ::= \"2\"\r\n", "12"));
}

TEST_CASE("GBNF: classes hold exactly their characters, in all lengths of UTF-8") {
  // Against the code points themselves, at every border of encodings and ranges.
  const std::vector<std::pair<uint32_t, uint32_t>> ranges = {{0x41, 0x7F},        {0x7F, 0x80},      {0x7FE, 0x801},
                                                             {0xD7FF, 0xE000},    {0xFFFE, 0x10001}, {0x3041, 0x30FF},
                                                             {0x10FFFE, 0x10FFFF}};
  const auto utf8 = [](uint32_t c) {
    std::string out;
    if (c < 0x80) return std::string(1, static_cast<char>(c));
    const int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    out += static_cast<char>((0xF00 >> n & 0xFF) | c >> (6 * (n - 1)));
    for (int i = n - 2; i >= 0; --i) out += static_cast<char>(0x80 | (c >> (6 * i) & 0x3F));
    return out;
  };
  const auto escape = [](uint32_t c) {
    char text[16];
    std::snprintf(text, sizeof(text), "\\U%08x", c);
    return std::string(text);
  };
  for (const auto& [first, last] : ranges) {
    CAPTURE(first);
    for (const char* sign : {"", "^"}) {
      GrammarProgram program = program_of("root ::= [" + std::string(sign) + escape(first) + "-" + escape(last) + "]");
      for (const uint32_t border : {first, last, 0x20u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
        for (uint32_t code = border > 2 ? border - 2 : 0; code <= std::min(border + 2, 0x10FFFFu); ++code) {
          if (code >= 0xD800 && code < 0xE000) continue;
          const bool is_inside = code >= first && code <= last;
          CHECK(accepts(program, utf8(code)) == (is_inside == (*sign == '\0')));
        }
      }
    }
  }
}

TEST_CASE("GBNF: what is wrong is refused with its place") {
  CHECK(error_in("root ::= \"a\n") == "Grammar, line 1, column 10: this text has no closing quote.");
  CHECK(error_in("root ::= a\n\nb ::= [a-") == "Grammar, line 3, column 7: this class has no closing bracket.");
  CHECK(error_in("root ::= \"é\" x") == "Grammar, line 1, column 14: the rule \"x\" is used and not defined.");
  CHECK(error_in("a ::= \"b\"") == "Grammar, line 1, column 10: expected a rule named \"root\".");
  CHECK(error_in("root = \"b\"") == "Grammar, line 1, column 6: expected \"::=\", got \"= \\x22b\\x22\".");
  CHECK(error_in("root ::= \"b\"\nroot ::= \"c\"") == "Grammar, line 2, column 1: the rule \"root\" is defined twice.");
  CHECK(error_in("root ::= (\"b\" ") == "Grammar, line 1, column 15: expected \")\", got the end.");
  CHECK(error_in("root ::= [z-a]") == "Grammar, line 1, column 11: this range ends before it begins.");
  CHECK(error_in("root ::= \"\\q\"").starts_with("Grammar, line 1, column 11: unknown escape"));
  CHECK(error_in("root ::= \"a\"{3,1}") == "Grammar, line 1, column 10: repeated 3 to 1 times.");
  CHECK(error_in("root ::= \"a\"{99999}") == "Grammar, line 1, column 14: more than 4096 repetitions.");
  CHECK(error_in("root ::= x \"a\"\nx ::= root | \"b\"").starts_with("Grammar, line "));
  CHECK(error_in("root ::= root \"a\"") ==
        "Grammar, line 1, column 1: the rule \"root\" may begin with itself; let it end with itself.");
  CHECK(error_in("root ::= (\"a\"?)*").find("repeated without limit") != std::string::npos);
  CHECK(error_in("root ::= \xFF") == "The grammar is not UTF-8.");
  CHECK(error_in(std::string(100000, '(')).find("expected the name") != std::string::npos);
  CHECK(error_in("root ::= " + std::string(100000, '(')).find("nested") != std::string::npos);
  CHECK(error_in("").find("root") != std::string::npos);
}

TEST_CASE("GBNF: damaged grammars are read or refused, never worse") {
  const std::string whole = "root ::= (\"a\" | [b-d]{2,3})* x?\nx ::= \"\\u00e9\" . # end\n";
  std::mt19937 random(5);
  int n_refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = whole;
    for (uint32_t n = 1 + random() % 3; n > 0; --n)
      text[random() % text.size()] = "()[]{}\"\\|*+?,.:=#ax\n0"[random() % 21];
    try {
      program_of(text);
    } catch (const EngineError& error) {
      CHECK(error.code() == ErrorCode::kInvalidArgument);
      ++n_refused;
    }
  }
  CHECK(n_refused > 1000);
}

TEST_CASE("the masks of a grammar are what a check of every token gives") {
  // Random tokens over a few bytes, so that many begin alike and some end inside of characters.
  std::mt19937 random(11);
  const std::string bytes = "ab1,[]\"\xC3\xA9{: ";
  std::vector<std::string> tokens;
  for (int i = 0; i < 600; ++i) {
    std::string text;
    for (uint32_t n = 1 + random() % 6; n > 0; --n) text += bytes[random() % bytes.size()];
    tokens.push_back(text);
  }
  const auto texts = texts_of(tokens);
  for (const char* gbnf :
       {"root ::= [ab]* (\",\" [ab1é]+)* \"]\"", "root ::= \"[\" (root (\",\" root)*)? \"]\" | [ab]{1,3}",
        "root ::= \"\\\"\" [^\"]* \"\\\"\" \" \"? root | \"1\""}) {
    CAPTURE(gbnf);
    GrammarProgram program(parse_gbnf(gbnf), texts);
    int n_masks = 0;
    for (int walk = 0; walk < 40; ++walk) {
      auto state = program.start();
      for (int n = 0; n < 12 && !program.must_end(state); ++n) {
        const auto mask = program.mask(state);
        ++n_masks;
        std::vector<int32_t> allowed;
        for (size_t i = 0; i < tokens.size(); ++i) {
          const bool is_allowed = program.next(state, tokens[i]) != GrammarProgram::kDead;
          const bool is_in_mask = (mask[(i + 1) / 64] >> ((i + 1) % 64) & 1) != 0;
          CHECK(is_in_mask == is_allowed);
          CHECK(program.allows(state, static_cast<int32_t>(i) + 1) == is_allowed);
          if (is_allowed) allowed.push_back(static_cast<int32_t>(i));
        }
        CHECK(((mask[0] & 1) != 0) == program.may_end(state));
        CHECK(program.allows(state, 0) == program.may_end(state));
        if (allowed.empty()) break;
        state = program.next(state, tokens[static_cast<size_t>(allowed[random() % allowed.size()])]);
      }
    }
    CHECK(n_masks > 60);
    CHECK(program.n_masks_made() < static_cast<uint64_t>(n_masks));
  }
}

TEST_CASE("text that a grammar forces is found") {
  GrammarProgram program = program_of("root ::= \"{\\\"name\\\": \" (\"true\" | \"false\") \"}\"");
  CHECK(program.forced(program.start(), 100) == "{\"name\": ");
  CHECK(program.forced(program.start(), 3) == "{\"n");
  CHECK(program.forced(program.next(program.start(), "{\"name\": t"), 100) == "rue}");
  GrammarProgram list = program_of("root ::= \"a\" \"b\"*");
  CHECK(list.forced(list.start(), 100) == "a");  // then it may end
}

TEST_CASE("nesting without end is refused in the end, and lists do not count as nesting") {
  GrammarProgram nested = program_of("root ::= \"(\" root \")\" | \"x\"");
  auto state = nested.start();
  bool is_refused = false;
  try {
    for (int i = 0; i < 3000000; ++i) state = nested.next(state, '(');
  } catch (const EngineError& error) {
    is_refused = error.code() == ErrorCode::kInvalidArgument;
  }
  CHECK(is_refused);
  GrammarProgram flat = program_of("root ::= \"x\" root | \"y\"");
  state = flat.start();
  for (int i = 0; i < 3000000; ++i) state = flat.next(state, 'x');
  CHECK(accepts(flat, "xxy"));
}

TEST_CASE("the grammars of others are read, and hold their own examples") {
  const auto check = [](const std::string& name, std::vector<std::string> good, std::vector<std::string> bad) {
    CAPTURE(name);
    const auto path = shared_data("tokenizers/grammars/" + name, "the grammars of others");
    if (!path.has_value()) return;
    GrammarProgram program = program_of(read_all(*path));
    for (const std::string& text : good) CHECK_MESSAGE(accepts(program, text), text);
    for (const std::string& text : bad) CHECK_FALSE_MESSAGE(accepts(program, text), text);
  };
  check("arithmetic.gbnf", {"a+1= 2\n", "(a)*3=7\nb=1\n"}, {"a=1", "=1\n"});
  check("c.gbnf", {"int f(){return 1;}", "float g(int x){// hi\n}"}, {"int f(", "return 1;"});
  check("chess.gbnf", {"1. e4 e5\n2. Nf3 Nc6\n"}, {"1. e9 e5\n2. Nf3 Nc6\n", "1. e4 e5\n"});
  check("english.gbnf", {"Hi, you!"}, {"é", ""});
  check("japanese.gbnf", {"こんにちは 世界"}, {"hello"});
  check("json.gbnf", {"{}", "{\"a\": [1, -2.5e3, null], \"é\": \"x\\n\"}"}, {"[1]", "{\"a\":}", "{\"a\": 01}"});
  check("json_arr.gbnf", {"[\n1,\n{}]"}, {"[1]"});
  check("list.gbnf", {"- a\n- b c\n"}, {"- \n", "a\n"});
}

TEST_CASE("JSON schemas: their instances are matched, others are not") {
  const std::string person = R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 5},
    "age": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a", "b\n", 3]}, "maxItems": 2}},
    "required": ["name"], "additionalProperties": false})";
  GrammarProgram program = program_of(json_schema_to_gbnf(person));
  for (const char* text : {R"({"name":"x"})", R"({"name": "é\n\u00e9","age": -12})", R"({"name":"x","tags":["a",3]})",
                           R"({ "name" : "x" , "tags" : [ ] })", R"({"name":"x","tags":["b\n"]})"})
    CHECK_MESSAGE(accepts(program, text), text);
  for (const char* text : {"{}", R"({"age":1})", R"({"name":"toolong"})", R"({"name":"x","age":1.5})",
                           R"({"name":"x","tags":["a","a","a"]})", R"({"name":"x","other":1})", R"({"name":"x",})",
                           R"({"age":1,"name":"x"})", R"({"name":"x" "age":1})"})
    CHECK_FALSE_MESSAGE(accepts(program, text), text);
  CHECK(matches_schema("true", R"([{"a":null}])"));
  CHECK(matches_schema("{}", "-1.5e3"));
  CHECK(matches_schema(R"({"type": ["null", "boolean"]})", "null"));
  CHECK(matches_schema(R"({"const": {"a": [1]}})", R"({"a":[1]})"));
  CHECK(matches_schema(R"({"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 2}]})", "\"ab\""));
  CHECK_FALSE(matches_schema(R"({"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 2}]})", "\"a\""));
  CHECK(matches_schema(R"({"type": "object"})", R"({"any":[1,{"x":2}]})"));
  CHECK(matches_schema(R"({"type": "object", "additionalProperties": {"type": "integer"}})", R"({"a":1,"b":2})"));
  CHECK_FALSE(matches_schema(R"({"type": "object", "additionalProperties": {"type": "integer"}})", R"({"a":"x"})"));
  CHECK(matches_schema(R"({"prefixItems": [{"type": "integer"}], "items": {"type": "null"}})", "[1,null,null]"));
  CHECK_FALSE(matches_schema(R"({"type": "array", "minItems": 2})", "[1]"));
  CHECK(matches_schema(R"({"type": "array", "minItems": 2})", "[1,2,3]"));
  const std::string tree = R"({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties":
    {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}, "required": ["children"],
    "additionalProperties": false}}})";
  CHECK(matches_schema(tree, R"({"children":[{"children":[]},{"children":[]}]})"));
  CHECK_FALSE(matches_schema(tree, R"({"children":[1]})"));
}

TEST_CASE("JSON schemas: what is wrong or not understood is refused with its place") {
  const auto error = [](const char* schema) { return message_of([&] { json_schema_to_gbnf(schema); }); };
  CHECK(error("{\"type\": \n \"strin}") == "JSON, line 2, column 9: expected the end of the string, got the end.");
  CHECK(error("{\"type\" 1}").starts_with("JSON, line 1, column 9: expected \":\""));
  CHECK(error(R"({"type": "text"})") == "JSON schema, at #/type: there is no type \"text\".");
  CHECK(error(R"({"properties": {"a": {"type": "string", "pattern": "x+"}}})") ==
        "JSON schema, at #/properties/a: the keyword \"pattern\" is not supported here.");
  CHECK(error(R"({"type": "integer", "minimum": 3})").find("\"minimum\"") != std::string::npos);
  CHECK(error(R"({"$ref": "#/$defs/x"})") == "JSON schema, at #/$ref: there is nothing at \"#/$defs/x\".");
  CHECK(error(R"({"$ref": "http://example.org/"})").find("into this schema") != std::string::npos);
  CHECK(error("false") == "JSON schema, at #: false allows no value.");
  CHECK(error("3").find("expected an object") != std::string::npos);
  CHECK(error(R"({"type": "object", "required": ["a"]})").find("no property \"a\"") != std::string::npos);
  CHECK(error(R"({"minItems": -1, "type": "array"})").find("-1") != std::string::npos);
  CHECK(error(std::string(200, '[').c_str()).find("nested") != std::string::npos);
  CHECK(error_of([] { check_json_schema(R"({"$ref": "#"})"); }) == ErrorCode::kInvalidArgument);
}
