#include "core/aligned_buffer.h"

#include <cstdint>
#include <utility>

#include "core/strings.h"
#include "engine.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace outpost {
namespace {

#ifndef _WIN32
// Of x86 and of most ARM systems. A huge page has to begin at a multiple of its size.
constexpr size_t kHugePage = size_t{2} << 20;

/// Anonymous memory that begins where a huge page can, if it is large enough for one.
void* map_anonymous(size_t n_bytes) {
  const size_t spare = n_bytes < kHugePage ? 0 : kHugePage;
  if (n_bytes > SIZE_MAX - 2 * kHugePage) return nullptr;
  void* mapped = mmap(nullptr, n_bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (spare == 0) return mapped;
  auto* begin = static_cast<std::byte*>(mapped);
  const size_t behind = reinterpret_cast<uintptr_t>(mapped) % kHugePage;
  const size_t before = behind == 0 ? 0 : kHugePage - behind;
  // munmap takes whole pages, so the end of the buffer's last one is its end for the system.
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t used = (before + n_bytes + page - 1) / page * page;
  const size_t end = (n_bytes + spare + page - 1) / page * page;
  if (before > 0) munmap(begin, before);
  if (end > used) munmap(begin + used, end - used);
  return begin + before;
}
#endif

}  // namespace

AlignedBuffer::AlignedBuffer(size_t n_bytes, const char* what) : size_(n_bytes) {
  if (n_bytes == 0) return;
#ifdef _WIN32
  void* data = VirtualAlloc(nullptr, n_bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
  void* data = map_anonymous(n_bytes);
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
