// Which kernels a processor runs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "tests/support/cpu_backends.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

TEST_CASE("kernels have the name that chooses them") {
  for (const CpuKernels kernels : runnable_kernels())
    CHECK(select_cpu_kernels(kernels).name == std::string(kCpuKernelNames[static_cast<size_t>(kernels)]));
}

TEST_CASE("auto takes kernels that the processor can run, and scalar ones only where there are no others") {
  const auto tables = all_kernel_tables();
  const CpuKernelTable* chosen = &select_cpu_kernels(CpuKernels::kAuto);
  CHECK(std::find(tables.begin(), tables.end(), chosen) != tables.end());
  CHECK((chosen == tables[0]) == (tables.size() == 1));
}

TEST_CASE("kernels of another architecture are refused") {
#ifdef __aarch64__
  const CpuKernels other = CpuKernels::kAvx2;
#else
  const CpuKernels other = CpuKernels::kNeon;
#endif
  CHECK(error_of([&] { select_cpu_kernels(other); }) == ErrorCode::kInvalidArgument);
}

// An emulator is told which processor to be; without this, tests would pass by skipping what it was chosen for.
TEST_CASE("an emulated processor runs the kernels that it has the instructions for") {
  const char* expected = std::getenv("OUTPOST_EXPECTED_KERNELS");
  if (expected == nullptr) return;
  std::string names;
  for (const CpuKernelTable* table : all_kernel_tables())
    names += (names.empty() ? "" : " ") + std::string(table->name);
  CHECK(names == expected);
}
