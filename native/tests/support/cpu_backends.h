// The CPU backend in each variant that this machine can run.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_features.h"

namespace outpost::test {

struct NamedBackend {
  std::string name;
  std::unique_ptr<Backend> backend;
};

/// Scalar with one thread first: the reference. A variant that the processor lacks is skipped aloud.
inline std::vector<NamedBackend> all_cpu_backends() {
  std::vector<NamedBackend> backends;
  for (const CpuKernels kernels : {CpuKernels::kScalar, CpuKernels::kAvx2, CpuKernels::kAvx512}) {
    for (const int32_t n_threads : {1, 3}) {
      try {
        auto backend = create_cpu_backend(kernels, n_threads);
        std::string name = backend->name();
        backends.push_back({std::move(name), std::move(backend)});
      } catch (const EngineError& error) {
        std::fprintf(stderr, "SKIPPED CPU kernels: %s\n", error.what());
      }
    }
  }
  return backends;
}

/// The kernels themselves, scalar ones first. A variant that the processor lacks is skipped aloud.
inline std::vector<const CpuKernelTable*> all_kernel_tables() {
  std::vector<const CpuKernelTable*> tables;
  for (const CpuKernels kernels : {CpuKernels::kScalar, CpuKernels::kAvx2, CpuKernels::kAvx512}) {
    try {
      tables.push_back(&select_cpu_kernels(kernels));
    } catch (const EngineError& error) {
      std::fprintf(stderr, "SKIPPED CPU kernels: %s\n", error.what());
    }
  }
  return tables;
}

/// A vector of the test as backend memory; the CPU backend computes in main memory.
inline DeviceSpan<float> span_of(std::vector<float>& v) { return {v.data(), v.size()}; }
inline DeviceSpan<const float> span_of(const std::vector<float>& v) { return {v.data(), v.size()}; }

}  // namespace outpost::test
