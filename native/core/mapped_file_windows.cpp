// Run under Wine only.
#ifdef _WIN32
#include <windows.h>

#include <filesystem>
#include <system_error>

#include "core/mapped_file.h"
#include "core/paths.h"
#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

std::string last_error() { return std::system_category().message(static_cast<int>(GetLastError())); }

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const std::filesystem::path wide = path_of(path);
  std::error_code ignored;
  if (std::filesystem::is_directory(wide, ignored))
    throw EngineError(ErrorCode::kFileNotFound, concat(path, " is not a regular file."));
  HANDLE file =
      CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) {
    const DWORD error = GetLastError();
    const bool is_missing = error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND;
    throw EngineError(is_missing ? ErrorCode::kFileNotFound : ErrorCode::kFileUnreadable,
                      concat("Cannot open ", path, ": ", last_error(), "."));
  }
  if (GetFileType(file) != FILE_TYPE_DISK) {
    CloseHandle(file);
    throw EngineError(ErrorCode::kFileNotFound, concat(path, " is not a regular file."));
  }
  LARGE_INTEGER size{};
  if (!GetFileSizeEx(file, &size)) {
    CloseHandle(file);
    throw EngineError(ErrorCode::kFileUnreadable, concat("Cannot read the size of ", path, ": ", last_error(), "."));
  }
  size_ = static_cast<size_t>(size.QuadPart);
  if (size_ > 0) {
    mapping_ = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (mapping_ != nullptr) data_ = static_cast<const std::byte*>(MapViewOfFile(mapping_, FILE_MAP_READ, 0, 0, 0));
  }
  CloseHandle(file);
  if (size_ > 0 && data_ == nullptr) {
    const std::string reason = last_error();
    if (mapping_ != nullptr) CloseHandle(mapping_);
    throw EngineError(ErrorCode::kFileUnreadable, concat("Cannot map ", path, " (", size_, " bytes): ", reason, "."));
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) UnmapViewOfFile(data_);
  if (mapping_ != nullptr) CloseHandle(mapping_);
}

void MappedFile::release(std::span<const std::byte>) const {}  // the system trims clean pages by itself

void prefetch_pages(std::span<const std::byte> part) {
  WIN32_MEMORY_RANGE_ENTRY range{const_cast<std::byte*>(part.data()), part.size()};
  if (!part.empty()) PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

}  // namespace outpost
#endif
