// As kernels_avx2_vnni.cpp, in the encoding of processors that have the instruction from AVX-512 but lack what
// kernels_avx512.cpp needs beside it.
#include "backend/cpu/simd_avx2.h"
// The lanes above come first: the kernels are written over them.
#include "backend/cpu/kernel_table.h"

namespace outpost {

const CpuKernelTable& cpu_kernels_avx2_vnni_evex() {
  static constexpr CpuKernelTable kTable = kernel_table("avx2-vnni");
  return kTable;
}

}  // namespace outpost
