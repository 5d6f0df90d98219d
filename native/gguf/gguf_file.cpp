#include "gguf/gguf_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/hash.h"
#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

constexpr size_t kMaxShownBytes = 200;  // of a string, e.g. a chat template
constexpr size_t kMaxShownStrings = 4;

struct Describe {
  std::string operator()(uint64_t value) const { return std::to_string(value); }
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return concat(value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::string_view value) const { return in_quotes(value, kMaxShownBytes); }
  std::string operator()(const GgufArray& array) const {
    std::string text = concat("[", array.n_elements, " x ", gguf_type_name(array.element_type), "]");
    for (size_t i = 0; i < array.strings.size() && i < kMaxShownStrings; ++i) {
      text += concat(" ", in_quotes(array.strings[i], 24));
    }
    return text;
  }
};

}  // namespace

std::string describe(const GgufValue& value) { return std::visit(Describe{}, value.value); }

const char* gguf_type_name(GgufType type) {
  static constexpr const char* kNames[] = {"uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                           "bool",  "string", "array",  "uint64", "int64",  "float64"};
  return kNames[static_cast<uint32_t>(type)];
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto it = metadata_index_.find(key);
  return it == metadata_index_.end() ? nullptr : &metadata_[it->second].second;
}

const TensorInfo* GgufFile::find_tensor(std::string_view name) const {
  const auto it = tensor_index_.find(name);
  return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

void GgufFile::fail_type(std::string_view key, const GgufValue& value, const char* expected) const {
  throw EngineError(ErrorCode::kModelInvalid, concat(path_, ": metadata key ", in_quotes(key), " is ", describe(value),
                                                     " (", gguf_type_name(value.type), "); expected ", expected, "."));
}

std::optional<std::string_view> GgufFile::get_string(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(&value->value)) return *text;
  fail_type(key, *value, "a string");
}

std::optional<uint64_t> GgufFile::get_uint(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<uint64_t>(&value->value)) return *number;
  if (const auto* number = std::get_if<int64_t>(&value->value); number != nullptr && *number >= 0) {
    return static_cast<uint64_t>(*number);
  }
  fail_type(key, *value, "an integer that is not negative");
}

std::optional<double> GgufFile::get_float(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<double>(&value->value); number != nullptr && std::isfinite(*number))
    return *number;
  fail_type(key, *value, "a finite float");
}

std::optional<bool> GgufFile::get_bool(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* flag = std::get_if<bool>(&value->value)) return *flag;
  fail_type(key, *value, "a bool");
}

std::optional<std::span<const std::string_view>> GgufFile::get_strings(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(&value->value);
  if (array == nullptr || array->element_type != GgufType::kString) fail_type(key, *value, "an array of strings");
  return array->strings;
}

std::optional<std::vector<float>> GgufFile::get_floats(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(&value->value);
  if (array == nullptr || array->element_type != GgufType::kFloat32) fail_type(key, *value, "an array of float32");
  std::vector<float> numbers(array->n_elements);
  if (!numbers.empty()) std::memcpy(numbers.data(), array->bytes.data(), array->bytes.size());
  return numbers;
}

std::optional<std::vector<int32_t>> GgufFile::get_ints(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(&value->value);
  if (array == nullptr || (array->element_type != GgufType::kInt32 && array->element_type != GgufType::kUint32)) {
    fail_type(key, *value, "an array of int32");
  }
  std::vector<int32_t> numbers(array->n_elements);
  if (!numbers.empty()) std::memcpy(numbers.data(), array->bytes.data(), array->bytes.size());
  if (array->element_type == GgufType::kUint32) {
    for (const int32_t number : numbers) {
      if (number < 0) fail_type(key, *value, "an array of int32");
    }
  }
  return numbers;
}

uint64_t GgufFile::file_bytes() const {
  uint64_t n_bytes = bytes_.size();
  for (const GgufFile& sibling : siblings_) n_bytes += sibling.bytes_.size();
  return n_bytes;
}

void GgufFile::release(std::span<const std::byte> part) const {
  if (mapping_ != nullptr) mapping_->release(part);  // a hint by address: whose mapping it is in does not matter
}

uint64_t GgufFile::fingerprint() const {
  Hash64 hash;
  const uint64_t n_bytes = bytes_.size();
  hash.add(std::as_bytes(std::span(&n_bytes, 1)));
  // The first file of a split model may hold no tensors.
  size_t n_own_tensors = tensors_.size();
  for (const GgufFile& sibling : siblings_) n_own_tensors -= sibling.tensors_.size();
  const size_t n_head =
      n_own_tensors == 0 ? bytes_.size() : static_cast<size_t>(tensors_[0].bytes.data() - bytes_.data());
  hash.add(bytes_.first(std::min(n_head, bytes_.size())));
  constexpr size_t kSamples = 4096, kSampleBytes = 256;
  for (size_t i = 0; i < kSamples && bytes_.size() > kSampleBytes; ++i)
    hash.add(bytes_.subspan((bytes_.size() - kSampleBytes) * i / (kSamples - 1), kSampleBytes));
  // The system maps the neighbours of a page along with it: 64 KiB for each sample, a quarter of a gigabyte in all.
  release(bytes_);
  for (const GgufFile& sibling : siblings_) {
    const uint64_t of_sibling = sibling.fingerprint();
    hash.add(std::as_bytes(std::span(&of_sibling, 1)));
  }
  return hash.value();
}

}  // namespace outpost
