#include "backend/cpu/simd_scalar.h"
// The lanes above come first: the kernels are written over them.
#include "backend/cpu/kernel_table.h"

namespace outpost {

const CpuKernelTable& cpu_kernels_scalar() {
  static constexpr CpuKernelTable kTable = kernel_table("scalar");
  return kTable;
}

}  // namespace outpost
