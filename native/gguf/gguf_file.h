// A GGUF model file: checked metadata and tensor views over untrusted bytes.
//
// Every count, length, type, shape and offset is checked against what the file can hold before it is used;
// nothing is allocated in proportion to a number that was not checked. GGUF writes shapes innermost first;
// they are turned around once, here: `TensorInfo::shape` is outermost first.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "core/mapped_file.h"
#include "kernels/common/tensor_type.h"

namespace outpost {

/// The ids of metadata value types in the file.
enum class GgufType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

const char* gguf_type_name(GgufType type);

/// An array as it lies in the file. Numbers are read through `GgufFile`'s typed getters.
struct GgufArray {
  GgufType element_type;
  uint64_t n_elements;
  std::span<const std::byte> bytes;       ///< numbers, little-endian, unaligned
  std::vector<std::string_view> strings;  ///< element_type kString only
};

struct GgufValue {
  GgufType type;
  /// Integers of every width, float32 and float64, bool, string, array.
  std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray> value;
  std::string_view entry;  ///< key, type and value as they lie in the file
};

/// A value for people: text quoted and cut short, of an array its length and first strings.
std::string describe(const GgufValue& value);

struct TensorInfo {
  std::string_view name;
  TensorType type;
  std::vector<int64_t> shape;  ///< outermost first, 1 to 4 dimensions, each at least 1
  uint64_t n_elements;
  std::span<const std::byte> bytes;
};

class GgufFile {
 public:
  /// Maps and checks the file at `path`; of a model in several files the first, whose tensors are then those of all.
  /// @throws EngineError kFileNotFound, kFileUnreadable, kModelInvalid
  static GgufFile open(const std::string& path);
  /// Checks `bytes`, which the caller keeps alive. `name` stands in messages for the path.
  static GgufFile parse(std::span<const std::byte> bytes, const std::string& name);

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }
  uint64_t file_bytes() const;                       ///< of all files of the model
  uint32_t alignment() const { return alignment_; }  ///< of tensors in the file, in bytes
  /// Keys and tensors in file order.
  const std::vector<std::pair<std::string_view, GgufValue>>& metadata() const { return metadata_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// @return null if there is none of that name
  const GgufValue* find(std::string_view key) const;
  const TensorInfo* find_tensor(std::string_view name) const;

  // Typed metadata. A missing key gives nullopt; a key of another type throws kModelInvalid and says which.
  std::optional<std::string_view> get_string(std::string_view key) const;
  std::optional<uint64_t> get_uint(std::string_view key) const;  ///< any integer type, not negative
  std::optional<double> get_float(std::string_view key) const;   ///< float32 or float64, finite
  std::optional<bool> get_bool(std::string_view key) const;
  std::optional<std::span<const std::string_view>> get_strings(std::string_view key) const;
  std::optional<std::vector<float>> get_floats(std::string_view key) const;
  std::optional<std::vector<int32_t>> get_ints(std::string_view key) const;  ///< int32 or uint32 below 2^31

  /// A hash of the file's beginning, which describes it, its size and a sample of its tensors: a megabyte of each file
  /// whatever its size.
  uint64_t fingerprint() const;

  /// See MappedFile::release; nothing for a file parsed from memory.
  /// @param part of one file
  void release(std::span<const std::byte> part) const;

 private:
  friend class GgufParser;
  GgufFile() = default;
  static GgufFile open_one(const std::string& path);
  void open_siblings();
  [[noreturn]] void fail_type(std::string_view key, const GgufValue& value, const char* expected) const;

  std::string path_;
  std::unique_ptr<MappedFile> mapping_;
  std::span<const std::byte> bytes_;
  uint32_t version_ = 0;
  uint32_t alignment_ = 0;
  std::vector<std::pair<std::string_view, GgufValue>> metadata_;
  std::vector<TensorInfo> tensors_;  ///< those of the siblings last
  std::vector<GgufFile> siblings_;   ///< the other files of a model in several; their bytes are where tensors lie
  std::unordered_map<std::string_view, size_t> metadata_index_;
  std::unordered_map<std::string_view, size_t> tensor_index_;
};

}  // namespace outpost
