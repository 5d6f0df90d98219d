// A file that appears under its name only when it is whole: it is written beside it under a temporary name and takes
// its place by rename. Whatever goes wrong before leaves what was there, and no temporary file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace outpost {

class AtomicFile {
 public:
  /// Creates the temporary file.
  /// @throws EngineError kFileUnreadable with the system's reason
  explicit AtomicFile(const std::string& path);
  /// Removes the temporary file unless `commit` has succeeded.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. @throws EngineError kFileUnreadable, e.g. when the disk is full
  void write(std::span<const std::byte> bytes);
  uint64_t n_written() const { return n_written_; }

  /// Brings everything to the disk and replaces `path`. Nothing may be written afterwards.
  /// @throws EngineError kFileUnreadable
  void commit();

 private:
  [[noreturn]] void fail() const;
  void close();

  std::string path_, temporary_;
  std::FILE* file_ = nullptr;
  uint64_t n_written_ = 0;
};

}  // namespace outpost
