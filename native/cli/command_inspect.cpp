#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>

#include "cli/command.h"
#include "core/strings.h"
#include "gguf/gguf_file.h"
#include "tokenizer/vocabulary.h"

namespace outpost::cli {
namespace {

struct TypeTotal {
  uint64_t n_tensors = 0, n_elements = 0, n_bytes = 0;
};

std::map<std::string, TypeTotal> totals_by_type(const GgufFile& file) {
  std::map<std::string, TypeTotal> totals;
  for (const TensorInfo& tensor : file.tensors()) {
    TypeTotal& total = totals[tensor_type_traits(tensor.type).name];
    ++total.n_tensors;
    total.n_elements += tensor.n_elements;
    total.n_bytes += tensor.bytes.size();
  }
  return totals;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += concat(i > 0 ? ", " : "", shape[i]);
  return text + "]";
}

/// Names and keys are text from the file: shown without quotes, but with control bytes made visible.
std::string shown(std::string_view text) {
  const std::string whole = in_quotes(text);
  return whole.substr(1, whole.rfind('"') - 1);
}

struct NamedToken {
  const char* name;
  int32_t id;
};

/// The special tokens by role, those that there are.
std::vector<NamedToken> special_tokens(const Vocabulary& vocab) {
  std::vector<NamedToken> tokens = {{"bos", vocab.bos},
                                    {"eos", vocab.eos},
                                    {"eot", vocab.eot},
                                    {"eom", vocab.eom},
                                    {"unknown", vocab.unknown},
                                    {"separator", vocab.separator},
                                    {"fimPrefix", vocab.fim.prefix},
                                    {"fimSuffix", vocab.fim.suffix},
                                    {"fimMiddle", vocab.fim.middle},
                                    {"fimPad", vocab.fim.pad},
                                    {"fimRepository", vocab.fim.repository},
                                    {"fimFileSeparator", vocab.fim.file_separator}};
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    if (vocab.is_end(id)) tokens.push_back({"end", id});
  }
  std::erase_if(tokens, [](const NamedToken& token) { return token.id < 0; });
  return tokens;
}

/// Null, and why in `error`, if the file has no vocabulary that can be used.
std::unique_ptr<Vocabulary> open_vocabulary(const GgufFile& file, std::string& error) {
  try {
    return std::make_unique<Vocabulary>(file);
  } catch (const EngineError& what) {
    error = what.what();
    return nullptr;
  }
}

void print_special_tokens(const GgufFile& file) {
  std::string error;
  const auto vocab = open_vocabulary(file, error);
  if (vocab == nullptr) {
    std::printf("\nno vocabulary: %s\n", error.c_str());
    return;
  }
  std::printf("\n%-20s %8s %s\n", "special token", "id", "text");
  for (const auto& [name, id] : special_tokens(*vocab)) {
    std::printf("%-20s %8d %s\n", name, id, shown(vocab->text(id)).c_str());
  }
}

void print_text(const GgufFile& file) {
  std::printf("%s: GGUF v%u, %" PRIu64 " bytes, %zu metadata entries, %zu tensors\n\n", file.path().c_str(),
              file.version(), file.file_bytes(), file.metadata().size(), file.tensors().size());
  for (const auto& [key, value] : file.metadata()) {
    std::printf("%-44s %-8s %s\n", shown(key).c_str(), gguf_type_name(value.type), describe(value).c_str());
  }
  print_special_tokens(file);
  if (file.tensors().empty()) return;
  std::printf("\n%-44s %-8s %-22s %s\n", "tensor", "type", "shape (outermost first)", "bytes");
  for (const TensorInfo& tensor : file.tensors()) {
    std::printf("%-44s %-8s %-22s %zu\n", shown(tensor.name).c_str(), tensor_type_traits(tensor.type).name,
                shape_text(tensor.shape).c_str(), tensor.bytes.size());
  }
  std::printf("\n");
  for (const auto& [type, total] : totals_by_type(file)) {
    std::printf("%-8s %5" PRIu64 " tensors %14" PRIu64 " elements %12" PRIu64 " bytes %6.3f bits per element\n",
                type.c_str(), total.n_tensors, total.n_elements, total.n_bytes,
                8.0 * static_cast<double>(total.n_bytes) / static_cast<double>(total.n_elements));
  }
}

/// Scalars as JSON values; of an array only its element type and length: vocabularies are long.
std::string json_value(const GgufValue& value) {
  struct ToJson {
    std::string operator()(uint64_t v) const { return std::to_string(v); }
    std::string operator()(int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const {
      if (!std::isfinite(v)) return "null";
      char text[32];
      std::snprintf(text, sizeof(text), "%.17g", v);
      return text;
    }
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::string_view v) const { return json_string(v); }
    std::string operator()(const GgufArray& v) const {
      return concat("{\"elementType\":\"", gguf_type_name(v.element_type), "\",\"length\":", v.n_elements, "}");
    }
  };
  return std::visit(ToJson{}, value.value);
}

void print_json(const GgufFile& file) {
  std::string out = concat("{\"path\":", json_string(file.path()), ",\"version\":", file.version(),
                           ",\"fileBytes\":", file.file_bytes(), ",\"metadata\":{");
  const char* separator = "";
  for (const auto& [key, value] : file.metadata()) {
    out += concat(separator, json_string(key), ":", json_value(value));
    separator = ",";
  }
  out += "},\"tensors\":[";
  separator = "";
  for (const TensorInfo& tensor : file.tensors()) {
    out +=
        concat(separator, "{\"name\":", json_string(tensor.name), ",\"type\":\"", tensor_type_traits(tensor.type).name,
               "\",\"shape\":", shape_text(tensor.shape), ",\"bytes\":", tensor.bytes.size(), "}");
    separator = ",";
  }
  out += "],\"types\":{";
  separator = "";
  for (const auto& [type, total] : totals_by_type(file)) {
    out += concat(separator, "\"", type, "\":{\"tensors\":", total.n_tensors, ",\"elements\":", total.n_elements,
                  ",\"bytes\":", total.n_bytes, "}");
    separator = ",";
  }
  out += "},\"specialTokens\":[";
  std::string error;
  separator = "";
  if (const auto vocab = open_vocabulary(file, error); vocab != nullptr) {
    for (const auto& [name, id] : special_tokens(*vocab)) {
      out += concat(separator, "{\"role\":\"", name, "\",\"id\":", id, ",\"text\":", json_string(vocab->text(id)), "}");
      separator = ",";
    }
  }
  std::printf("%s]}\n", out.c_str());
}

}  // namespace

int run_inspect(const std::vector<std::string>& words) {
  const Arguments arguments(words, {}, {"--json"});
  const GgufFile file = GgufFile::open(arguments.positional(0, "MODEL"));
  if (arguments.has("--json")) {
    print_json(file);
  } else {
    print_text(file);
  }
  return 0;
}

}  // namespace outpost::cli
