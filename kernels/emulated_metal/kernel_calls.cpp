#include "kernels/emulated_metal/kernel_calls.h"

#include <cstring>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "kernels/common/wide_blocks.h"
#include "kernels/metal/instances.h"
#include "kernels/metal/kernel_table.h"
#include "kernels/metal/param_layouts.h"

namespace outpost::emulator {
namespace {

using metal::KernelFunction;

template <typename Param>
struct Bound {
  static Param of(const BoundArgument& argument) {
    if (argument.n_bytes != sizeof(Param)) throw Fault(FaultKind::kBadLaunch, "a kernel is given another structure");
    Param value;
    std::memcpy(&value, argument.bytes, sizeof(Param));
    return value;
  }
};
template <typename T>
struct Bound<Pointer<T>> {
  static Pointer<T> of(const BoundArgument& argument) {
    if (argument.n_bytes != 0) throw Fault(FaultKind::kBadLaunch, "a kernel is given a value for an array");
    return {argument.region, argument.offset};
  }
};
template <typename T>
struct Bound<ConstantPointer<T>> {
  static ConstantPointer<T> of(const BoundArgument& argument) { return Bound<Pointer<const T>>::of(argument); }
};

template <typename Param>
constexpr bool kIsWritten = false;
template <typename T>
constexpr bool kIsWritten<Pointer<T>> = !std::is_const_v<T>;

/// What one argument writes must not be another argument, too (Metal Shading Language Specification, 5.2).
void check_places(std::span<const BoundArgument> arguments, const bool* are_written) {
  for (size_t i = 0; i < arguments.size(); ++i)
    for (size_t j = 0; j < arguments.size(); ++j)
      if (i != j && are_written[i] && arguments[i].region != nullptr && arguments[i].region == arguments[j].region &&
          arguments[i].offset == arguments[j].offset)
        throw Fault(FaultKind::kBadLaunch, "a kernel is given one place for two arguments, and writes there");
}

using Call = std::function<void()> (*)(KernelFunction, std::span<const BoundArgument>);

template <typename Kernel>
struct Caller;
template <typename... Params>
struct Caller<void (*)(Params...)> {
  static std::function<void()> call(KernelFunction function, std::span<const BoundArgument> arguments) {
    if (arguments.size() != sizeof...(Params))
      throw Fault(FaultKind::kBadLaunch, "a kernel is given another number of arguments");
    return bind(reinterpret_cast<void (*)(Params...)>(function), arguments, std::index_sequence_for<Params...>());
  }

 private:
  template <size_t... kIndices>
  static std::function<void()> bind(void (*kernel)(Params...), std::span<const BoundArgument> arguments,
                                    std::index_sequence<kIndices...>) {
    constexpr bool kAreWritten[] = {kIsWritten<std::decay_t<Params>>...};
    check_places(arguments, kAreWritten);
    const auto values = std::tuple<std::decay_t<Params>...>(Bound<std::decay_t<Params>>::of(arguments[kIndices])...);
    return [kernel, values] { std::apply(kernel, values); };
  }
};

using namespace gpu;

/// The types of the kernels, with which the table of names does without.
std::unordered_map<std::string, Call> typed_calls() {
  std::unordered_map<std::string, Call> calls;
#define OUTPOST_INSTANCE(name, ...) calls[name] = Caller<decltype(&__VA_ARGS__)>::call;
#define OUTPOST_KERNEL(kernel) OUTPOST_INSTANCE(#kernel, kernel)
  OUTPOST_BLOCKS(OUTPOST_BLOCK_KERNELS)
  OUTPOST_OTHER_KERNELS
#undef OUTPOST_KERNEL
#undef OUTPOST_INSTANCE
  return calls;
}

struct Kernel {
  KernelFunction function;
  Call call;
};

const std::unordered_map<std::string, Kernel>& kernels() {
  static const std::unordered_map<std::string, Kernel> known = [] {
    const auto calls = typed_calls();
    std::unordered_map<std::string, Kernel> all;
    for (const metal::KernelName& kernel : metal::kernel_names())
      all[kernel.name] = {kernel.function, calls.at(kernel.name)};
    return all;
  }();
  return known;
}

}  // namespace

bool is_kernel(const std::string& name) { return kernels().contains(name); }

std::function<void()> kernel_call(const std::string& name, std::span<const BoundArgument> arguments) {
  const Kernel& kernel = kernels().at(name);
  return kernel.call(kernel.function, arguments);
}

}  // namespace outpost::emulator
