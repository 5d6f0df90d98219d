// Runs a kernel as a GPU would: blocks of threads, in which barriers, shuffles and matrix products are points where
// the threads of a block or of a warp meet. One fiber per thread; a thread runs until it has to wait, so a kernel
// that relies on lanes being in step, or on an order of warps or blocks, fails here.
// All of it, and all launches, belong to one host thread.
//
//   launch({.n_blocks = {4}, .n_threads = 128}, [&] { row_sum(y, x, params); });
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#include "kernels/emulator/memory.h"

namespace outpost::emulator {

inline constexpr int kMaxThreads = 1024;
/// What a block may declare: the least that a supported device has (Apple GPUs). A launch of a kernel for CUDA alone
/// may say more.
inline constexpr size_t kMaxSharedBytes = 32 * 1024;
/// The most that such a launch may say (compute capability 9.0).
inline constexpr size_t kMostSharedBytes = 227 * 1024;

struct Dim3 {
  int32_t x = 1, y = 1, z = 1;
};

/// kInOrder: blocks and threads in the order of their numbers; kReverse; kRandom: any order, from the seed.
enum class Schedule { kInOrder, kReverse, kRandom };

struct LaunchConfig {
  Dim3 n_blocks;
  int32_t n_threads = kWarpSize;  ///< of a block, a multiple of the warp size
  Schedule schedule = Schedule::kInOrder;
  uint64_t seed = 0;
  size_t max_shared_bytes = kMaxSharedBytes;
  /// It may start while launches before it still run, those since the last that does not. At least one of its threads
  /// has to wait for them: who waits for this launch takes it that they have ended too.
  bool starts_early = false;
};

/// Runs `kernel` once per thread. Throws the first Fault; memory is then as the kernel left it.
void launch(const LaunchConfig& config, const std::function<void()>& kernel);
/// Somebody has waited for all launches so far.
void end_launches();

// ---- what a kernel calls; only inside `launch`

inline constexpr int kWarpgroupSize = 4 * kWarpSize;

inline bool is_same_text(const char* a, const char* b) { return a == b || std::strcmp(a, b) == 0; }

/// A place in the source: threads must meet at the same one.
struct Site {
  const char* file;
  int line;

  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
  bool operator==(const Site& other) const { return line == other.line && is_same_text(file, other.file); }
};

Dim3 block_index();
Dim3 grid_size();
int32_t thread_index();
int32_t block_size();
AccessClock access_clock();
/// "thread 3 of block (0, 1, 0)", or "the host" outside a launch.
std::string describe_thread();
/// Of the running block: see BlockOrder.
std::string describe_agent(size_t agent);

/// The launches before this one have ended when it returns.
void wait_for_launches();
/// What those have written may be read by copies that this thread starts from now on, which have a way to memory of
/// their own: the end of a launch sees to that for launches that begin after it.
void show_results();
bool are_results_shown();
/// All threads of the block; orders their accesses to memory.
void barrier(Site site = Site::here());
/// All lanes of the warp; orders their accesses to memory.
void warp_sync(Site site = Site::here());

/// The most that a lane gives to the others at once: a fragment of a matrix product.
inline constexpr size_t kMaxExchangeBytes = 64;

/// Every lane gives `n_bytes`; all see what all gave, kMaxExchangeBytes apart. Valid until the next exchange.
const std::byte* exchange(const void* value, size_t n_bytes, Site site);

/// What `lane` of this warp gave.
template <typename T>
T exchanged(const std::byte* values, int lane) {
  T value;
  std::memcpy(&value, values + static_cast<size_t>(lane) * kMaxExchangeBytes, sizeof(T));
  return value;
}

/// The n-th array that a thread of this block declares is the same memory for all of them.
Region* declare_shared(const char* name, size_t size_bytes, size_t element_bytes);
/// The shared array that has this address; null if none.
Region* shared_at(uint32_t address);

template <typename T>
Pointer<T> shared_array(const char* name, size_t n) {
  return {declare_shared(name, n * sizeof(T), sizeof(T)), 0};
}

// ---- for the other parts of the emulator

/// Until another thread of the block wakes this one.
void sleep_until_woken();
void wake(int32_t thread);
/// All lanes of the warp, or all four warps of the warpgroup, which orders nothing.
/// @return whether this thread was the last; it goes on before the others
bool meet_in_warp(const char* what, Site site);
bool meet_in_warpgroup(const char* what, Site site);

}  // namespace outpost::emulator
