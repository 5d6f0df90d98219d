#ifndef _WIN32
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/mapped_file.h"
#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

/// Closes the descriptor on every way out; a mapping outlives it.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) {
    const bool is_missing = errno == ENOENT || errno == ENOTDIR;
    throw EngineError(is_missing ? ErrorCode::kFileNotFound : ErrorCode::kFileUnreadable,
                      concat("Cannot open ", path, ": ", std::strerror(errno), "."));
  }
  struct stat info {};
  if (fstat(file.fd, &info) != 0) {
    throw EngineError(ErrorCode::kFileUnreadable,
                      concat("Cannot read the size of ", path, ": ", std::strerror(errno), "."));
  }
  if (!S_ISREG(info.st_mode)) {
    throw EngineError(ErrorCode::kFileNotFound, concat(path, " is not a regular file."));
  }
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;  // mmap refuses a length of 0; an empty span is what the caller sees
  // Shared: pages that a GPU computes with in place are the file's own, and nothing is to make copies of them.
  void* data = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) {
    throw EngineError(ErrorCode::kFileUnreadable,
                      concat("Cannot map ", path, " (", size_, " bytes): ", std::strerror(errno), "."));
  }
  data_ = static_cast<const std::byte*>(data);
  // A download or copy that is still being written: refuse it now instead of touching pages without a file.
  if (fstat(file.fd, &info) != 0 || static_cast<size_t>(info.st_size) != size_) {
    munmap(data, size_);
    throw EngineError(ErrorCode::kFileUnreadable, concat(path, " changed its size while it was opened."));
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::span<const std::byte> part) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  // Only whole pages inside the part: its neighbours may still be in use.
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

void prefetch_pages(std::span<const std::byte> part) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size());
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);
}

}  // namespace outpost
#endif
