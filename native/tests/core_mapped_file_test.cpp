#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/log.h"
#include "core/mapped_file.h"
#include "engine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

TEST_CASE("a mapped file shows the file's bytes") {
  const TempDir dir;
  const MappedFile file(dir.write("data.bin", "hello"));
  REQUIRE(file.bytes().size() == 5);
  CHECK(std::memcmp(file.bytes().data(), "hello", 5) == 0);
}

TEST_CASE("released pages can be read again") {
  const TempDir dir;
  const MappedFile file(dir.write("data.bin", std::string(100'000, 'x')));
  file.release(file.bytes());
  CHECK(file.bytes()[50'000] == std::byte{'x'});
}

TEST_CASE("an empty file maps to no bytes") {
  const TempDir dir;
  CHECK(MappedFile(dir.write("empty", "")).bytes().empty());
}

TEST_CASE("what cannot be mapped is named") {
  const TempDir dir;
  CHECK(error_of([&] { MappedFile file(dir.path("absent")); }) == ErrorCode::kFileNotFound);
  CHECK(error_of([&] { MappedFile file(dir.path("")); }) == ErrorCode::kFileNotFound);  // a directory
  const std::string plain = dir.write("plain", "x");
  CHECK(error_of([&] { MappedFile file(plain + "/below"); }) == ErrorCode::kFileNotFound);
  CHECK(message_of([&] { MappedFile file(dir.path("absent")); }).find(dir.path("absent")) != std::string::npos);
}

TEST_CASE("log messages reach the sink and stop when it is removed") {
  std::string seen;
  set_log_sink([&](LogLevel level, std::string_view message) {
    CHECK(level == LogLevel::kWarning);
    seen += message;
  });
  log_warning("three is ", 3);
  set_log_sink({});
  log_warning("nobody hears this");
  CHECK(seen == "three is 3");
}
