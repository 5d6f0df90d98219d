// How fast products run per weight type and number of tokens, beside the memory bandwidth of the same moment.
//
//   cmake --build build/native/release --target outpost-kernels-bench
//   build/native/release/outpost-kernels-bench [auto|scalar|avx2|...] [threads, 0 = cores] [types, or all] [rows]
//   [tokens]
//
// Each figure is the best of several runs: other load on the machine only ever slows a run down. On a busy machine take
// one thread and few rows: runs are then short enough to fall between what else it does, and weights stay in the cache.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_features.h"
#include "core/aligned_buffer.h"
#include "core/thread_pool.h"

namespace outpost {
namespace {

// 201 M weights, 55 MB at 2.2 bits each: more than the caches of anything but large servers hold.
constexpr int64_t kRows = 49152, kCols = 4096;
constexpr int kRepetitions = 7;

/// The best of so many runs that all sizes take about as long.
template <typename Run>
double best_seconds(int64_t n_rows, const Run& run) {
  double best = 1e300;
  for (int64_t i = 0; i < kRepetitions * kRows / n_rows; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

/// Bytes per second read by all threads together, each from its own part.
double read_bandwidth(int32_t n_threads) {
  constexpr size_t kWords = size_t{16} << 20;
  const AlignedBuffer memory(kWords * 8 * static_cast<size_t>(n_threads), "the bandwidth measurement");
  std::memset(memory.data(), 1, memory.size());
  ThreadPool pool(n_threads);
  std::vector<uint64_t> sums(static_cast<size_t>(n_threads) * 8);
  const double seconds = best_seconds(kRows, [&] {
    pool.run(n_threads, [&](int64_t thread) {
      const auto* words = reinterpret_cast<const uint64_t*>(memory.data()) + static_cast<size_t>(thread) * kWords;
      uint64_t sum = 0;
      for (size_t i = 0; i < kWords; ++i) sum += words[i];
      sums[static_cast<size_t>(thread) * 8] += sum;
    });
  });
  return static_cast<double>(memory.size()) / seconds;
}

/// Blocks of arbitrary codes; what they mean does not change the time. No byte is large enough to make an f16 or
/// f32 element infinite, and few are subnormal.
std::vector<std::byte> arbitrary_matrix(TensorType type, int64_t n_rows) {
  const TensorTypeTraits& traits = tensor_type_traits(type);
  std::vector<std::byte> bytes(static_cast<size_t>(n_rows * kCols) / traits.block_elements * traits.block_bytes);
  uint32_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>((state >> 24) & 0x3f);
  }
  return bytes;
}

void measure(Backend& backend, TensorType type, int64_t n_rows, double bandwidth, int32_t only_tokens) {
  const std::vector<std::byte> bytes = arbitrary_matrix(type, n_rows);
  const auto weight = backend.load_weight({"bench", type, n_rows, kCols, bytes});
  const double n_bytes = static_cast<double>(weight->size_bytes());
  std::printf("%-8s %6.3f bits/weight", tensor_type_traits(type).name, n_bytes * 8 / (n_rows * kCols));
  for (const int32_t n_tokens : {1, 2, 4, 8, 16, 64}) {
    if (only_tokens != 0 && n_tokens != only_tokens) continue;
    std::vector<float> x(static_cast<size_t>(n_tokens * kCols)), y(static_cast<size_t>(n_tokens * n_rows));
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) - 8.0f;
    const MatmulTask task{weight.get(), {y.data(), y.size()}};
    const double seconds = best_seconds(n_rows, [&] { backend.matmul({&task, 1}, {x.data(), x.size()}, n_tokens); });
    if (n_tokens == 1)
      std::printf(" | M=1 %6.1f GB/s = %3.0f %% of memory", n_bytes / seconds * 1e-9,
                  n_bytes / seconds / bandwidth * 100);
    std::printf(" | M=%d %6.1f GMAC/s", n_tokens, static_cast<double>(n_tokens) * n_rows * kCols / seconds * 1e-9);
    std::fflush(stdout);
  }
  std::printf("\n");
}

CpuKernels kernels_named(const char* name) {
  for (size_t i = 0; i < std::size(kCpuKernelNames); ++i) {
    if (std::strcmp(name, kCpuKernelNames[i]) == 0) return static_cast<CpuKernels>(i);
  }
  return CpuKernels::kAuto;
}

}  // namespace
}  // namespace outpost

int main(int argc, char** argv) {
  using namespace outpost;
  try {
    const int32_t n_threads = argc > 2 ? std::atoi(argv[2]) : 0;
    const auto backend = create_cpu_backend(kernels_named(argc > 1 ? argv[1] : "auto"), n_threads);
    const double bandwidth = read_bandwidth(n_threads > 0 ? n_threads : count_physical_cores());
    std::printf("%s, memory reads %.1f GB/s\n", backend->name(), bandwidth * 1e-9);
    const std::string types = argc > 3 ? argv[3] : "all";
    const int64_t n_rows = std::clamp<int64_t>(argc > 4 ? std::atoi(argv[4]) : kRows, 1, kRows);
    for (const TensorType type :
         {TensorType::kIQ2_XXS, TensorType::kIQ2_XS, TensorType::kIQ2_S, TensorType::kIQ3_XXS, TensorType::kIQ3_S,
          TensorType::kQ2_K,    TensorType::kQ3_K,   TensorType::kQ4_K,  TensorType::kQ5_K,    TensorType::kQ6_K,
          TensorType::kIQ4_XS,  TensorType::kQ4_0,   TensorType::kQ4_1,  TensorType::kQ5_0,    TensorType::kQ5_1,
          TensorType::kQ8_0,    TensorType::kIQ4_NL, TensorType::kMXFP4, TensorType::kF16,     TensorType::kBF16}) {
      if (types != "all" &&
          ("," + types + ",").find("," + std::string(tensor_type_traits(type).name) + ",") == std::string::npos)
        continue;
      measure(*backend, type, n_rows, bandwidth, argc > 5 ? std::atoi(argv[5]) : 0);
    }
  } catch (const EngineError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
