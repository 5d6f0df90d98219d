#include "backend/cpu/simd_avx512.h"
// The lanes above come first: the kernels are written over them.
#include "backend/cpu/kernel_table.h"

namespace outpost {

const CpuKernelTable& cpu_kernels_avx512() {
  static constexpr CpuKernelTable kTable = kernel_table("avx512");
  return kTable;
}

}  // namespace outpost
