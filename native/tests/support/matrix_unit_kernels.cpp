#include "tests/support/matrix_unit_kernels.h"

#include "backend/cpu/matrix_unit_scalar.h"
// The lanes and the unit above come first: the kernels are written over them.
#include "backend/cpu/kernel_table.h"
#include "backend/cpu/matmul_matrix_unit.h"

namespace outpost::test {

const CpuKernelTable& scalar_matrix_unit_kernels() {
  static constexpr CpuKernelTable kTable = with_matrix_unit(kernel_table("scalar with a matrix unit"));
  return kTable;
}

}  // namespace outpost::test
