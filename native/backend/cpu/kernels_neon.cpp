#include "backend/cpu/simd_neon.h"
// The lanes above come first: the kernels are written over them.
#include "backend/cpu/kernel_table.h"

namespace outpost {

const CpuKernelTable& cpu_kernels_neon() {
  static constexpr CpuKernelTable kTable = kernel_table("neon");
  return kTable;
}

}  // namespace outpost
