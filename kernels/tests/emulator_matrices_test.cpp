// Matrices that a warp holds together: the emulator has to multiply as Metal's are defined, and to find every mistake
// around them, under every schedule.
#include "core/half.h"
#include "kernels/metal/simd_matrix.h"
#include "kernels/tests/emulator_faults.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;
using emulator::DeviceArray;
using emulator::FaultKind;

namespace {

constexpr int32_t kWarps = 2, kThreads = 32 * kWarps, kPitch = 24;  ///< elements from a row to the next

enum class Mistake {
  kNone,
  kOneLaneLess,
  kTwoAddresses,
  kTwoStrides,
  kTwoMatrices,
  kNoValue,
  kNotCleared,
  kNoBarrierBeforeLoad,
  kWarpBarrierBeforeLoad,
  kOwnLaneBeforeLoad,
  kNoBarrierAfterLoad,
  kNoBarrierAfterStore,
  kStoredTwice,
  kNotWritten,
  kOutside,
  kStoredOutside,
  kNotAligned,
  kOddStride,
  kOverlap,
};

float value_of_a(int32_t row, int32_t k) { return static_cast<float>((row * 5 + k * 3) % 17 - 8); }
float value_of_b(int32_t k, int32_t column) { return static_cast<float>((k * 7 + column * 11) % 13 - 6); }

/// y [8, 8] of warp w = (w + 1) a * b, with b read as it is or, if kIsTransposed, from its transpose.
template <bool kIsTransposed>
void multiply(DevicePtr<float> y, Mistake mistake) {
  GPU_SHARED(uint16_t, given, 2 * 8 * kPitch);
  GPU_SHARED(float, sums, kWarps * 8 * kPitch);
  const Here here = GPU_HERE;
  const SharedPtr<uint16_t> of_a = given, of_b = of_a + 8 * kPitch;
  const auto is = [&](Mistake one) { return mistake == one; };
  // Warp 0 writes for both.
  for (int32_t i = here.thread_id; i < 64 && here.warp == 0; i += 32) {
    const int32_t row = i / 8, column = i % 8;
    if (is(Mistake::kNotWritten) && i == 41) continue;
    of_a[row * kPitch + column] = float_to_half(value_of_a(row, column));
    of_b[row * kPitch + column] = float_to_half(kIsTransposed ? value_of_b(column, row) : value_of_b(row, column));
  }
  if (is(Mistake::kWarpBarrierBeforeLoad))
    warp_barrier();
  else if (!is(Mistake::kNoBarrierBeforeLoad))
    block_barrier();
  if (is(Mistake::kOwnLaneBeforeLoad) && here.thread_id == 0) of_a[0] = float_to_half(value_of_a(0, 0));

  SimdHalf8x8 a, b, unused;
  SimdFloat8x8 sum, other;
  if (is(Mistake::kOneLaneLess) && here.thread_id == 5) return;
  if (!is(Mistake::kNotCleared)) simd_clear(sum);
  simd_clear(other);
  const bool is_odd = here.lane == 17;
  int64_t shift = 0;
  if (is(Mistake::kTwoAddresses) && is_odd) shift = 8;
  if (is(Mistake::kOutside)) shift = 15 * kPitch;  // its first row is the last that there is
  if (is(Mistake::kNotAligned)) shift = 1;
  int32_t stride = kPitch;
  if (is(Mistake::kTwoStrides) && is_odd) stride = 16;
  if (is(Mistake::kOddStride)) stride = kPitch + 4;
  if (is(Mistake::kOverlap)) stride = 0;
  simd_load<false>(a, of_a + shift, stride);
  simd_load<kIsTransposed>(b, of_b, kPitch);
  if (is(Mistake::kNoBarrierAfterLoad) && here.thread_id == 0) of_b[0] = 0;
  for (int32_t i = 0; i <= here.warp; ++i)
    simd_multiply_add(is(Mistake::kTwoMatrices) && is_odd ? other : sum, is(Mistake::kNoValue) ? unused : a, b);

  const SharedPtr<float> own = sums + here.warp * 8 * kPitch;
  simd_store(sum, is(Mistake::kStoredOutside) ? sums + (8 * kWarps - 1) * kPitch : own, kPitch);
  if (is(Mistake::kStoredTwice)) simd_store(other, own, kPitch);
  if (!is(Mistake::kNoBarrierAfterStore)) warp_barrier();
  for (int32_t i = here.lane; i < 64; i += 32) y[64 * here.warp + i] = own[i / 8 * kPitch + i % 8];
}

void check_matrix_fault(FaultKind kind, Mistake mistake) {
  CAPTURE(static_cast<int>(mistake));
  DeviceArray<float> y("y", kWarps * 64);
  check_fault(kind, kThreads, [&] { multiply<false>(y, mistake); });
}

template <bool kIsTransposed>
void check_values() {
  DeviceArray<float> y("y", kWarps * 64);
  check_correct(kThreads, [&] { multiply<kIsTransposed>(y, Mistake::kNone); });
  const std::vector<float> values = y.values();
  for (int32_t i = 0; i < kWarps * 64; ++i) {
    const int32_t row = i % 64 / 8, column = i % 8;
    float sum = 0;  // of small integers: exact
    for (int32_t k = 0; k < 8; ++k) sum += value_of_a(row, k) * value_of_b(k, column);
    if (values[static_cast<size_t>(i)] != sum * static_cast<float>(i / 64 + 1))
      FAIL_CHECK("row ", row, ", column ", column);
  }
}

}  // namespace

TEST_CASE("emulator: products of simdgroup matrices follow their definition") {
  check_values<false>();
  check_values<true>();
}

TEST_CASE("emulator: finds a simdgroup matrix that not all lanes come to, or with other operands") {
  check_matrix_fault(FaultKind::kWarpDivergence, Mistake::kOneLaneLess);
  check_matrix_fault(FaultKind::kWarpDivergence, Mistake::kTwoAddresses);
  check_matrix_fault(FaultKind::kWarpDivergence, Mistake::kTwoStrides);
  check_matrix_fault(FaultKind::kWarpDivergence, Mistake::kTwoMatrices);
}

TEST_CASE("emulator: finds a simdgroup matrix without a value") {
  check_matrix_fault(FaultKind::kUninitializedRead, Mistake::kNoValue);
  check_matrix_fault(FaultKind::kUninitializedRead, Mistake::kNotCleared);
  check_matrix_fault(FaultKind::kUninitializedRead, Mistake::kNotWritten);
}

TEST_CASE("emulator: finds a simdgroup matrix that is loaded from what may not be written yet") {
  check_matrix_fault(FaultKind::kRace, Mistake::kOwnLaneBeforeLoad);
  DeviceArray<float> y("y", kWarps * 64);
  // By the schedule there may be no value yet.
  for (const Mistake mistake : {Mistake::kNoBarrierBeforeLoad, Mistake::kWarpBarrierBeforeLoad}) {
    for (const emulator::Schedule schedule : kSchedules)
      CHECK(fault_of({{1}, kThreads, schedule, 1}, [&] { multiply<false>(y, mistake); }));
  }
}

TEST_CASE("emulator: finds a write to what a simdgroup matrix may still be loaded from") {
  check_matrix_fault(FaultKind::kRace, Mistake::kNoBarrierAfterLoad);
  // Nor does a warp's store follow its own load.
  check_fault(FaultKind::kRace, 32, [] {
    GPU_SHARED(uint32_t, words, 64);
    const Here here = GPU_HERE;
    words[here.lane] = words[here.lane + 32] = 0;
    warp_barrier();
    SimdHalf8x8 matrix;
    SimdFloat8x8 sum;
    simd_load<false>(matrix, as_halves(words), 8);
    simd_clear(sum);
    simd_store(sum, as_floats(words), 8);
  });
}

TEST_CASE("emulator: finds a use of what a simdgroup matrix was just stored to") {
  check_matrix_fault(FaultKind::kRace, Mistake::kNoBarrierAfterStore);
  check_matrix_fault(FaultKind::kRace, Mistake::kStoredTwice);
  // One warp: whichever lane reads, it need not be the one that has stored.
  DeviceArray<float> y("y", 1);
  for (const int32_t reader : {0, 1, 31}) {
    check_fault(FaultKind::kRace, 32, [&] {
      GPU_SHARED(float, sums, 64);
      const Here here = GPU_HERE;
      SimdFloat8x8 sum;
      simd_clear(sum);
      simd_store(sum, sums, 8);
      if (here.lane == reader) y.pointer()[0] = sums[0];
    });
  }
}

TEST_CASE("emulator: finds a simdgroup matrix that does not lie in its array as it has to") {
  check_matrix_fault(FaultKind::kOutOfBounds, Mistake::kOutside);
  check_matrix_fault(FaultKind::kOutOfBounds, Mistake::kStoredOutside);
  check_matrix_fault(FaultKind::kOutOfBounds, Mistake::kOverlap);
  check_matrix_fault(FaultKind::kMisaligned, Mistake::kNotAligned);
  check_matrix_fault(FaultKind::kMisaligned, Mistake::kOddStride);
}
