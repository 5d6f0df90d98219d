// A cursor over untrusted bytes that knows where it is, so that every error can name the offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "core/strings.h"
#include "engine.h"

namespace outpost {

class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }

  /// @throws EngineError kModelInvalid: "<file> is not a valid GGUF file: <what> at byte <offset>."
  template <typename... Args>
  [[noreturn]] void fail(const Args&... what) const {
    throw EngineError(ErrorCode::kModelInvalid,
                      concat(name_, " is not a valid GGUF file: ", what..., " (at byte ", offset_, ")."));
  }

  /// The next `n` bytes.
  std::span<const std::byte> take(uint64_t n, const char* what) {
    if (n > remaining()) {
      fail(what, " needs ", n, " bytes, but only ", remaining(), " are left: the file is truncated or damaged");
    }
    const auto part = bytes_.subspan(offset_, static_cast<size_t>(n));
    offset_ += static_cast<size_t>(n);
    return part;
  }

  template <typename T>
  T read(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  /// A 64-bit length and as many bytes.
  std::string_view read_string(const char* what) {
    const auto n = read<uint64_t>(what);
    const auto part = take(n, what);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t offset_ = 0;
};

}  // namespace outpost
