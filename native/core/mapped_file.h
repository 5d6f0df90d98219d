// A whole file mapped read-only into memory.
//
// If another program truncates the file while it is mapped, or its disk fails, the lost pages are read as zeros and
// `is_intact` says so: whoever computes with the bytes asks that before anyone sees a result. (On Windows a mapped file
// cannot be truncated; a failing disk ends the process.) A program that writes other bytes into the same file changes
// what is read: nothing short of a copy prevents that. Downloads and editors replace the file, which changes nothing
// here.
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
  /// False once a page was read that the file has no more.
  bool is_intact() const;

  /// Tells the system that `part` of the mapping will not be read soon, so that its memory can be used
  /// for something else. Reading it again is still correct.
  void release(std::span<const std::byte> part) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
#ifdef _WIN32
  void* mapping_ = nullptr;
#else
  class Guard;
  Guard* guard_ = nullptr;
#endif
};

/// Asks the system to read this part of a mapped file soon and in one go, instead of page by page when it is touched.
/// For any memory: a hint that changes no contents.
void prefetch_pages(std::span<const std::byte> part);

/// Reads this part of a mapped file now, so that touching it does not stop for each page.
void populate_pages(std::span<const std::byte> part);

}  // namespace outpost
