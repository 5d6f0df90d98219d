// Attention of one new token over a long context, per format of keys and values: milliseconds of one layer, and bytes
// of its keys and values. What a decode step at that depth pays besides its weights.
//   outpost-kv-bench [--threads N] [DEPTH...]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "kv/kv_pages.h"

using namespace outpost;

namespace {

struct HeadShape {
  const char* name;
  int32_t n_head, n_head_kv, head_dim;
};

// The shapes of models that people run: one KV head for 8, 7 and 1 query heads.
constexpr HeadShape kShapes[] = {{"tinyllama 1.1B", 32, 4, 64}, {"qwen2.5 7B", 28, 4, 128}, {"llama 7B", 32, 32, 128}};
constexpr const char* kFormats[] = {"exact", "k8v8", "safe", "compact", "max"};

/// The same numbers every time, with the spread of a normal distribution: a sum of four uniform ones.
float next_random(uint32_t& state) {
  float sum = 0;
  for (int i = 0; i < 4; ++i) {
    state = state * 1664525u + 1013904223u;
    sum += static_cast<float>(state >> 8) / 16777216.0f - 0.5f;
  }
  return sum * 1.7f;
}

void measure(Backend& backend, const HeadShape& shape, int32_t depth, const char* name) {
  const AttentionParams params{shape.n_head, shape.n_head_kv, shape.head_dim, shape.head_dim,
                               1.0f / std::sqrt(static_cast<float>(shape.head_dim))};
  const int32_t n_page = kv_pages_for(depth + 1);
  const auto kv =
      backend.alloc_kv({1, shape.n_head_kv, shape.head_dim, shape.head_dim}, parse_kv_format(name, 1), n_page);
  std::vector<int32_t> pages(static_cast<size_t>(n_page));
  for (int32_t p = 0; p < n_page; ++p) pages[static_cast<size_t>(p)] = p;

  constexpr int32_t kChunk = 512;
  uint32_t state = 1;
  const auto width = static_cast<size_t>(shape.n_head_kv * shape.head_dim);
  std::vector<float> k(kChunk * width), v(k.size()), q(static_cast<size_t>(kChunk * shape.n_head * shape.head_dim));
  std::vector<float> y(static_cast<size_t>(shape.n_head * shape.head_dim));
  const auto store = [&](int32_t n_past, int32_t n) {
    for (float& x : k) x = next_random(state);
    for (float& x : v) x = next_random(state);
    for (float& x : q) x = next_random(state);
    const SequenceRun run{pages, n_past, n};
    backend.rope_and_store_kv({q.data(), q.size()}, {k.data(), k.size()}, {v.data(), v.size()}, *kv, 0, {&run, 1},
                              params, nullptr);
    kv_drop_old(*kv, pages, n_past + n);
  };
  for (int32_t at = 0; at < depth; at += kChunk) store(at, std::min(kChunk, depth - at));
  store(depth, 1);

  const SequenceRun run{pages, depth, 1};
  std::vector<double> times;
  for (int repetition = 0; repetition < 12; ++repetition) {
    const auto start = std::chrono::steady_clock::now();
    backend.attention({y.data(), y.size()}, {q.data(), y.size()}, *kv, 0, {&run, 1}, params);
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin() + 2, times.end());  // the first two warm up
  std::printf("{\"shape\":\"%s\",\"depth\":%d,\"kv\":\"%s\",\"ms\":%.4f,\"bytes\":%llu}\n", shape.name, depth, name,
              times[7], static_cast<unsigned long long>(kv_needed_bytes(*kv, depth + 1)));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  int32_t n_threads = 0;
  std::vector<int32_t> depths;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--threads" && i + 1 < argc) {
      n_threads = std::atoi(argv[++i]);
    } else {
      depths.push_back(std::max(1, std::atoi(argv[i])));
    }
  }
  if (depths.empty()) depths = {1024, 8192, 32768, 131072};
  const auto backend = create_cpu_backend(CpuKernels::kAuto, n_threads);
  for (const HeadShape& shape : kShapes) {
    for (const int32_t depth : depths) {
      for (const char* format : kFormats) measure(*backend, shape, depth, format);
    }
  }
  return 0;
}
