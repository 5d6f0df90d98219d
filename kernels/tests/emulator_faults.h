// What the emulator says about a kernel, under every schedule.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <string>

#include "kernels/emulator/simt.h"

namespace outpost::test {

inline constexpr emulator::Schedule kSchedules[] = {emulator::Schedule::kInOrder, emulator::Schedule::kReverse,
                                                    emulator::Schedule::kRandom};

/// What the emulator says about a kernel, if anything.
inline std::optional<emulator::Fault> fault_of(const emulator::LaunchConfig& config,
                                               const std::function<void()>& kernel) {
  try {
    emulator::launch(config, kernel);
  } catch (const emulator::Fault& fault) {
    return fault;
  }
  return std::nullopt;
}

/// The planted mistake must be found whatever the order of threads, and more than once: a fault leaves nothing behind.
inline void check_fault(emulator::FaultKind kind, int32_t n_threads, const std::function<void()>& kernel,
                        int32_t n_blocks = 1, size_t max_shared_bytes = emulator::kMaxSharedBytes) {
  for (const emulator::Schedule schedule : kSchedules) {
    for (const uint64_t seed : {1u, 2u, 3u}) {
      const auto fault = fault_of({{n_blocks}, n_threads, schedule, seed, max_shared_bytes}, kernel);
      REQUIRE(fault.has_value());
      INFO(std::string(fault->what()));
      CHECK(fault->kind() == kind);
    }
  }
}

inline void check_correct(int32_t n_threads, const std::function<void()>& kernel, int32_t n_blocks = 1,
                          size_t max_shared_bytes = emulator::kMaxSharedBytes) {
  for (const emulator::Schedule schedule : kSchedules) {
    for (const uint64_t seed : {1u, 2u, 3u}) {
      const auto fault = fault_of({{n_blocks}, n_threads, schedule, seed, max_shared_bytes}, kernel);
      if (fault) FAIL_CHECK(fault->what());
    }
  }
}

}  // namespace outpost::test
