#include "core/atomic_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

#include "core/paths.h"
#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

/// Fails if the file exists.
std::FILE* create(const std::string& path) {
#ifdef _WIN32
  return _wfopen(path_of(path).c_str(), L"wbx");
#else
  return std::fopen(path.c_str(), "wbx");
#endif
}

bool sync(std::FILE* file) {
  if (std::fflush(file) != 0) return false;
#ifdef _WIN32
  return _commit(_fileno(file)) == 0;
#else
  return fsync(fileno(file)) == 0;
#endif
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  std::random_device random;
  temporary_ = concat(path, ".", std::hex, random(), ".partial");
  file_ = create(temporary_);
  if (file_ == nullptr) fail();
}

AtomicFile::~AtomicFile() {
  close();
  std::error_code ignored;
  if (!temporary_.empty()) std::filesystem::remove(path_of(temporary_), ignored);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail();
  n_written_ += bytes.size();
}

void AtomicFile::commit() {
  if (!sync(file_)) fail();
  close();
  std::error_code error;
  std::filesystem::rename(path_of(temporary_), path_of(path_), error);
  if (error) {
    throw EngineError(ErrorCode::kFileUnreadable, concat("Cannot replace ", path_, ": ", error.message(), "."));
  }
  temporary_.clear();
}

void AtomicFile::fail() const {
  throw EngineError(ErrorCode::kFileUnreadable, concat("Cannot write ", path_, ": ", std::strerror(errno), "."));
}

void AtomicFile::close() {
  if (file_ != nullptr) std::fclose(file_);
  file_ = nullptr;
}

}  // namespace outpost
