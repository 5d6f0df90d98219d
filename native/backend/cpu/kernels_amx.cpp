// Products of few tokens, and everything that is not a product, are those of kernels_avx512.cpp.
#include "backend/cpu/matrix_unit_amx.h"
// The unit above comes first: the kernels are written over it.
#include "backend/cpu/matmul_matrix_unit.h"

namespace outpost {

const CpuKernelTable& cpu_kernels_amx() {
  static const CpuKernelTable kTable = with_matrix_unit<cpu_kernels_avx512>("amx");
  return kTable;
}

}  // namespace outpost
