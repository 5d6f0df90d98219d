// Writes GGUF files for tests: well-formed ones through `GgufWriter`, broken ones by patching its bytes.
// Keys and tensors appear in the order in which they were added. Little-endian hosts only, like the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "gguf/gguf_file.h"
#include "kernels/common/tensor_type.h"

namespace outpost::test {

class GgufWriter {
 public:
  uint32_t version = 3;
  uint32_t alignment = 32;  ///< of tensor data; written as general.alignment only by `add_uint32`

  void add_bool(std::string_view key, bool value);
  void add_uint32(std::string_view key, uint32_t value);
  void add_int32(std::string_view key, int32_t value);
  void add_uint64(std::string_view key, uint64_t value);
  void add_float(std::string_view key, float value);
  void add_double(std::string_view key, double value);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, std::span<const std::string> values);
  void add_floats(std::string_view key, std::span<const float> values);
  void add_int32s(std::string_view key, std::span<const int32_t> values);
  /// A value whose bytes the caller has encoded: for types that are rare or wrong.
  void add_raw(std::string_view key, uint32_t type_id, std::string_view bytes);

  /// @param shape outermost first, as in TensorInfo; written innermost first, as GGUF wants it
  /// @param data the tensor's blocks; copied. Its size is not checked: a test may want it wrong.
  void add_tensor(std::string_view name, TensorType type, std::span<const int64_t> shape, std::string_view data);
  void add_tensor_f32(std::string_view name, std::span<const int64_t> shape, std::span<const float> values);

  /// The whole file.
  std::string bytes() const;

 private:
  void begin_value(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType element_type, size_t n_elements);

  uint64_t n_metadata_ = 0, n_tensors_ = 0;
  std::string metadata_, tensor_index_, data_;
};

/// Appends the bytes of a number or of a GGUF string (64-bit length, then the text).
template <typename T>
void append_number(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void append_string(std::string& out, std::string_view text);

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace outpost::test
