// The emulator has to catch every kind of mistake that it is there for, and to let correct kernels pass, under every
// schedule.
#include <doctest/doctest.h>

#include <numeric>

#include "kernels/portable/reduce.h"
#include "kernels/tests/emulator_faults.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;
using emulator::DeviceArray;
using emulator::FaultKind;
using emulator::launch;
using emulator::RegionKind;
using emulator::Schedule;

namespace {

std::vector<float> counted(size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

// ---- a kernel as it is written, without mistakes

template <int kThreads>
GPU_KERNEL(kThreads)
reverse_and_sum(GPU_IN(0, float, x), GPU_IO(1, float, reversed), GPU_IO(2, float, sum) GPU_GRID) {
  GPU_SHARED(float, tile, kThreads);
  GPU_SHARED(float, scratch, kThreads / 32);
  const Here here = GPU_HERE;
  const int32_t first = here.block_x * kThreads;
  tile[here.thread_id] = x[first + here.thread_id];
  block_barrier();
  reversed[first + here.thread_id] = tile[kThreads - 1 - here.thread_id];
  const float total = block_sum<kThreads / 32>(tile[here.thread_id], scratch, here);
  if (here.thread_id == 0) sum[here.block_x] = total;
}

}  // namespace

// ---- launches that start early

namespace {

enum class EarlyMistake { kNone, kReadsResult, kWrites, kNeverWaits, kTakesForConstant };

template <EarlyMistake kMistake>
GPU_KERNEL(32)
multiply_early(GPU_RESULT(0, float, x), GPU_IN(1, float, weight), GPU_IN(2, float, constant_x),
               GPU_IO(3, float, y) GPU_GRID) {
  const Here here = GPU_HERE;
  const float own_weight = weight[here.thread_id];
  float early = 0;
  if (kMistake == EarlyMistake::kReadsResult) early = x[here.thread_id];
  if (kMistake == EarlyMistake::kWrites) y[here.thread_id] = 0;
  if (kMistake != EarlyMistake::kNeverWaits) wait_for_previous();
  if (kMistake == EarlyMistake::kTakesForConstant)
    y[here.thread_id] = own_weight * constant_x[here.thread_id];
  else if (kMistake != EarlyMistake::kNeverWaits)
    y[here.thread_id] = own_weight * x[here.thread_id] + 0 * early;
}

/// x is what a launch before writes, and `has_ended` whether somebody has waited for it since.
template <EarlyMistake kMistake>
std::optional<emulator::Fault> fault_of_early(bool starts_early, bool has_ended) {
  DeviceArray<float> x("x", 32), y("y", 32), weight("weight", counted(32));
  DeviceArray<float> input("input", counted(32));
  launch({{1}, 32}, [&] {
    const Here here;
    x.pointer()[here.thread_id] = input.pointer()[here.thread_id];
  });
  if (has_ended) emulator::end_launches();
  const auto fault = fault_of({{1}, 32, Schedule::kInOrder, 0, emulator::kMaxSharedBytes, starts_early},
                              [&] { multiply_early<kMistake>(x, weight, x, y); });
  if (!fault && kMistake != EarlyMistake::kNeverWaits) CHECK(y.values()[5] == 25.0f);
  return fault;
}

template <EarlyMistake kMistake>
void check_early_fault(bool has_ended) {
  const auto fault = fault_of_early<kMistake>(true, has_ended);
  REQUIRE(fault.has_value());
  CHECK(fault->kind() == FaultKind::kTooEarly);
  CHECK(!fault_of_early<kMistake>(false, has_ended).has_value());
}

}  // namespace

TEST_CASE("emulator: who starts early waits before it reads results or writes") {
  for (const bool has_ended : {false, true}) {
    CHECK(!fault_of_early<EarlyMistake::kNone>(true, has_ended).has_value());
    check_early_fault<EarlyMistake::kWrites>(has_ended);
    check_early_fault<EarlyMistake::kNeverWaits>(has_ended);
  }
  check_early_fault<EarlyMistake::kTakesForConstant>(false);
  CHECK(!fault_of_early<EarlyMistake::kTakesForConstant>(true, true).has_value());
  check_early_fault<EarlyMistake::kReadsResult>(false);
  CHECK(!fault_of_early<EarlyMistake::kReadsResult>(true, true).has_value());
}

TEST_CASE("emulator: blocks, shared memory, barriers and shuffles compute what they mean") {
  constexpr int32_t kThreads = 96, kBlocks = 3;
  for (const Schedule schedule : kSchedules) {
    DeviceArray<float> x("x", counted(kThreads * kBlocks)), reversed("reversed", kThreads * kBlocks),
        sum("sum", kBlocks);
    launch({{kBlocks}, kThreads, schedule, 7}, [&] { reverse_and_sum<kThreads>(x, reversed, sum); });
    for (int block = 0; block < kBlocks; ++block) {
      const int first = block * kThreads;
      CHECK(sum.values()[static_cast<size_t>(block)] ==
            static_cast<float>(kThreads * first + kThreads * (kThreads - 1) / 2));
      for (int i = 0; i < kThreads; ++i)
        CHECK(reversed.values()[static_cast<size_t>(first + i)] == static_cast<float>(first + kThreads - 1 - i));
    }
  }
}

TEST_CASE("emulator: a grid has three dimensions") {
  DeviceArray<int32_t> seen("seen", 2 * 3 * 4);
  launch({{2, 3, 4}, 32}, [&] {
    const Here here = GPU_HERE;
    if (here.lane == 0) seen.pointer()[here.block_x + 2 * (here.block_y + 3 * here.block_z)] = 1;
  });
  for (const int32_t n : seen.values()) CHECK(n == 1);
}

TEST_CASE("emulator: warp operations follow their definitions") {
  DeviceArray<float> shuffled("shuffled", 32), crossed("crossed", 32), sum("sum", 32), most("most", 32);
  DeviceArray<uint32_t> votes("votes", 32);
  launch({{1}, 32, Schedule::kRandom, 3}, [&] {
    const Here here = GPU_HERE;
    const auto value = static_cast<float>(here.lane * here.lane);
    shuffled.pointer()[here.lane] = shuffle(value, 31 - here.lane);
    crossed.pointer()[here.lane] = shuffle_xor(value, 5);
    sum.pointer()[here.lane] = warp_sum(value);
    most.pointer()[here.lane] = warp_max(-value);
    votes.pointer()[here.lane] = ballot(here.lane % 3 == 0);
  });
  for (int lane = 0; lane < 32; ++lane) {
    const auto i = static_cast<size_t>(lane);
    CHECK(shuffled.values()[i] == static_cast<float>((31 - lane) * (31 - lane)));
    CHECK(crossed.values()[i] == static_cast<float>((lane ^ 5) * (lane ^ 5)));
    CHECK(sum.values()[i] == 10416.0f);  // 31 * 32 * 63 / 6
    CHECK(most.values()[i] == 0.0f);
    CHECK(votes.values()[i] == 0x49249249u);
  }
}

TEST_CASE("emulator: byte operations follow their definitions") {
  CHECK(dot4(0x01ff7f80, 0x02030405, 10) == 10 + 1 * 2 + -1 * 3 + 127 * 4 + -128 * 5);
  CHECK(pick_bytes(0x33221100, 0x77665544, 0x0752) == 0x00775522u);
}

// ---- planted mistakes

TEST_CASE("emulator: finds accesses outside an array") {
  DeviceArray<float> x("x", counted(32));
  DeviceArray<float> y("y", 32);
  check_fault(FaultKind::kOutOfBounds, 32,
              [&] { y.pointer()[GPU_HERE.thread_id] = DevicePtr<const float>(x)[GPU_HERE.thread_id + 1]; });
  check_fault(FaultKind::kOutOfBounds, 32, [&] { y.pointer()[GPU_HERE.thread_id - 1] = 0.0f; });
  check_fault(FaultKind::kOutOfBounds, 64, [&] {
    GPU_SHARED(float, tile, 63);
    tile[GPU_HERE.thread_id] = 0.0f;
  });
  // A pointer may go outside as long as nothing is read there.
  check_correct(32, [&] {
    const DevicePtr<float> end = y.pointer() + 100;
    end[GPU_HERE.thread_id - 100] = 0.0f;
  });
  check_fault(FaultKind::kOutOfBounds, 32, [] { DevicePtr<float>()[0] = 1.0f; });
}

TEST_CASE("emulator: finds a wide load that is not aligned or ends outside") {
  DeviceArray<float> x("x", counted(10));
  check_correct(32, [&] { load_float4(x.pointer() + 4); });
  check_fault(FaultKind::kMisaligned, 32, [&] { load_float4(x.pointer() + 2); });
  check_fault(FaultKind::kOutOfBounds, 32, [&] { load_float4(x.pointer() + 8); });
  const DevicePtr<const uint16_t> half_of_one(x.pointer().region(), 2);
  check_fault(FaultKind::kMisaligned, 32, [&] { warp_sum(static_cast<float>(half_of_one[0])); });
}

TEST_CASE("emulator: finds a hint about memory beyond an array, and lets hints about results pass") {
  DeviceArray<float> x("x", counted(32)), y("y", 32);
  const auto ask = [&](int64_t first) {
    return [&x, &y, first] {
      const int32_t thread_id = Here().thread_id;
      prefetch_line(DevicePtr<const float>(x.pointer()) + (first + thread_id));
      prefetch_line(DevicePtr<const float>(y.pointer()) + thread_id);
    };
  };
  check_correct(32, ask(0));
  check_fault(FaultKind::kOutOfBounds, 32, ask(1));
  check_fault(FaultKind::kOutOfBounds, 32, ask(-1));
}

TEST_CASE("emulator: finds a write to an input") {
  DeviceArray<float> x("x", counted(32));
  check_fault(FaultKind::kReadOnly, 32, [&] { x.pointer()[GPU_HERE.thread_id] = 0.0f; });
}

TEST_CASE("emulator: finds values that were never written") {
  DeviceArray<float> y("y", 32);
  check_fault(FaultKind::kUninitializedRead, 32, [&] { warp_sum(DevicePtr<const float>(y)[GPU_HERE.thread_id]); });
  check_fault(FaultKind::kUninitializedRead, 64, [] {
    GPU_SHARED(float, tile, 64);
    if (GPU_HERE.thread_id != 17) tile[GPU_HERE.thread_id] = 1.0f;
    block_barrier();
    warp_sum(tile[63 - GPU_HERE.thread_id]);
  });
}

TEST_CASE("emulator: shared memory does not keep values from one block to the next") {
  const auto use_before_write = [] {
    GPU_SHARED(float, tile, 32);
    if (GPU_HERE.block_x == 0) tile[GPU_HERE.thread_id] = 1.0f;
    warp_sum(tile[GPU_HERE.thread_id]);
  };
  check_correct(32, use_before_write);
  check_fault(FaultKind::kUninitializedRead, 32, use_before_write, /*n_blocks=*/2);
}

TEST_CASE("emulator: finds a missing barrier between a write and a read") {
  check_fault(FaultKind::kRace, 64, [] {
    GPU_SHARED(float, tile, 64);
    tile[GPU_HERE.thread_id] = 1.0f;
    block_barrier();
    tile[GPU_HERE.thread_id] = 2.0f;
    warp_sum(tile[63 - GPU_HERE.thread_id]);
  });
}

TEST_CASE("emulator: finds a missing barrier between a read and the next write") {
  const auto rounds = [](bool has_barrier) {
    GPU_SHARED(float, tile, 64);
    for (int i = 0; i < 3; ++i) {
      tile[GPU_HERE.thread_id] = 1.0f;
      block_barrier();
      warp_sum(tile[63 - GPU_HERE.thread_id]);
      if (has_barrier) block_barrier();
    }
  };
  check_fault(FaultKind::kRace, 64, [&] { rounds(false); });
  check_correct(64, [&] { rounds(true); });
  check_fault(FaultKind::kRace, 32, [] {
    GPU_SHARED(float, tile, 1);
    if (GPU_HERE.lane == 0) tile[0] = 1.0f;
    warp_barrier();
    warp_sum(tile[0]);
    if (GPU_HERE.lane == 0) tile[0] = 2.0f;  // which was the first to read, but not the only one
  });
}

TEST_CASE("emulator: finds two threads that write one element, even the same value") {
  DeviceArray<float> y("y", 1);
  check_fault(FaultKind::kRace, 32, [&] { y.pointer()[0] = 1.0f; });
  check_correct(32, [&] {
    if (GPU_HERE.thread_id == 5) y.pointer()[0] = 1.0f;
  });
}

TEST_CASE("emulator: finds lanes that count on being in step") {
  const auto neighbours = [](bool has_sync) {
    GPU_SHARED(float, tile, 32);
    tile[GPU_HERE.lane] = static_cast<float>(GPU_HERE.lane);
    if (has_sync) warp_barrier();
    const float next = tile[(GPU_HERE.lane + 1) % 32];
    if (has_sync) warp_barrier();
    tile[GPU_HERE.lane] = next;
  };
  check_fault(FaultKind::kRace, 32, [&] {
    GPU_SHARED(float, tile, 32);
    tile[GPU_HERE.lane] = 0.0f;
    warp_sum(1.0f);  // shuffles do not order memory
    warp_sum(tile[31 - GPU_HERE.lane]);
  });
  check_correct(32, [&] { neighbours(true); });
  // Without the first sync an element may be without a value or be raced for, by the schedule: wrong in any case.
  for (const Schedule schedule : kSchedules) CHECK(fault_of({{1}, 32, schedule, 1}, [&] { neighbours(false); }));
}

TEST_CASE("emulator: a warp sync does not order the accesses of two warps") {
  check_fault(FaultKind::kRace, 64, [] {
    GPU_SHARED(float, tile, 64);
    tile[GPU_HERE.thread_id] = 1.0f;
    block_barrier();
    warp_sum(tile[63 - GPU_HERE.thread_id]);  // reads of the other warp
    warp_barrier();
    warp_sum(tile[GPU_HERE.thread_id]);  // and, later, of this one
    warp_barrier();
    tile[GPU_HERE.thread_id] = 2.0f;
  });
}

TEST_CASE("emulator: finds blocks that share an element") {
  DeviceArray<float> total("total", std::vector<float>{0.0f}, RegionKind::kValues);
  check_fault(
      FaultKind::kRace, 32,
      [&] {
        if (GPU_HERE.thread_id == 0) total.pointer()[0] += 1.0f;
      },
      /*n_blocks=*/2);
  DeviceArray<float> y("y", std::vector<float>{0.0f, 0.0f}, RegionKind::kValues);
  check_fault(
      FaultKind::kRace, 32,
      [&] {
        if (GPU_HERE.thread_id == 0) y.pointer()[GPU_HERE.block_x] = y.pointer()[1 - GPU_HERE.block_x];
      },
      /*n_blocks=*/2);
  // The block that writes has read it as well, after the other.
  DeviceArray<float> z("z", std::vector<float>{0.0f}, RegionKind::kValues);
  check_fault(
      FaultKind::kRace, 32,
      [&] {
        if (GPU_HERE.thread_id != 0) return;
        const float found = z.pointer()[0];
        if (GPU_HERE.block_x == 1) z.pointer()[0] = found;
      },
      /*n_blocks=*/2);
}

TEST_CASE("emulator: one launch may use what another wrote, and many blocks may read one element") {
  DeviceArray<float> y("y", 64);
  for (int i = 0; i < 2; ++i) {
    launch({{2}, 32}, [&] { y.pointer()[32 * GPU_HERE.block_x + GPU_HERE.thread_id] = 1.0f; });
    launch({{2}, 32}, [&] { warp_sum(y.pointer()[63 - GPU_HERE.thread_id]); });
  }
}

TEST_CASE("emulator: finds a barrier that some threads do not come to") {
  check_fault(FaultKind::kBarrierDivergence, 64, [] {
    if (GPU_HERE.thread_id < 63) block_barrier();
  });
  check_fault(FaultKind::kBarrierDivergence, 64, [] {
    for (int i = 0; i < (GPU_HERE.warp == 0 ? 2 : 3); ++i) block_barrier();
  });
}

TEST_CASE("emulator: finds threads that meet at two different barriers") {
  check_fault(FaultKind::kBarrierDivergence, 64, [] {
    if (GPU_HERE.thread_id % 2 == 0)
      block_barrier();
    else
      block_barrier();
  });
}

TEST_CASE("emulator: finds a shuffle that some lanes do not come to") {
  check_fault(FaultKind::kWarpDivergence, 64, [] {
    if (GPU_HERE.lane < 16) warp_sum(1.0f);
  });
  check_fault(FaultKind::kWarpDivergence, 32, [] {
    if (GPU_HERE.lane < 16)
      shuffle_xor(1.0f, 1);
    else
      ballot(true);
  });
  // Warps are free to go different ways.
  check_correct(64, [] {
    if (GPU_HERE.warp == 0) warp_sum(1.0f);
  });
}

TEST_CASE("emulator: finds too much shared memory, and arrays that differ between threads") {
  check_fault(FaultKind::kSharedMemory, 32, [] { GPU_SHARED(float, tile, 8193); });
  check_correct(32, [] { GPU_SHARED(float, tile, 8192); });
  check_fault(FaultKind::kSharedMemory, 32, [] {
    const size_t n = GPU_HERE.thread_id == 3 ? 64 : 32;
    GPU_SHARED(float, tile, n);
  });
}

TEST_CASE("emulator: finds a block or grid that no device runs") {
  const auto nothing = [] {};
  CHECK(fault_of({{1}, 48}, nothing)->kind() == FaultKind::kBadLaunch);
  CHECK(fault_of({{1}, 2048}, nothing)->kind() == FaultKind::kBadLaunch);
  CHECK(fault_of({{0}, 32}, nothing)->kind() == FaultKind::kBadLaunch);
  CHECK(fault_of({{1, 70000}, 32}, nothing)->kind() == FaultKind::kBadLaunch);
  constexpr size_t kMost = emulator::kMostSharedBytes;
  CHECK(!fault_of({{1}, 32, Schedule::kInOrder, 0, kMost}, [] { GPU_SHARED(uint8_t, all, kMost); }));
  CHECK(fault_of({{1}, 32, Schedule::kInOrder, 0, kMost + 1}, nothing)->kind() == FaultKind::kBadLaunch);
}

TEST_CASE("emulator: an exception of the kernel that is no fault comes out as it is") {
  CHECK_THROWS_AS(launch({{1}, 32}, [] { throw std::logic_error("planted"); }), std::logic_error);
}

TEST_CASE("emulator: the text of a fault names thread, array and place") {
  DeviceArray<float> y("scores", 4);
  const auto fault = fault_of({{1, 2}, 32}, [&] {
    if (GPU_HERE.block_y == 1 && GPU_HERE.thread_id == 6) y.pointer()[6] = 1.0f;
  });
  REQUIRE(fault.has_value());
  CHECK(std::string(fault->what()) == "thread 6 of block (0, 1, 0) writes 4 bytes at byte 24 of `scores` (16 bytes)");
}
