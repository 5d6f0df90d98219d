// launch.h for the emulated device. A launch is put into its stream, and runs when the stream is
// waited for; what its pointers point to is looked up then.
#pragma once

#include <algorithm>
#include <functional>
#include <tuple>
#include <type_traits>

#include "kernels/emulator/simt.h"
#include "kernels/launchers/launch_types.h"
#include "kernels/runtime/runtime.h"

namespace outpost::emulator {

/// Another one with every call, and the same ones in every run.
uint64_t next_seed();
void count_launch();
/// Puts work into a stream, or into the graph that is being recorded from it.
gpu::Error enqueue(gpu::Stream stream, std::function<void()> work);
/// The same for a kernel, which a stream takes from threads that have chosen its device alone.
gpu::Error enqueue_kernel(gpu::Stream stream, std::function<void()> kernel);

/// The allocation of the emulated device that holds an address. @throws Fault if there is none (any more), or if it is
/// another device's than the one that a kernel runs on
Region* region_at(const void* address, int64_t& offset);

/// What a kernel gets for an argument of a launch.
template <typename Param>
struct DeviceArgument {
  using Stored = Param;
  static const Param& of(const Param& value) { return value; }
};
template <typename T>
struct DeviceArgument<Pointer<T>> {
  using Stored = T*;
  static Pointer<T> of(T* address) {
    if (address == nullptr) return {};
    int64_t offset = 0;
    Region* region = region_at(address, offset);
    return {region, offset};
  }
};
template <typename T>
struct DeviceArgument<ConstantPointer<T>> {
  using Stored = const T*;
  static ConstantPointer<T> of(const T* address) { return DeviceArgument<Pointer<const T>>::of(address); }
};

}  // namespace outpost::emulator

namespace outpost::gpu {

class Launch {
 public:
  Launch(Stream stream, Grid grid, int32_t n_threads, size_t n_shared_bytes = 0) : stream_(stream) {
    config_.n_blocks = {static_cast<int32_t>(grid.x), static_cast<int32_t>(grid.y), static_cast<int32_t>(grid.z)};
    config_.n_threads = n_threads;
    // Any order of blocks and threads, another one for each launch.
    config_.schedule = emulator::Schedule::kRandom;
    config_.seed = emulator::next_seed();
    config_.max_shared_bytes = std::min(48 * 1024 + n_shared_bytes, emulator::kMostSharedBytes);
  }

  template <typename... Params, typename... Args>
  Error operator()(void (*kernel)(Params...), Args... args) const {
    static_assert(sizeof...(Params) == sizeof...(Args));
    emulator::count_launch();
    using Stored = std::tuple<typename emulator::DeviceArgument<std::decay_t<Params>>::Stored...>;
    return emulator::enqueue_kernel(stream_, [config = config_, kernel, stored = Stored(args...)] {
      const auto arguments = std::apply(
          [](const auto&... values) {
            return std::tuple<std::decay_t<Params>...>(emulator::DeviceArgument<std::decay_t<Params>>::of(values)...);
          },
          stored);
      emulator::launch(config, [&] { std::apply(kernel, arguments); });
    });
  }

 protected:
  Stream stream_;
  emulator::LaunchConfig config_;
};

class OverlappedLaunch : public Launch {
 public:
  OverlappedLaunch(Stream stream, Grid grid, int32_t n_threads, size_t n_shared_bytes = 0)
      : Launch(stream, grid, n_threads, n_shared_bytes) {
    config_.starts_early = true;
  }
};

}  // namespace outpost::gpu
