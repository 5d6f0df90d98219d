// Copies that go on by themselves, and the mbarriers that say when they are there: the emulator has to let a correct
// pipeline pass and to find every mistake in it, under every schedule.
#include <numeric>
#include <vector>

#include "kernels/cuda/wgmma.h"
#include "kernels/tests/emulator_faults.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;
using emulator::DeviceArray;
using emulator::FaultKind;

namespace {

constexpr int32_t kThreads = 64, kStages = 2, kRounds = 5, kStageBytes = 512;

enum class Mistake {
  kNone,
  kUnpublished,
  kNoBarrierAfterInit,
  kNoInit,
  kInitTwice,
  kOverwritten,
  kNoWaitForCopy,
  kNoWaitForFree,
  kNoRelease,
  kEarlyRelease,
  kOneArrivalLess,
  kOneArrivalMore,
  kTooManyBytes,
  kTooFewBytes,
  kWrongParity,
  kOddSize,
  kOtherStage,
};

/// A thread of warp 0 brings stages, warp 1 reads them: y [kRounds, 32] gets a word of each round for every lane.
void pipeline(DevicePtr<const uint8_t> x, DevicePtr<uint32_t> y, Mistake mistake) {
  GPU_SHARED(uint8_t, stages, kStages * kStageBytes);
  GPU_SHARED(uint64_t, barriers, 2 * kStages);
  const Here here = GPU_HERE;
  const SharedPtr<uint64_t> is_there = barriers, is_free = barriers + kStages;
  if (here.thread_id == 0) {
    for (int32_t i = 0; i < kStages; ++i) {
      if (mistake != Mistake::kNoInit) init_barrier(is_there + i, 1);
      init_barrier(is_free + i, mistake == Mistake::kOneArrivalLess   ? 31
                                : mistake == Mistake::kOneArrivalMore ? 33
                                                                      : 32);
    }
    if (mistake == Mistake::kInitTwice) init_barrier(is_there, 1);
    if (mistake != Mistake::kUnpublished) publish_barriers();
  }
  if (mistake != Mistake::kNoBarrierAfterInit) block_barrier();
  if (mistake == Mistake::kOverwritten && here.thread_id == 0) barriers[0] = 0u;

  if (here.thread_id == 0) {
    for (int32_t round = 0; round < kRounds; ++round) {
      const int32_t stage = round % kStages;
      const uint32_t parity = (round / kStages + 1) % 2;
      if (mistake != Mistake::kNoWaitForFree) wait_for(is_free + stage, mistake == Mistake::kWrongParity ? 0 : parity);
      const uint32_t n_bytes = kStageBytes + (mistake == Mistake::kTooManyBytes  ? 16u
                                              : mistake == Mistake::kTooFewBytes ? 0u - 16u
                                                                                 : 0u);
      arrive_and_expect(is_there + stage, n_bytes);
      copy_bulk(stages + (mistake == Mistake::kOtherStage ? 0 : stage) * kStageBytes, x + round * kStageBytes,
                mistake == Mistake::kOddSize ? kStageBytes - 4 : kStageBytes, is_there + stage);
    }
  }
  if (here.warp == 1) {
    for (int32_t round = 0; round < kRounds; ++round) {
      const int32_t stage = round % kStages;
      if (mistake != Mistake::kNoWaitForCopy) wait_for(is_there + stage, round / kStages % 2);
      if (mistake == Mistake::kEarlyRelease) arrive(is_free + stage);
      const SharedPtr<uint8_t> own = stages + (stage * kStageBytes + 16 * here.lane);
      y[32 * round + here.lane] = uint32_t{own[0]} | uint32_t{own[15]} << 8;
      if (mistake != Mistake::kEarlyRelease && mistake != Mistake::kNoRelease) arrive(is_free + stage);
    }
  }
}

std::vector<uint8_t> bytes() {
  std::vector<uint8_t> values(kRounds * kStageBytes);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint8_t>(i * 7 + i / 256);
  return values;
}

void check_pipeline(FaultKind kind, Mistake mistake) {
  CAPTURE(static_cast<int>(mistake));
  DeviceArray<uint8_t> x("x", bytes());
  DeviceArray<uint32_t> y("y", kRounds * 32);
  check_fault(kind, kThreads, [&] { pipeline(x, y, mistake); });
}

}  // namespace

TEST_CASE("emulator: bulk copies come through mbarriers to who waits for them") {
  const std::vector<uint8_t> values = bytes();
  DeviceArray<uint8_t> x("x", values);
  DeviceArray<uint32_t> y("y", kRounds * 32);
  check_correct(kThreads, [&] { pipeline(x, y, Mistake::kNone); });
  for (size_t i = 0; i < kRounds * 32; ++i)
    CHECK(y.values()[i] == (values[16 * i] | uint32_t{values[16 * i + 15]} << 8));
}

TEST_CASE("emulator: finds a read that nothing orders after the copy") {
  // Without a wait what is read may as well have no value yet, by the schedule: wrong in any case.
  DeviceArray<uint8_t> x("x", bytes());
  DeviceArray<uint32_t> y("y", kRounds * 32);
  for (const emulator::Schedule schedule : kSchedules) {
    const auto fault = fault_of({{1}, kThreads, schedule, 1}, [&] { pipeline(x, y, Mistake::kNoWaitForCopy); });
    REQUIRE(fault.has_value());
    CHECK((fault->kind() == FaultKind::kRace || fault->kind() == FaultKind::kUninitializedRead));
  }
  // Two stages at one place: the second copy comes while the first may be read.
  check_pipeline(FaultKind::kRace, Mistake::kOtherStage);
}

TEST_CASE("emulator: finds a copy to where another may still read") {
  check_pipeline(FaultKind::kRace, Mistake::kNoWaitForFree);
  check_pipeline(FaultKind::kRace, Mistake::kEarlyRelease);
  // A phase that ends too early lets the copy go on, or is over when the last reader arrives, by the schedule.
  DeviceArray<uint8_t> x("x", bytes());
  DeviceArray<uint32_t> y("y", kRounds * 32);
  for (const emulator::Schedule schedule : kSchedules)
    CHECK(fault_of({{1}, kThreads, schedule, 1}, [&] { pipeline(x, y, Mistake::kOneArrivalLess); }));
}

TEST_CASE("emulator: finds a wait for a phase that never ends") {
  check_pipeline(FaultKind::kDeadlock, Mistake::kNoRelease);
  check_pipeline(FaultKind::kDeadlock, Mistake::kOneArrivalMore);
  check_pipeline(FaultKind::kDeadlock, Mistake::kWrongParity);
  check_pipeline(FaultKind::kDeadlock, Mistake::kTooManyBytes);
  check_pipeline(FaultKind::kDeadlock, Mistake::kTooFewBytes);
}

TEST_CASE("emulator: the text of a deadlock says what is lacking") {
  DeviceArray<uint8_t> x("x", bytes());
  DeviceArray<uint32_t> y("y", kRounds * 32);
  const auto fault = fault_of({{1}, kThreads}, [&] { pipeline(x, y, Mistake::kTooManyBytes); });
  REQUIRE(fault.has_value());
  CHECK(std::string(fault->what()) ==
        "thread 63 waits for phase 0 of the mbarrier at byte 0 of `barriers`, which lacks 0 arrivals and 16 bytes");
}

TEST_CASE("emulator: finds what is no mbarrier, or not yet one") {
  check_pipeline(FaultKind::kMbarrier, Mistake::kUnpublished);
  check_pipeline(FaultKind::kMbarrier, Mistake::kInitTwice);
  check_pipeline(FaultKind::kUninitializedRead, Mistake::kNoInit);
  // Who comes before it was written over waits for good, or finds the race.
  DeviceArray<uint8_t> x("x", bytes());
  DeviceArray<uint32_t> y("y", kRounds * 32);
  for (const Mistake mistake : {Mistake::kNoBarrierAfterInit, Mistake::kOverwritten})
    for (const emulator::Schedule schedule : kSchedules)
      CHECK(fault_of({{1}, kThreads, schedule, 1}, [&] { pipeline(x, y, mistake); }));
}

TEST_CASE("emulator: finds a bulk copy of an odd size") { check_pipeline(FaultKind::kMisaligned, Mistake::kOddSize); }

TEST_CASE("emulator: finds more arrivals than an mbarrier takes, and more bytes than it counts") {
  check_fault(FaultKind::kMbarrier, 32, [] {
    GPU_SHARED(uint64_t, barrier, 1);
    if (GPU_HERE.thread_id == 0) init_barrier(barrier, 1);
    block_barrier();
    if (GPU_HERE.thread_id < 2) arrive_and_expect(barrier, 16);
  });
  check_fault(FaultKind::kMbarrier, 32, [] {
    GPU_SHARED(uint64_t, barrier, 1);
    if (GPU_HERE.thread_id == 0) {
      init_barrier(barrier, 1);
      arrive_and_expect(barrier, 1u << 20);
    }
  });
}

namespace {

/// A bulk copy of x, which a launch before has written, by a launch that was there already.
std::optional<emulator::Fault> fault_of_early_copy(bool starts_early, bool shows_before_wait, bool shows_after_wait) {
  std::vector<uint8_t> values(512);
  std::iota(values.begin(), values.end(), uint8_t{0});
  DeviceArray<uint8_t> input("input", values), x("x", values.size());
  DeviceArray<uint32_t> y("y", 32);
  emulator::launch({{16}, 32}, [&] {
    const int32_t i = 32 * Here().block_x + Here().thread_id;
    x.pointer()[i] = input.pointer()[i];
  });
  return fault_of({{1}, 32, emulator::Schedule::kInOrder, 0, emulator::kMaxSharedBytes, starts_early}, [&] {
    GPU_SHARED(uint8_t, copied, 512);
    GPU_SHARED(uint64_t, is_there, 1);
    const int32_t i = Here().thread_id;
    if (i == 0) {
      init_barrier(is_there, 1);
      publish_barriers();
    }
    block_barrier();
    if (shows_before_wait) show_results_to_copies();
    wait_for_previous();
    if (shows_after_wait) show_results_to_copies();
    if (i == 0) {
      arrive_and_expect(is_there, 512);
      copy_bulk(SharedPtr<uint8_t>(copied), DevicePtr<const uint8_t>(x.pointer()), 512, SharedPtr<uint64_t>(is_there));
    }
    wait_for(SharedPtr<uint64_t>(is_there), 0);
    y.pointer()[i] = copied[i];
  });
}

}  // namespace

TEST_CASE("emulator: finds a bulk copy of results by a launch that started before they were there") {
  CHECK(!fault_of_early_copy(false, false, false).has_value());
  CHECK(!fault_of_early_copy(true, false, true).has_value());
  for (const bool shows_before_wait : {false, true}) {
    const auto fault = fault_of_early_copy(true, shows_before_wait, false);
    REQUIRE(fault.has_value());
    CHECK(fault->kind() == FaultKind::kTooEarly);
  }
}

TEST_CASE("emulator: copies of sixteen bytes are seen after a wait, or by an mbarrier that they arrive at") {
  const auto copy_and_read = [](DevicePtr<const uint8_t> x, bool has_wait, bool is_committed, bool has_mbarrier) {
    GPU_SHARED(uint8_t, copy, 64 * 16);
    GPU_SHARED(uint64_t, barrier, 1);
    const Here here = GPU_HERE;
    if (here.thread_id == 0) init_barrier(barrier, 64);
    block_barrier();
    copy_async16<uint8_t>(copy + 16 * here.thread_id, x + 16 * here.thread_id, 16);
    if (is_committed) commit_copies();
    if (has_wait) wait_for_copies<0>();
    if (has_mbarrier) {
      arrive_after_copies(barrier);
      wait_for(barrier, 0);
    } else {
      block_barrier();
    }
    warp_barrier();
    return uint32_t{copy[16 * (63 - here.thread_id)]};
  };
  DeviceArray<uint8_t> x("x", bytes());
  check_correct(64, [&] { copy_and_read(x, true, true, false); });
  check_correct(64, [&] { copy_and_read(x, false, false, true); });
  check_fault(FaultKind::kRace, 64, [&] { copy_and_read(x, false, true, false); });
  check_fault(FaultKind::kRace, 64, [&] { copy_and_read(x, true, false, false); });
  check_fault(FaultKind::kMisaligned, 64, [&] { copy_and_read(DevicePtr<const uint8_t>(x) + 4, true, true, false); });
  // A wait for all but the last group leaves that one in flight.
  check_fault(FaultKind::kRace, 32, [&] {
    GPU_SHARED(uint8_t, copy, 2 * 32 * 16);
    const Here here = GPU_HERE;
    for (int32_t group = 0; group < 2; ++group) {
      copy_async16<uint8_t>(copy + 16 * (32 * group + here.lane), x, 16);
      commit_copies();
    }
    wait_for_copies<1>();
    block_barrier();
    ballot(copy[16 * (31 - here.lane)] == 0);  // of the first group
    ballot(copy[16 * (63 - here.lane)] == 0);
  });
}
