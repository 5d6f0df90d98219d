// Products of warpgroups: the emulator has to multiply as the instruction is defined, and to find every mistake around
// it, under every schedule.
#include "core/half.h"
#include "kernels/cuda/wgmma.h"
#include "kernels/tests/emulator_faults.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;
using emulator::DeviceArray;
using emulator::FaultKind;

namespace {

constexpr int32_t kThreads = 160, kStages = 2, kRounds = 3, kDepth = 64;
constexpr int32_t kWarps = 4;  ///< that multiply; the fifth copies

enum class Mistake {
  kNone,
  kNoFence,
  kFenceOnce,
  kNoCommit,
  kNoWait,
  kSumsRead,
  kSumsWritten,
  kWordWritten,
  kEarlyRelease,
  kOneWarpReleases,
  kNoWaitForCopy,
  kOneLaneWaitsForCopy,
  kStored,
  kOneWarpLess,
  kOneLaneLess,
  kTwoDescriptors,
  kNotSwizzled,
  kNotAligned,
  kOutside,
};

float value_of_a(int32_t row, int32_t k) { return static_cast<float>((row * 5 + k * 3) % 17 - 8); }
float value_of_b(int32_t k, int32_t column) { return static_cast<float>((k * 7 + column * 11) % 13 - 6); }

/// Two elements of A.
uint32_t pair_of_a(int32_t row, int32_t k) {
  return uint32_t{float_to_half(value_of_a(row, k))} | uint32_t{float_to_half(value_of_a(row, k + 1))} << 16;
}

/// B of all rounds as it has to lie in shared memory: a column is 128 bytes, whose pieces of 16 change places.
template <int kColumns>
std::vector<uint8_t> image_of_b() {
  std::vector<uint8_t> bytes(kRounds * kColumns * 128);
  for (int32_t k = 0; k < kRounds * kDepth; ++k) {
    for (int32_t column = 0; column < kColumns; ++column) {
      const int32_t piece = k % kDepth / 8 ^ column % 8;
      const uint16_t half = float_to_half(value_of_b(k, column));
      std::memcpy(&bytes[static_cast<size_t>((k / kDepth * kColumns + column) * 128 + 16 * piece + k % 8 * 2)], &half,
                  2);
    }
  }
  return bytes;
}

/// y [64, kColumns] = A [64, kRounds * kDepth] * B, of which a round is copied while another is multiplied with.
template <int kColumns>
void multiply(DevicePtr<const uint8_t> b, DevicePtr<float> y, Mistake mistake) {
  constexpr int32_t kStageBytes = kColumns * 128;
  GPU_SHARED(uint8_t, memory, 1024 + kStages * kStageBytes);
  GPU_SHARED(uint64_t, barriers, 2 * kStages);
  const Here here = GPU_HERE;
  const SharedPtr<uint64_t> is_there = barriers, is_free = barriers + kStages;
  const SharedPtr<uint8_t> stages =
      memory + ((0u - shared_address(memory)) % 1024u + (mistake == Mistake::kNotAligned ? 16u : 0u));
  if (here.thread_id == 0) {
    for (int32_t i = 0; i < kStages; ++i) {
      init_barrier(is_there + i, 1);
      init_barrier(is_free + i, mistake == Mistake::kOneWarpReleases ? 1 : kWarps);
    }
    publish_barriers();
  }
  if (mistake == Mistake::kStored)
    for (int32_t i = here.thread_id; i < kStages * kStageBytes; i += kThreads) stages[i] = 0;
  block_barrier();
  if (here.warp == kWarps) {
    for (int32_t round = 0; round < kRounds && here.lane == 0 && mistake != Mistake::kStored; ++round) {
      const int32_t stage = round % kStages;
      wait_for(is_free + stage, (round / kStages + 1) % 2);
      arrive_and_expect(is_there + stage, kStageBytes);
      copy_bulk(stages + stage * kStageBytes, b + round * kStageBytes, kStageBytes, is_there + stage);
    }
    return;
  }
  if (mistake == Mistake::kOneWarpLess && here.warp == 2) return;
  if (mistake == Mistake::kOneLaneLess && here.thread_id == 77) return;

  float sums[kColumns / 2];
  for (float& sum : sums) sum = 0;
  uint32_t words[kRounds][kDepth / 16][4];
  const int32_t row = 16 * here.warp + here.lane / 4, c = here.lane % 4;
  if (mistake == Mistake::kFenceOnce) wgmma_fence();
  for (int32_t round = 0; round < kRounds; ++round) {
    const int32_t stage = round % kStages;
    auto& own = words[mistake == Mistake::kFenceOnce ? 0 : round];
    if (mistake == Mistake::kFenceOnce && round > 0) wgmma_wait<0>();
    for (int32_t k = 0; k < kDepth / 16; ++k)
      for (int32_t i = 0; i < 4; ++i)
        own[k][i] = pair_of_a(row + 8 * (i % 2), round * kDepth + 16 * k + 2 * c + 8 * (i / 2));
    const bool is_waiting =
        mistake == Mistake::kOneLaneWaitsForCopy ? here.lane == 0 : mistake != Mistake::kNoWaitForCopy;
    if (is_waiting && mistake != Mistake::kStored) wait_for(is_there + stage, round / kStages % 2);
    if (mistake != Mistake::kNoFence && mistake != Mistake::kFenceOnce) wgmma_fence();
    uint64_t descriptor = wgmma_descriptor(shared_address(stages) + static_cast<uint32_t>(stage * kStageBytes));
    if (mistake == Mistake::kTwoDescriptors && here.warp == 1) descriptor += 2;
    if (mistake == Mistake::kNotSwizzled) descriptor &= ~(uint64_t{3} << 62);
    if (mistake == Mistake::kOutside) descriptor ^= 0x3000;  // 192 KiB further
    for (int32_t k = 0; k < kDepth / 16; ++k)
      wgmma_f16(sums, own[k][0], own[k][1], own[k][2], own[k][3], descriptor + static_cast<uint64_t>(2 * k));
    if (mistake != Mistake::kNoCommit) wgmma_commit();
    if (mistake == Mistake::kSumsWritten && here.thread_id == 100) sums[3] = 0;
    if (mistake == Mistake::kWordWritten && here.thread_id == 5) own[2][1] ^= 1;
    if (mistake == Mistake::kSumsRead && here.thread_id == 0) y[0] = 2 * sums[0] + 1;
    if (mistake == Mistake::kEarlyRelease && here.lane == 0) arrive(is_free + stage);
    wgmma_wait<1>();
    const bool is_releasing = mistake == Mistake::kOneWarpReleases ? here.warp == 0 : mistake != Mistake::kEarlyRelease;
    if (round > 0 && here.lane == 0 && is_releasing) arrive(is_free + (round - 1) % kStages);
  }
  if (mistake != Mistake::kNoWait) wgmma_wait<0>();
  for (int32_t j = 0; j < kColumns / 8; ++j)
    for (int32_t i = 0; i < 4; ++i) y[(row + 8 * (i / 2)) * kColumns + 8 * j + 2 * c + i % 2] = sums[4 * j + i];
}

constexpr size_t kSharedBytes = 1024 + kStages * 128 * 128 + 2 * kStages * sizeof(uint64_t);

void check_product_fault(FaultKind kind, Mistake mistake) {
  CAPTURE(static_cast<int>(mistake));
  DeviceArray<uint8_t> b("b", image_of_b<128>());
  DeviceArray<float> y("y", 64 * 128);
  check_fault(
      kind, kThreads, [&] { multiply<128>(b, y, mistake); }, 1, kSharedBytes);
}

template <int kColumns>
void check_values() {
  DeviceArray<uint8_t> b("b", image_of_b<kColumns>());
  DeviceArray<float> y("y", 64 * kColumns);
  check_correct(
      kThreads, [&] { multiply<kColumns>(b, y, Mistake::kNone); }, 1, 2 * kSharedBytes);
  const std::vector<float> values = y.values();
  for (int32_t row = 0; row < 64; ++row) {
    for (int32_t column = 0; column < kColumns; ++column) {
      float sum = 0;  // of small integers: exact
      for (int32_t k = 0; k < kRounds * kDepth; ++k) sum += value_of_a(row, k) * value_of_b(k, column);
      if (values[static_cast<size_t>(row * kColumns + column)] != sum) FAIL_CHECK("row ", row, ", column ", column);
    }
  }
}

}  // namespace

TEST_CASE("emulator: products of a warpgroup follow their definition") {
  check_values<128>();
  check_values<256>();
}

TEST_CASE("emulator: finds sums that are read or written while a product may add to them") {
  check_product_fault(FaultKind::kProduct, Mistake::kSumsRead);
  check_product_fault(FaultKind::kProduct, Mistake::kSumsWritten);
  check_product_fault(FaultKind::kProduct, Mistake::kNoWait);
}

TEST_CASE("emulator: finds a register of A that is written while a product may read it") {
  check_product_fault(FaultKind::kProduct, Mistake::kWordWritten);
}

TEST_CASE("emulator: finds registers that a product takes without a fence") {
  check_product_fault(FaultKind::kProduct, Mistake::kNoFence);
  check_product_fault(FaultKind::kProduct, Mistake::kFenceOnce);
}

TEST_CASE("emulator: finds a copy to where a product may still read") {
  check_product_fault(FaultKind::kRace, Mistake::kEarlyRelease);
  check_product_fault(FaultKind::kRace, Mistake::kOneWarpReleases);
  check_product_fault(FaultKind::kRace, Mistake::kNoCommit);  // nothing is waited for
}

TEST_CASE("emulator: finds a product with what its threads have not waited for") {
  check_product_fault(FaultKind::kRace, Mistake::kOneLaneWaitsForCopy);
  DeviceArray<uint8_t> b("b", image_of_b<128>());
  DeviceArray<float> y("y", 64 * 128);
  // Without any wait there may be no value yet.
  for (const emulator::Schedule schedule : kSchedules)
    CHECK(fault_of({{1}, kThreads, schedule, 1, kSharedBytes}, [&] { multiply<128>(b, y, Mistake::kNoWaitForCopy); }));
}

TEST_CASE("emulator: finds a product that part of a warpgroup does not come to, or for which it has other operands") {
  check_product_fault(FaultKind::kWarpDivergence, Mistake::kOneWarpLess);
  check_product_fault(FaultKind::kWarpDivergence, Mistake::kOneLaneLess);
  check_product_fault(FaultKind::kProduct, Mistake::kTwoDescriptors);
  check_fault(FaultKind::kWarpDivergence, 64, [] { take_registers<32>(); });
  check_fault(FaultKind::kProduct, 128, [] { take_registers<33>(); });
}

TEST_CASE("emulator: finds an operand that matrix units would not read as it was meant") {
  check_product_fault(FaultKind::kProduct, Mistake::kNotSwizzled);
  check_product_fault(FaultKind::kProduct, Mistake::kOutside);
  // Ordinary stores are not seen there without a fence between the proxies.
  check_product_fault(FaultKind::kProduct, Mistake::kStored);
}

TEST_CASE("emulator: rows of an operand turn by their address, not by their number") {
  DeviceArray<uint8_t> b("b", image_of_b<128>());
  DeviceArray<float> right("right", 64 * 128), wrong("wrong", 64 * 128);
  emulator::launch({{1}, kThreads, emulator::Schedule::kInOrder, 0, kSharedBytes},
                   [&] { multiply<128>(b, right, Mistake::kNone); });
  emulator::launch({{1}, kThreads, emulator::Schedule::kInOrder, 0, kSharedBytes},
                   [&] { multiply<128>(b, wrong, Mistake::kNotAligned); });
  CHECK(right.values() != wrong.values());
}
