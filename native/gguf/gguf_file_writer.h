// Writes a GGUF file (version 3, little-endian) whose tensors are known beforehand: header, metadata and tensor index
// at once, then the tensors' bytes as they come. The file appears under its name when it is complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/atomic_file.h"
#include "kernels/common/tensor_type.h"

namespace outpost {

struct TensorHeader {
  std::string_view name;
  TensorType type;
  std::vector<int64_t> shape;  ///< outermost first, as in TensorInfo

  uint64_t n_bytes() const;
};

/// A metadata entry (key, type and value) as it lies in a file.
std::string encode_uint32_entry(std::string_view key, uint32_t value);

class GgufFileWriter {
 public:
  /// Creates the file and writes everything but the tensors' bytes.
  /// @param metadata encoded entries; one of them is general.alignment if `alignment` is not 32
  /// @throws EngineError kFileUnreadable
  GgufFileWriter(const std::string& path, std::span<const std::string_view> metadata, std::vector<TensorHeader> tensors,
                 uint32_t alignment);

  /// Appends to the current tensor, which is the first at the beginning.
  void write(std::span<const std::byte> bytes);
  /// The next write belongs to the next tensor.
  /// @pre every byte of the current one has been written
  void end_tensor();
  /// @pre every tensor has ended
  void commit();

 private:
  void pad();

  AtomicFile file_;
  std::vector<TensorHeader> tensors_;
  uint32_t alignment_;
  size_t i_tensor_ = 0;
  uint64_t n_written_ = 0;  ///< of the current tensor
};

}  // namespace outpost
