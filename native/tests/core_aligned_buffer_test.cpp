#include "core/aligned_buffer.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "engine.h"

namespace outpost {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

TEST_CASE("memory for weights is zeroed, whole, and begins where a huge page can if it is large enough for one") {
  std::vector<AlignedBuffer> buffers;  // side by side: what is cut off one is none of another
  for (const size_t n_bytes : {size_t{1}, size_t{4096}, kHugePage - 1, kHugePage, kHugePage + 1, 3 * kHugePage - 100}) {
    for (int i = 0; i < 3; ++i) buffers.emplace_back(n_bytes, "a test");
  }
  for (const AlignedBuffer& buffer : buffers) {
    CAPTURE(buffer.size());
    CHECK(buffer.data()[0] == std::byte{});
    CHECK(buffer.data()[buffer.size() - 1] == std::byte{});
    buffer.data()[0] = buffer.data()[buffer.size() - 1] = std::byte{1};
    CHECK(reinterpret_cast<uintptr_t>(buffer.data()) % 64 == 0);
#ifndef _WIN32
    if (buffer.size() >= kHugePage) CHECK(reinterpret_cast<uintptr_t>(buffer.data()) % kHugePage == 0);
#endif
  }
  CHECK_THROWS_AS(AlignedBuffer(SIZE_MAX - 1, "a test"), EngineError);
  buffers.erase(buffers.begin() + 3, buffers.end() - 2);
  for (const AlignedBuffer& buffer : buffers) CHECK(buffer.data()[buffer.size() - 1] == std::byte{1});
}

}  // namespace outpost
