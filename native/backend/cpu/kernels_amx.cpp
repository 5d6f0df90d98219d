// Products of few tokens, and everything that is not a product, are those of kernels_avx512.cpp.
#include "backend/cpu/matrix_unit_amx.h"
// The lanes and the unit above come first: the kernels are written over them.
#include "backend/cpu/kernel_table.h"
#include "backend/cpu/matmul_matrix_unit.h"

namespace outpost {

const CpuKernelTable& cpu_kernels_amx() {
  static constexpr CpuKernelTable kTable = with_matrix_unit(kernel_table("amx"));
  return kTable;
}

}  // namespace outpost
