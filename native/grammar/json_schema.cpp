#include "grammar/json_schema.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "core/strings.h"
#include "engine.h"
#include "grammar/grammar.h"
#include "grammar/json_value.h"

namespace outpost {
namespace {

constexpr std::string_view kCommonRules = R"(
ws ::= ([ ] | "\n" [ \t]{0,32})?
boolean ::= "true" | "false"
null ::= "null"
integer ::= "-"? ("0" | [1-9] [0-9]{0,17})
number ::= integer ("." [0-9]{1,18})? ([eE] [-+]? [0-9]{1,3})?
char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
string ::= "\"" char* "\""
value ::= object | array | string | number | boolean | null
object ::= "{" ws (string ws ":" ws value ws ("," ws string ws ":" ws value ws)*)? "}"
array ::= "[" ws (value ws ("," ws value ws)*)? "]"
)";

constexpr std::array<std::string_view, 14> kAnnotations = {
    "title", "description", "default",    "examples", "$schema",   "$id",    "$comment",
    "$defs", "definitions", "deprecated", "readOnly", "writeOnly", "format", "$anchor"};

std::string gbnf_literal(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + '"';
}

class SchemaWriter {
 public:
  explicit SchemaWriter(const JsonValue& root) : root_(root) {}

  std::string write() {
    const std::string rule = visit(root_, "#");
    return concat("root ::= ", rule, "\n", rules_, kCommonRules);
  }

 private:
  using Kind = JsonValue::Kind;

  [[noreturn]] static void fail(const std::string& path, const std::string& what) {
    throw EngineError(ErrorCode::kInvalidArgument, concat("JSON schema, at ", path, ": ", what, "."));
  }

  std::string add_rule(const std::string& body) {
    const std::string name = concat("s", n_rules_++);
    rules_ += concat(name, " ::= ", body, "\n");
    return name;
  }

  /// @return the name of a rule for the instances of `schema`
  std::string visit(const JsonValue& schema, const std::string& path) {
    if (path.size() > 4000) fail(path.substr(0, 80), "the schema is nested too deeply");
    if (schema.is(Kind::kBool)) {
      if (!schema.boolean) fail(path, "false allows no value");
      return "value";
    }
    if (!schema.is(Kind::kObject)) fail(path, "expected an object or true");
    std::set<std::string_view> unread;
    for (const auto& [name, value] : schema.members) {
      if (std::find(kAnnotations.begin(), kAnnotations.end(), name) == kAnnotations.end()) unread.insert(name);
    }
    const auto take = [&](std::string_view name) {
      unread.erase(name);
      return schema.find(name);
    };
    const std::string rule = visit_keywords(take, path);
    if (!unread.empty()) fail(path, concat("the keyword ", in_quotes(*unread.begin()), " is not supported here"));
    return rule;
  }

  template <typename Take>
  std::string visit_keywords(const Take& take, const std::string& path) {
    if (const JsonValue* reference = take("$ref")) return visit_reference(*reference, path);
    if (const JsonValue* value = take("const")) {
      take("type");
      return add_rule(gbnf_literal(value->dump()));
    }
    if (const JsonValue* values = take("enum")) {
      take("type");
      if (!values->is(Kind::kArray) || values->items.empty()) fail(path + "/enum", "expected values");
      std::string body;
      for (const JsonValue& value : values->items) body += (body.empty() ? "" : " | ") + gbnf_literal(value.dump());
      return add_rule(body);
    }
    for (const char* name : {"anyOf", "oneOf"}) {
      const JsonValue* schemas = take(name);
      if (schemas == nullptr) continue;
      if (!schemas->is(Kind::kArray) || schemas->items.empty()) fail(concat(path, "/", name), "expected schemas");
      std::string body;
      for (size_t i = 0; i < schemas->items.size(); ++i)
        body += (i > 0 ? " | " : "") + visit(schemas->items[i], concat(path, "/", name, "/", i));
      return add_rule(body);
    }
    const JsonValue* type = take("type");
    if (type == nullptr) {
      const bool is_object = take("properties") != nullptr || take("required") != nullptr;
      if (is_object) return visit_object(take, path);
      if (take("items") != nullptr || take("prefixItems") != nullptr) return visit_array(take, path);
      return "value";
    }
    if (type->is(Kind::kString)) return visit_type(type->text, take, path);
    if (!type->is(Kind::kArray) || type->items.empty()) fail(path + "/type", "expected the name of a type");
    std::string body;
    for (const JsonValue& one : type->items) body += (body.empty() ? "" : " | ") + visit_type(one.text, take, path);
    return add_rule(body);
  }

  template <typename Take>
  std::string visit_type(const std::string& type, const Take& take, const std::string& path) {
    if (type == "object") return visit_object(take, path);
    if (type == "array") return visit_array(take, path);
    if (type == "string") {
      const auto [least, most] = bounds(take("minLength"), take("maxLength"), path);
      if (least == 0 && most < 0) return "string";
      return add_rule(concat(R"("\"" char)", repetition(least, most), R"( "\"")"));
    }
    for (const char* name : {"number", "integer", "boolean", "null"}) {
      if (type == name) return type;
    }
    fail(path + "/type", concat("there is no type ", in_quotes(type)));
  }

  static std::string repetition(int least, int most) {
    return most < 0 ? concat("{", least, ",}") : concat("{", least, ",", most, "}");
  }

  static std::pair<int, int> bounds(const JsonValue* least, const JsonValue* most, const std::string& path) {
    const auto read = [&](const JsonValue* value, int otherwise) {
      if (value == nullptr) return otherwise;
      if (!value->is(Kind::kNumber) || value->number < 0 || value->number > 4096 ||
          value->number != static_cast<int>(value->number))
        fail(path, concat("a length is ", value->dump(), "; expected a whole number from 0 to 4096"));
      return static_cast<int>(value->number);
    };
    const std::pair range(read(least, 0), read(most, -1));
    if (range.second >= 0 && range.second < range.first) fail(path, "the largest length is less than the smallest");
    return range;
  }

  std::string visit_reference(const JsonValue& reference, const std::string& path) {
    const std::string& target = reference.text;
    if (const auto known = references_.find(target); known != references_.end()) return known->second;
    if (!reference.is(Kind::kString) || !target.starts_with("#"))
      fail(path + "/$ref", concat("expected a reference into this schema, got ", reference.dump()));
    const JsonValue* at = &root_;
    for (size_t begin = 1; begin < target.size();) {
      const size_t end = std::min(target.find('/', begin + 1), target.size());
      std::string name = target.substr(begin + 1, end - begin - 1);
      for (const auto& [escape, character] : {std::pair("~1", "/"), std::pair("~0", "~")}) {
        for (size_t i; (i = name.find(escape)) != std::string::npos;) name.replace(i, 2, character);
      }
      at = at->find(name);
      if (at == nullptr) fail(path + "/$ref", concat("there is nothing at ", in_quotes(target)));
      begin = end;
    }
    // Known before it is visited: a schema may refer to itself.
    const std::string name = concat("r", references_.size());
    references_.emplace(target, name);
    const std::string body = visit(*at, target);
    rules_ += concat(name, " ::= ", body, "\n");
    return name;
  }

  template <typename Take>
  std::string visit_object(const Take& take, const std::string& path) {
    const JsonValue* properties = take("properties");
    const JsonValue* required = take("required");
    const JsonValue* additional = take("additionalProperties");
    if (properties != nullptr && !properties->is(Kind::kObject)) fail(path + "/properties", "expected an object");
    std::set<std::string_view> required_names;
    if (required != nullptr) {
      for (const JsonValue& name : required->items) {
        if (properties == nullptr || properties->find(name.text) == nullptr)
          fail(path + "/required", concat("there is no property ", in_quotes(name.text)));
        required_names.insert(name.text);
      }
    }
    struct Member {
      std::string rule;
      bool is_required;
    };
    std::vector<Member> members;
    if (properties != nullptr) {
      for (const auto& [name, schema] : properties->members) {
        const std::string value = visit(schema, concat(path, "/properties/", name));
        members.push_back({add_rule(concat(gbnf_literal(json_quoted(name)), " ws \":\" ws ", value, " ws")),
                           required_names.contains(name)});
      }
    }
    // Without properties any are allowed, as the standard says; with them a model should keep to those.
    const bool has_others =
        additional == nullptr ? properties == nullptr : !(additional->is(Kind::kBool) && !additional->boolean);
    std::string others;
    if (has_others) {
      const std::string value = additional == nullptr ? "value" : visit(*additional, path + "/additionalProperties");
      const std::string member = add_rule(concat("string ws \":\" ws ", value, " ws"));
      others = add_rule(concat(member, " (\",\" ws ", member, ")*"));
    }
    // rest[i]: what may come from member i on, once something was there (with a comma before it) or not yet.
    std::string after_some = add_rule(others.empty() ? "\"\"" : concat("(\",\" ws ", others, ")?"));
    std::string after_none = add_rule(others.empty() ? "\"\"" : concat(others, "?"));
    for (size_t i = members.size(); i-- > 0;) {
      const Member& member = members[i];
      const std::string with_comma = concat("\",\" ws ", member.rule, " ", after_some);
      const std::string without_comma = concat(member.rule, " ", after_some);
      const std::string some = add_rule(member.is_required ? with_comma : concat(with_comma, " | ", after_some));
      const std::string none = add_rule(member.is_required ? without_comma : concat(without_comma, " | ", after_none));
      after_some = some;
      after_none = none;
    }
    return add_rule(concat("\"{\" ws ", after_none, " \"}\""));
  }

  template <typename Take>
  std::string visit_array(const Take& take, const std::string& path) {
    const JsonValue* items = take("items");
    const JsonValue* first = take("prefixItems");
    const auto [least, most] = bounds(take("minItems"), take("maxItems"), path);
    if (first != nullptr) {
      if (least > 0 || most >= 0) fail(path, "prefixItems together with minItems or maxItems is not supported");
      if (!first->is(Kind::kArray) || first->items.empty()) fail(path + "/prefixItems", "expected schemas");
      std::string body = "\"[\" ws";
      for (size_t i = 0; i < first->items.size(); ++i)
        body += concat(i > 0 ? " \",\" ws " : " ", visit(first->items[i], concat(path, "/prefixItems/", i)), " ws");
      if (items != nullptr && !(items->is(Kind::kBool) && !items->boolean))
        body += concat(" (\",\" ws ", visit(*items, path + "/items"), " ws)*");
      return add_rule(body + " \"]\"");
    }
    const std::string item = items == nullptr ? "value" : visit(*items, path + "/items");
    if (most == 0) return add_rule("\"[\" ws \"]\"");
    const std::string rest =
        concat("(\",\" ws ", item, " ws)", repetition(std::max(0, least - 1), most < 0 ? -1 : most - 1));
    const std::string all = concat("(", item, " ws ", rest, ")", least == 0 ? "?" : "");
    return add_rule(concat("\"[\" ws ", all, " \"]\""));
  }

  const JsonValue& root_;
  std::string rules_;
  int n_rules_ = 0;
  std::map<std::string, std::string> references_;
};

}  // namespace

std::string json_schema_to_gbnf(std::string_view schema) {
  const JsonValue root = parse_json(schema);
  return SchemaWriter(root).write();
}

void check_grammar(std::string_view gbnf) { parse_gbnf(gbnf); }
void check_json_schema(std::string_view schema) { parse_gbnf(json_schema_to_gbnf(schema)); }

}  // namespace outpost
