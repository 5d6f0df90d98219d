// Kernels on a matrix unit that every machine has: one in plain C++.
#pragma once

#include "backend/cpu/cpu_kernels.h"

namespace outpost::test {

const CpuKernelTable& scalar_matrix_unit_kernels();

}  // namespace outpost::test
