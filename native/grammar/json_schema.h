// A JSON schema as a grammar of its instances, in GBNF.
//
// Understood: type (one or several), properties, required, additionalProperties, items, prefixItems, minItems,
// maxItems, minLength, maxLength, enum, const, anyOf, oneOf (as anyOf), $ref into the same document; titles,
// descriptions and other annotations are skipped. Properties come in the order in which the schema lists them. A
// keyword that would restrict instances and is not understood is refused: a reply that looks valid and is not would be
// worse.
#pragma once

#include <string>
#include <string_view>

namespace outpost {

/// @throws EngineError kInvalidArgument with line and column of an error in the JSON, or with the path in the schema of
///         what is not understood
std::string json_schema_to_gbnf(std::string_view schema);

}  // namespace outpost
