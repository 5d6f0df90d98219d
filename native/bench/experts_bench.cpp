// How fast a mixture of experts decodes while all experts are in memory, beside a dense product of the same weights and
// the memory bandwidth of the same moment; and what prefill and a small expert cache cost.
//
//   cmake --build build/native/release --target outpost-experts-bench
//   build/native/release/outpost-experts-bench [auto|scalar|avx2|...] [threads, 0 = cores]
//
// 8 layers of 64 experts, 8 used per token, n_embd 1024, n_ff 512, q4_K: 7.3 MB of weights per layer and token. Routes
// are random, so a token's experts are mostly not those of the token before.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_features.h"
#include "core/aligned_buffer.h"
#include "core/thread_pool.h"

namespace outpost {
namespace {

constexpr int32_t kLayers = 8, kExperts = 64, kUsed = 8;
constexpr int64_t kEmbd = 1024, kFf = 512;
constexpr TensorType kType = TensorType::kQ4_K;
constexpr int32_t kTokens = 64;
constexpr int kRepetitions = 7;

template <typename Run>
double seconds_of(const Run& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Other load on the machine only ever slows a run down.
template <typename Run>
double best_seconds(int n_repetitions, const Run& run) {
  double best = 1e300;
  for (int i = 0; i < n_repetitions; ++i) best = std::min(best, seconds_of(run));
  return best;
}

uint32_t next_random() {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

/// Blocks of arbitrary codes whose f16 scales are finite.
std::vector<std::byte> arbitrary_matrix(int64_t n_rows, int64_t n_cols) {
  const TensorTypeTraits& traits = tensor_type_traits(kType);
  std::vector<std::byte> bytes(static_cast<size_t>(n_rows * n_cols) / traits.block_elements * traits.block_bytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(next_random() & 0x3f);
  return bytes;
}

struct Matrices {
  std::vector<std::byte> gate = arbitrary_matrix(kExperts * kFf, kEmbd), up = arbitrary_matrix(kExperts * kFf, kEmbd),
                         down = arbitrary_matrix(kExperts * kEmbd, kFf);
};

std::vector<std::unique_ptr<Experts>> load(Backend& backend, const Matrices& matrices) {
  RouterParams router;
  router.n_expert = kExperts;
  router.n_used = kUsed;
  router.is_normalized = true;
  std::vector<std::unique_ptr<Experts>> layers;
  for (int32_t il = 0; il < kLayers; ++il) {
    ExpertViews views{};
    views.il = il;
    views.gate = {"gate", kType, kExperts * kFf, kEmbd, matrices.gate};
    views.up = {"up", kType, kExperts * kFf, kEmbd, matrices.up};
    views.down = {"down", kType, kExperts * kEmbd, kFf, matrices.down};
    layers.push_back(backend.load_experts(views, router, Gate::kSwiGlu));
  }
  return layers;
}

struct Times {
  double best, mean;  // seconds
};

/// Of n_batch tokens through all layers.
Times times_of(Backend& backend, std::vector<std::unique_ptr<Experts>>& layers, int32_t n_batch) {
  std::vector<float> x(kTokens * kEmbd), y(x.size()), logits(kLayers * kTokens * kExperts);
  for (float& v : x) v = static_cast<float>(next_random() % 17) - 8.0f;
  for (float& v : logits) v = static_cast<float>(next_random() % 4096) / 1024.0f;
  const auto n_x = static_cast<size_t>(n_batch * kEmbd), n_logits = static_cast<size_t>(n_batch * kExperts);
  std::vector<double> seconds;
  for (int i = 0; i < kRepetitions; ++i) {
    for (int32_t t = 0; t < kTokens; t += n_batch) {
      seconds.push_back(seconds_of([&] {
        for (size_t il = 0; il < kLayers; ++il) {
          const size_t row = il * kTokens + static_cast<size_t>(t);
          backend.expert_ffn({y.data() + t * kEmbd, n_x}, {x.data() + t * kEmbd, n_x},
                             {logits.data() + row * kExperts, n_logits}, n_batch, *layers[il]);
        }
      }));
    }
  }
  return {*std::min_element(seconds.begin(), seconds.end()),
          std::accumulate(seconds.begin(), seconds.end(), 0.0) / static_cast<double>(seconds.size())};
}

/// GB/s of dense products of one token, gated or not. They take turns at half as many bytes of weights as all experts
/// have, which no cache holds, and the clock runs for about as long as for a token's experts.
double dense_bandwidth(Backend& backend, const Matrices& matrices, bool is_gated) {
  std::vector<std::unique_ptr<Weight>> weights;
  for (int i = 0; i < 12; ++i)
    weights.push_back(backend.load_weight({"dense", kType, kExperts * kFf, kEmbd, matrices.gate}));
  std::vector<float> x(kEmbd, 1.0f), y(kExperts * kFf);
  const DeviceSpan<float> result{y.data(), y.size()};
  size_t next = 0;
  const double best = best_seconds(kTokens * kRepetitions, [&] {
    const GatedPair pair{weights[next].get(), weights[next + 1].get(), {}, {}};
    next = (next + 2) % weights.size();
    if (is_gated) return backend.matmul_gated(result, pair, {x.data(), x.size()}, 1, Gate::kSwiGlu);
    for (const Weight* weight : {pair.gate, pair.up}) {
      const MatmulTask task{weight, result};
      backend.matmul({&task, 1}, {x.data(), x.size()}, 1);
    }
  });
  return 2.0 * static_cast<double>(weights[0]->size_bytes()) / best * 1e-9;
}

/// Of all threads together, each from its own part.
double memory_bandwidth(int32_t n_threads) {
  constexpr size_t kWords = size_t{16} << 20;
  const AlignedBuffer memory(kWords * 8 * static_cast<size_t>(n_threads), "the bandwidth measurement");
  std::memset(memory.data(), 1, memory.size());
  ThreadPool pool(n_threads);
  std::vector<uint64_t> sums(static_cast<size_t>(n_threads) * 8);
  const double seconds = best_seconds(kRepetitions, [&] {
    pool.run(n_threads, [&](int64_t thread) {
      const auto* words = reinterpret_cast<const uint64_t*>(memory.data()) + static_cast<size_t>(thread) * kWords;
      uint64_t sum = 0;
      for (size_t i = 0; i < kWords; ++i) sum += words[i];
      sums[static_cast<size_t>(thread) * 8] += sum;
    });
  });
  return static_cast<double>(memory.size()) / seconds * 1e-9;
}

CpuKernels kernels_named(const char* name) {
  for (size_t i = 0; i < std::size(kCpuKernelNames); ++i) {
    if (std::strcmp(name, kCpuKernelNames[i]) == 0) return static_cast<CpuKernels>(i);
  }
  return CpuKernels::kAuto;
}

void measure(CpuKernels kernels, int32_t n_threads) {
  const Matrices matrices;
  uint64_t total_bytes = 0;
  {
    const auto backend = create_cpu_backend(kernels, n_threads);
    auto layers = load(*backend, matrices);
    total_bytes = backend->expert_cache_stats().total_bytes;
    const double n_bytes = static_cast<double>(total_bytes) * kUsed / kExperts;
    std::printf("%s, %.0f MB of experts\n", backend->name(), static_cast<double>(total_bytes) * 1e-6);
    for (int round = 0; round < 3; ++round) {  // alternating: the machine's pace changes
      const double memory = memory_bandwidth(n_threads > 0 ? n_threads : count_physical_cores());
      const double dense = dense_bandwidth(*backend, matrices, false),
                   gated = dense_bandwidth(*backend, matrices, true);
      const double experts = n_bytes / times_of(*backend, layers, 1).best * 1e-9;
      std::printf(
          "decode: experts %5.1f GB/s | dense %5.1f, gated %5.1f GB/s | memory %5.1f GB/s | experts / dense %.2f\n",
          experts, dense, gated, memory, experts / dense);
    }
    const double n_macs = 3.0 * kLayers * kTokens * kUsed * kEmbd * kFf;
    std::printf("prefill of %d tokens: %.1f GMAC/s\n", kTokens,
                n_macs / times_of(*backend, layers, kTokens).best * 1e-9);
  }
  for (const uint64_t divisor : {2, 8}) {
    const auto backend = create_cpu_backend(kernels, n_threads, total_bytes / divisor);
    auto layers = load(*backend, matrices);
    const double seconds = times_of(*backend, layers, 1).mean;
    std::printf("decode with room for 1/%llu: %.1f ms per token, hit rate %.2f\n",
                static_cast<unsigned long long>(divisor), seconds * 1e3, backend->expert_cache_stats().hit_rate());
  }
}

}  // namespace
}  // namespace outpost

int main(int argc, char** argv) {
  try {
    outpost::measure(outpost::kernels_named(argc > 1 ? argv[1] : "auto"), argc > 2 ? std::atoi(argv[2]) : 0);
  } catch (const outpost::EngineError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
