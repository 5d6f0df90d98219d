// The CPU backend in each variant that this machine can run.
#pragma once

#include <cstdio>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_features.h"
#include "tests/support/matrix_unit_kernels.h"

namespace outpost::test {

struct NamedBackend {
  std::string name;
  std::unique_ptr<Backend> backend;
};

/// The variants that this machine can run, scalar ones first: the reference. The others are named once.
inline const std::vector<CpuKernels>& runnable_kernels() {
  static const std::vector<CpuKernels> runnable = [] {
    std::vector<CpuKernels> kernels;
    for (size_t i = 1; i < std::size(kCpuKernelNames); ++i) {  // 0 is kAuto
      try {
        select_cpu_kernels(static_cast<CpuKernels>(i));
        kernels.push_back(static_cast<CpuKernels>(i));
      } catch (const EngineError& error) {
        std::fprintf(stderr, "SKIPPED CPU kernels: %s\n", error.what());
      }
    }
    return kernels;
  }();
  return runnable;
}

/// Scalar first, with one thread, and a matrix unit whether this machine has one or not. Where time is short, for
/// another processor and under ThreadSanitizer, each with several threads alone.
inline std::vector<NamedBackend> all_cpu_backends() {
  std::vector<NamedBackend> backends;
  const auto add = [&](const CpuKernelTable& kernels, int32_t n_threads) {
    auto backend = create_cpu_backend(kernels, n_threads);
    std::string name = backend->name();
    backends.push_back({std::move(name), std::move(backend)});
  };
  for (const CpuKernels kernels : runnable_kernels()) {
#ifndef OUTPOST_FEW_BACKENDS
    add(select_cpu_kernels(kernels), 1);
#endif
    add(select_cpu_kernels(kernels), 3);
  }
#ifndef OUTPOST_FEW_BACKENDS
  add(scalar_matrix_unit_kernels(), 1);
#endif
  return backends;
}

/// The kernels themselves, scalar ones first.
inline std::vector<const CpuKernelTable*> all_kernel_tables() {
  std::vector<const CpuKernelTable*> tables;
  for (const CpuKernels kernels : runnable_kernels()) tables.push_back(&select_cpu_kernels(kernels));
  return tables;
}

/// A vector of the test as backend memory; the CPU backend computes in main memory.
inline DeviceSpan<float> span_of(std::vector<float>& v) { return {v.data(), v.size()}; }
inline DeviceSpan<const float> span_of(const std::vector<float>& v) { return {v.data(), v.size()}; }

}  // namespace outpost::test
