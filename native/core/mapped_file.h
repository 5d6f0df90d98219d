// A whole file mapped read-only into memory.
//
// If another program truncates the file while it is mapped, touching the lost pages raises SIGBUS: the
// engine process ends and is restarted by its supervisor. Nothing short of copying the file prevents that.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace outpost {

class MappedFile {
 public:
  /// @throws EngineError kFileNotFound if there is no regular file at `path`, kFileUnreadable with the
  ///         system's reason if it cannot be opened or mapped
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  /// Tells the system that `part` of the mapping will not be read soon, so that its memory can be used
  /// for something else. Reading it again is still correct.
  void release(std::span<const std::byte> part) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
#ifdef _WIN32
  void* mapping_ = nullptr;
#endif
};

/// Asks the system to read this part of a mapped file soon and in one go, instead of page by page when it is touched.
/// For any memory: a hint that changes no contents.
void prefetch_pages(std::span<const std::byte> part);

/// Brings this part into memory, and returns when it was there.
inline void read_pages(std::span<const std::byte> part) {
  constexpr size_t kLeastPage = 4096;
  prefetch_pages(part);
  for (size_t i = 0; i < part.size(); i += kLeastPage)
    static_cast<void>(*const_cast<const volatile std::byte*>(&part[i]));
}

}  // namespace outpost
