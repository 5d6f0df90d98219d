#include "tests/support/matrix_unit_kernels.h"

#include "backend/cpu/matrix_unit_scalar.h"
// The unit above comes first: the kernels are written over it.
#include "backend/cpu/matmul_matrix_unit.h"

namespace outpost::test {

const CpuKernelTable& scalar_matrix_unit_kernels() {
  static const CpuKernelTable kTable = with_matrix_unit<cpu_kernels_scalar>("scalar with a matrix unit");
  return kTable;
}

}  // namespace outpost::test
