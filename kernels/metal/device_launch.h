// launch.h for Metal. A kernel is named by its C++ function (kernel_table.h), and gets what its parameters say: arrays
// as a buffer and an offset, structures as their bytes.
#pragma once

#include <array>
#include <span>
#include <type_traits>

#include "kernels/emulator/memory.h"
#include "kernels/launchers/launch_types.h"
#include "kernels/metal/kernel_table.h"
#include "kernels/metal/param_layouts.h"
#include "kernels/runtime/runtime.h"

namespace outpost::metal {

/// One of a launch: an address, or a value.
struct LaunchArgument {
  const void* data;
  size_t n_bytes;  ///< 0: an address
};

/// The argument that a parameter of a kernel takes.
template <typename Param>
struct Parameter {
  static_assert(std::is_trivially_copyable_v<Param>);
  using Value = Param;
  static LaunchArgument of(const Param& value) { return {&value, sizeof(value)}; }
};
template <typename T>
struct Parameter<emulator::Pointer<T>> {
  using Value = T*;
  static LaunchArgument of(T* const& address) { return {address, 0}; }
};
template <typename T>
struct Parameter<emulator::ConstantPointer<T>> : Parameter<emulator::Pointer<const T>> {};

/// Puts a kernel into a stream, or into what is being recorded from it.
gpu::Error launch(gpu::Stream stream, KernelFunction kernel, gpu::Grid grid, int32_t n_threads,
                  std::span<const LaunchArgument> arguments);

}  // namespace outpost::metal

namespace outpost::gpu {

class Launch {
 public:
  /// No kernel here has dynamic threadgroup memory.
  Launch(Stream stream, Grid grid, int32_t n_threads) : stream_(stream), grid_(grid), n_threads_(n_threads) {}

  template <typename... Params, typename... Args>
  Error operator()(void (*kernel)(Params...), Args... args) const {
    static_assert(sizeof...(Params) == sizeof...(Args));
    return launch<std::decay_t<Params>...>(reinterpret_cast<metal::KernelFunction>(kernel), args...);
  }

 private:
  template <typename... Params>
  Error launch(metal::KernelFunction kernel, typename metal::Parameter<Params>::Value... values) const {
    const std::array<metal::LaunchArgument, sizeof...(Params)> arguments = {metal::Parameter<Params>::of(values)...};
    return metal::launch(stream_, kernel, grid_, n_threads_, arguments);
  }

  Stream stream_;
  Grid grid_;
  int32_t n_threads_;
};

/// Metal starts a kernel of a list when the one before has ended.
using OverlappedLaunch = Launch;

}  // namespace outpost::gpu
