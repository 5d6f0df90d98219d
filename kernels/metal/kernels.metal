// Entry points for the portable kernels: an instance of each template under the name by which the host finds it. The
// kernels that are no templates are entry points already.
#include "kernels/metal/instances.h"
#include "kernels/metal/param_layouts.h"

namespace outpost {
namespace gpu {

#ifndef OUTPOST_INSTANCE  // kernels/metal/check has its own: C++ allows no attribute here
#define OUTPOST_INSTANCE(name, ...) template [[host_name(name)]] kernel decltype(__VA_ARGS__) __VA_ARGS__;
#endif
#define OUTPOST_KERNEL(name)

OUTPOST_BLOCKS(OUTPOST_BLOCK_KERNELS)
OUTPOST_OTHER_KERNELS

}  // namespace gpu
}  // namespace outpost
