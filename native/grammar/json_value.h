// JSON text as values (RFC 8259), with the place of each for messages. For schemas: small inputs, order kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace outpost {

struct JsonMember;

struct JsonValue {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject } kind = Kind::kNull;
  bool boolean = false;
  double number = 0;
  std::string text;  ///< a string's, or a number's as it is spelled
  std::vector<JsonValue> items;
  std::vector<JsonMember> members;

  bool is(Kind wanted) const { return kind == wanted; }
  /// @return null if there is no such member
  const JsonValue* find(std::string_view name) const;
  /// As JSON text without blanks.
  std::string dump() const;
};

struct JsonMember {
  std::string name;
  JsonValue value;
};

/// A string as JSON, in quotes; what is not ASCII stays as it is.
std::string json_quoted(std::string_view text);

/// @throws EngineError kInvalidArgument with line and column
JsonValue parse_json(std::string_view text);

}  // namespace outpost
