#include "backend/cpu/simd_avx2.h"
// The lanes above come first: the kernels are written over them.
#include "backend/cpu/matmul_kernels.h"
#include "backend/cpu/vector_kernels.h"

namespace outpost {

const CpuKernelTable& cpu_kernels_avx2() {
  static constexpr CpuKernelTable kTable = kernel_table("avx2");
  return kTable;
}

}  // namespace outpost
