#ifndef _WIN32
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>

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

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

/// A mapping whose lost pages are read as zeros. The system says that a page is lost by a signal on the thread that
/// touched it: the handler puts an empty page in its place and notes it. Guards are never freed, and the handler only
/// reads and sets atomics of theirs, because nothing else is allowed there.
class MappedFile::Guard {
 public:
  /// @return null if there are more mappings than anyone needs: then the signal ends the process, as it did before
  static Guard* watch(const std::byte* data, size_t size) {
    static std::once_flag installed;
    std::call_once(installed, install);
    for (Guard& guard : guards_) {
      bool is_free = true;
      if (!guard.is_free_.compare_exchange_strong(is_free, false)) continue;
      guard.is_intact_ = true;
      guard.end_ = reinterpret_cast<uintptr_t>(data) + size;
      guard.begin_ = reinterpret_cast<uintptr_t>(data);
      return &guard;
    }
    return nullptr;
  }
  void unwatch() {
    begin_ = UINTPTR_MAX;
    is_free_ = true;
  }
  bool is_intact() const { return is_intact_; }

 private:
  static void install() {
    page_bytes();  // asks the system, which a handler may not
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous_);
  }

  static void on_signal(int signal, siginfo_t* info, void* context) {
    const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    if (info->si_code > 0) {  // the system's own: others carry no address
      for (Guard& guard : guards_) {
        if (address < guard.begin_ || address >= guard.end_) continue;
        const int saved_errno = errno;
        void* page = reinterpret_cast<void*>(address / page_bytes() * page_bytes());
        void* empty = mmap(page, page_bytes(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        errno = saved_errno;
        if (empty == MAP_FAILED) break;
        guard.is_intact_ = false;
        return;
      }
    }
    if ((previous_.sa_flags & SA_SIGINFO) != 0) return previous_.sa_sigaction(signal, info, context);
    if (previous_.sa_handler != SIG_DFL && previous_.sa_handler != SIG_IGN) return previous_.sa_handler(signal);
    ::signal(SIGBUS, SIG_DFL);  // the access is tried again, and ends the process as it would have
  }

  static Guard guards_[256];
  static struct sigaction previous_;
  std::atomic<uintptr_t> begin_{UINTPTR_MAX}, end_{0};
  std::atomic<bool> is_intact_{true}, is_free_{true};
};
MappedFile::Guard MappedFile::Guard::guards_[256];
struct sigaction MappedFile::Guard::previous_;

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
  void* data = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
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
  guard_ = Guard::watch(data_, size_);
}

MappedFile::~MappedFile() {
  if (guard_ != nullptr) guard_->unwatch();
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

bool MappedFile::is_intact() const { return guard_ == nullptr || guard_->is_intact(); }

void MappedFile::release(std::span<const std::byte> part) const {
  const uintptr_t page = page_bytes();
  // Only whole pages inside the part: its neighbours may still be in use.
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

void prefetch_pages(std::span<const std::byte> part) {
  const uintptr_t page = page_bytes();
  const uintptr_t begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size());
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);
}

void populate_pages(std::span<const std::byte> part) {
  const uintptr_t page = page_bytes();
  const uintptr_t begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size());
  if (begin >= end) return;
#ifdef MADV_POPULATE_READ
  if (madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_READ) == 0) return;
#endif
  // An older system, or pages that the file has no more: those are noticed here (is_intact).
  for (uintptr_t at = std::max(begin, reinterpret_cast<uintptr_t>(part.data())); at < end; at = (at / page + 1) * page)
    static_cast<void>(*reinterpret_cast<const volatile std::byte*>(at));
}

}  // namespace outpost
#endif
