#include "core/aligned_buffer.h"

#include <utility>

#include "core/strings.h"
#include "engine.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <sys/mman.h>
#endif

namespace outpost {

AlignedBuffer::AlignedBuffer(size_t n_bytes, const char* what) : size_(n_bytes) {
  if (n_bytes == 0) return;
#ifdef _WIN32
  void* data = VirtualAlloc(nullptr, n_bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
  void* data = mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) data = nullptr;
#ifdef MADV_HUGEPAGE
  if (data != nullptr) madvise(data, n_bytes, MADV_HUGEPAGE);
#endif
#endif
  if (data == nullptr)
    throw EngineError(ErrorCode::kOutOfMemory,
                      concat("There is not enough memory for ", what, ": ", n_bytes, " bytes."));
  data_ = static_cast<std::byte*>(data);
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ == nullptr) return;
#ifdef _WIN32
  VirtualFree(data_, 0, MEM_RELEASE);
#else
  munmap(data_, size_);
#endif
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace outpost
