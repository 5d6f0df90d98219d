// Large zeroed memory for weights and caches: page-aligned, in huge pages where the system grants them, and
// not resident until it is touched.
#pragma once

#include <cstddef>

namespace outpost {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// @throws EngineError kOutOfMemory naming `what` and the size
  AlignedBuffer(size_t n_bytes, const char* what);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace outpost
