#include "kernels/metal/kernel_table.h"

#include <unordered_map>

#include "kernels/common/wide_blocks.h"
#include "kernels/metal/block_kernels.h"
#include "kernels/metal/instances.h"
#include "kernels/metal/param_layouts.h"

namespace outpost::metal {
namespace {

using namespace gpu;

void append_others(std::vector<KernelName>& names) {
#define OUTPOST_INSTANCE(name, ...) names.push_back({name, reinterpret_cast<KernelFunction>(&__VA_ARGS__)});
#define OUTPOST_KERNEL(kernel) OUTPOST_INSTANCE(#kernel, kernel)
  OUTPOST_OTHER_KERNELS
#undef OUTPOST_KERNEL
#undef OUTPOST_INSTANCE
}

}  // namespace

const std::vector<KernelName>& kernel_names() {
  static const std::vector<KernelName> names = [] {
    std::vector<KernelName> all;
    append_others(all);
#define OUTPOST_APPEND(Block) append_block_kernels<Block>(all);
    OUTPOST_BLOCKS(OUTPOST_APPEND)
#undef OUTPOST_APPEND
    return all;
  }();
  return names;
}

const char* name_of(KernelFunction function) {
  static const std::unordered_map<KernelFunction, const char*> known = [] {
    std::unordered_map<KernelFunction, const char*> map;
    for (const KernelName& kernel : kernel_names()) map.emplace(kernel.function, kernel.name);
    return map;
  }();
  const auto found = known.find(function);
  return found == known.end() ? nullptr : found->second;
}

}  // namespace outpost::metal
