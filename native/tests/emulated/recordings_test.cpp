// Which recorded passes are kept where there are too many.
#include <doctest/doctest.h>

#include "backend/gpu/gpu_recordings.h"

using namespace outpost;

TEST_CASE("emulated device: of too many recorded passes the one that was used longest ago is given up") {
  GpuRecordings recordings;
  const auto n = static_cast<int64_t>(GpuRecordings::kMaxPasses);
  for (int64_t i = 0; i < n; ++i) recordings.add({i}, {});
  CHECK(recordings.find({0}) != nullptr);
  recordings.add({n}, {});
  CHECK(recordings.find({1}) == nullptr);
  CHECK(recordings.find({0}) != nullptr);
  CHECK(recordings.find({n}) != nullptr);
  recordings.add({2}, {});  // it is there: nobody has to go
  CHECK(recordings.find({3}) != nullptr);
}
