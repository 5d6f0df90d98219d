// Attention of one new token over a long context, per format of keys and values: milliseconds of one layer, and bytes
// of its keys and values. What a decode step at that depth pays besides its weights.
//   outpost-kv-bench [--threads N] [DEPTH...]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <span>
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

/// Fills the first `depth` positions. A few pages are computed; the others get their bytes: how long attention takes does
/// not depend on what is in a page, but for pages of negligible weight, and these queries look everywhere.
void fill(Backend& backend, KvStorage& kv, std::span<const int32_t> pages, int32_t depth, const AttentionParams& params,
          std::span<float> q, std::span<const float> k, std::span<const float> v) {
  const int32_t n_computed = std::min(depth, 4 * kKvPageSize);
  const SequenceRun run{pages, 0, n_computed};
  backend.rope_and_store_kv({q.data(), q.size()}, {k.data(), k.size()}, {v.data(), v.size()}, kv, 0, {&run, 1}, params,
                            nullptr);
  const int32_t n_old = kv_first_fresh_page(depth);
  for (int32_t p = 0; p < kv_pages_for(depth); ++p) {
    const KvForm form = kv.is_compressed() && p < n_old ? KvForm::kPacked : KvForm::kFresh;
    if (p * kKvPageSize < n_computed && kv.has(pages[static_cast<size_t>(p)], form)) continue;
    std::vector<std::byte> bytes(kv.form_bytes(form));
    kv.read_form(pages[1], form, bytes);
    kv.write_form(pages[static_cast<size_t>(p)], form, bytes);
  }
  kv_drop_old(kv, pages, depth);
}

void measure(Backend& backend, const HeadShape& shape, int32_t depth, const char* name) {
  const AttentionParams params{shape.n_head, shape.n_head_kv, shape.head_dim, shape.head_dim,
                               1.0f / std::sqrt(static_cast<float>(shape.head_dim))};
  const int32_t n_page = kv_pages_for(depth + 1);
  const auto kv =
      backend.alloc_kv({1, shape.n_head_kv, shape.head_dim, shape.head_dim}, parse_kv_format(name, 1), n_page);
  std::vector<int32_t> pages(static_cast<size_t>(n_page));
  std::iota(pages.begin(), pages.end(), 0);

  uint32_t state = 1;
  const auto random = [&](int32_t n_head) {
    std::vector<float> x(static_cast<size_t>(4 * kKvPageSize * n_head * shape.head_dim));
    for (float& value : x) value = next_random(state);
    return x;
  };
  const std::vector<float> k = random(shape.n_head_kv), v = random(shape.n_head_kv);
  std::vector<float> q = random(shape.n_head);
  fill(backend, *kv, pages, depth, params, q, k, v);
  const SequenceRun run{pages, depth, 1};
  backend.rope_and_store_kv({q.data(), q.size()}, {k.data(), k.size()}, {v.data(), v.size()}, *kv, 0, {&run, 1}, params,
                            nullptr);

  std::vector<float> y(static_cast<size_t>(shape.n_head * shape.head_dim));
  // The best of many: what else the machine does only adds.
  double best = std::numeric_limits<double>::infinity();
  const auto start = std::chrono::steady_clock::now();
  const auto ms_since = [](auto from) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - from).count();
  };
  for (int repetition = 0; repetition < 12 || (repetition < 200 && ms_since(start) < 400); ++repetition) {
    const auto before = std::chrono::steady_clock::now();
    backend.attention({y.data(), y.size()}, {q.data(), y.size()}, *kv, 0, {&run, 1}, params);
    best = std::min(best, ms_since(before));
  }
  std::printf("{\"shape\":\"%s\",\"depth\":%d,\"kv\":\"%s\",\"ms\":%.4f,\"bytes\":%llu}\n", shape.name, depth, name,
              best, static_cast<unsigned long long>(kv_needed_bytes(*kv, depth + 1)));
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
      depths.push_back(std::max(5 * kKvPageSize, std::atoi(argv[i])));
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
