// Attention of one new token over a long context, per format of keys and values: milliseconds of one layer, and bytes
// of its keys and values. What a decode step at that depth pays besides its weights.
//   outpost-kv-bench [--threads N] [DEPTH...]
// With a model also whole steps at these depths; what it takes to go on with a session that was saved; and how soon a
// second question about the same prefix is answered.
//   outpost-kv-bench --model FILE [--threads N] [DEPTH...]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "kv/kv_pages.h"
#include "runtime/loaded_model.h"

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

constexpr int32_t kComputedPages = 4;
/// Presets give a layer its bits by its depth: one of each third, and what is reported is their mean.
constexpr int32_t kLayers = 3;

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// Fills the first `depth` positions, of which the first pages were computed, with their bytes: how long attention
/// takes does not depend on what is in a page, but for pages of negligible weight.
void fill(KvStorage& kv, std::span<const int32_t> pages, int32_t depth) {
  const int32_t n_computed = kComputedPages * kKvPageSize;
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
  const auto kv = backend.alloc_kv({kLayers, shape.n_head_kv, shape.head_dim, shape.head_dim},
                                   parse_kv_format(name, kLayers), n_page);
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
  const auto store = [&](int32_t n_past, int32_t n_tokens) {
    const SequenceRun run{pages, n_past, n_tokens};
    for (int32_t il = 0; il < kLayers; ++il) {
      backend.rope_and_store_kv({q.data(), q.size()}, {k.data(), k.size()}, {v.data(), v.size()}, *kv, il, {&run, 1},
                                params, nullptr);
    }
  };
  store(0, kComputedPages * kKvPageSize);
  fill(*kv, pages, depth);
  store(depth, 1);
  const SequenceRun run{pages, depth, 1};

  std::vector<float> y(static_cast<size_t>(shape.n_head * shape.head_dim));
  // The best of many: what else the machine does only adds.
  double best = std::numeric_limits<double>::infinity();
  const auto start = std::chrono::steady_clock::now();
  for (int repetition = 0; repetition < 12 || (repetition < 200 && ms_since(start) < 400); ++repetition) {
    const auto before = std::chrono::steady_clock::now();
    for (int32_t il = 0; il < kLayers; ++il)
      backend.attention({y.data(), y.size()}, {q.data(), y.size()}, *kv, il, {&run, 1}, params);
    best = std::min(best, ms_since(before) / kLayers);
  }
  std::printf("{\"shape\":\"%s\",\"depth\":%d,\"kv\":\"%s\",\"ms\":%.4f,\"bytes\":%llu}\n", shape.name, depth, name,
              best, static_cast<unsigned long long>(kv_needed_bytes(*kv, depth + 1) / kLayers));
  std::fflush(stdout);
}

/// A whole step of one token behind `depth` others. Positions beyond the model's training are computed like any other.
void measure_model(const LoadedModel& model, int32_t depth, const char* name) {
  const int32_t n_page = kv_pages_for(depth + 1);
  const auto kv = model.stages().alloc_kv(model.network().kv_shape(), model.kv_format(name), n_page);
  std::vector<int32_t> pages(static_cast<size_t>(n_page));
  std::iota(pages.begin(), pages.end(), 0);
  std::vector<int32_t> tokens(kComputedPages * kKvPageSize);
  for (size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<int32_t>((i * 7919 + 300) % static_cast<size_t>(model.info().n_vocab));
  std::vector<float> logits(static_cast<size_t>(model.info().n_vocab));
  const int32_t row = 0;
  const auto forward = [&](std::span<const int32_t> of, int32_t n_past, std::span<const int32_t> rows) {
    const SequenceRun run{pages, n_past, static_cast<int32_t>(of.size())};
    model.network().forward({of, {&run, 1}, rows, depth + 1}, *kv,
                            std::span(logits).first(rows.size() * logits.size()));
  };
  forward(tokens, 0, {});
  fill(*kv, pages, depth);
  double best = std::numeric_limits<double>::infinity();
  const auto start = std::chrono::steady_clock::now();
  for (int repetition = 0; repetition < 4 || (repetition < 50 && ms_since(start) < 3000); ++repetition) {
    const auto before = std::chrono::steady_clock::now();
    forward(std::span(tokens).first(1), depth, {&row, 1});
    best = std::min(best, ms_since(before));
  }
  std::printf("{\"step\":\"%s\",\"depth\":%d,\"kv\":\"%s\",\"ms\":%.4f,\"bytes\":%llu}\n", model.info().name.c_str(),
              depth, name, best, static_cast<unsigned long long>(kv_needed_bytes(*kv, depth + 1)));
  std::fflush(stdout);
}

GenerateStats answer(Engine& engine, std::vector<int32_t> tokens, Priority priority) {
  GenerateRequest request;
  request.tokens = std::move(tokens);
  request.n_predict = 1;
  request.sampler.temperature = 0;
  request.priority = priority;
  std::promise<GenerateStats> done;
  GenerateSink sink;
  sink.on_done = [&](StopReason, const GenerateStats& stats, const EngineError* error) {
    if (error != nullptr)
      done.set_exception(std::make_exception_ptr(*error));
    else
      done.set_value(stats);
  };
  engine.submit(std::move(request), std::move(sink));
  return done.get_future().get();
}

/// A session of n tokens: prefilled, and taken over from a file. Then questions about its first half, and one of the
/// same length about nothing.
void measure_reuse(const std::shared_ptr<Model>& model, int32_t n_tokens) {
  const auto text = [&](int32_t n, int32_t salt) {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < n; ++i) tokens.push_back((i * 7919 + salt * 1013 + 300) % model->info().n_vocab);
    return tokens;
  };
  const std::string path = (std::filesystem::temp_directory_path() / "outpost-kv-bench.kv").string();
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kCompact}) {
    EngineOptions options;
    options.kv = preset;
    const std::vector<int32_t> session = text(n_tokens, 1);
    double prefill_ms = 0, resume_ms = std::numeric_limits<double>::infinity();
    {
      const auto engine = Engine::create(model, options);
      prefill_ms = answer(*engine, session, Priority::kChat).ttft_ms;
      engine->save_cache(path);
    }
    for (int repetition = 0; repetition < 5; ++repetition) {
      const auto engine = Engine::create(model, options);
      const auto start = std::chrono::steady_clock::now();
      engine->restore_cache(path);
      answer(*engine, session, Priority::kChat);
      resume_ms = std::min(resume_ms, ms_since(start));
    }
    std::filesystem::remove(path);

    double second_ms = std::numeric_limits<double>::infinity(), alone_ms = second_ms;
    const auto engine = Engine::create(model, options);
    std::vector<int32_t> prefix = text(n_tokens / 2, 2);
    answer(*engine, prefix, Priority::kChat);
    for (int32_t repetition = 0; repetition < 5; ++repetition) {
      const std::vector<int32_t> question = text(256, 10 + repetition), other = text(256, 50 + repetition);
      std::vector<int32_t> both = prefix;
      both.insert(both.end(), question.begin(), question.end());
      second_ms = std::min(second_ms, answer(*engine, both, Priority::kInline).ttft_ms);
      alone_ms = std::min(alone_ms, answer(*engine, other, Priority::kInline).ttft_ms);
    }
    std::printf(
        "{\"session\":%d,\"kv\":\"%s\",\"prefill_ms\":%.2f,\"resume_ms\":%.2f,\"prefix\":%zu,\"question\":256,"
        "\"second_ms\":%.2f,\"alone_ms\":%.2f}\n",
        n_tokens, kKvPresetNames[static_cast<size_t>(preset)], prefill_ms, resume_ms, prefix.size(), second_ms,
        alone_ms);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  int32_t n_threads = 0;
  std::string model_path;
  std::vector<int32_t> depths;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--threads" && i + 1 < argc) {
      n_threads = std::atoi(argv[++i]);
    } else if (std::string(argv[i]) == "--model" && i + 1 < argc) {
      model_path = argv[++i];
    } else {
      depths.push_back(std::max((kComputedPages + 1) * kKvPageSize, std::atoi(argv[i])));
    }
  }
  if (depths.empty()) depths = {1024, 8192, 32768, 131072};
  if (!model_path.empty()) {
    try {
      LoadOptions options;
      options.n_threads = n_threads;
      const auto model = Model::load(model_path, options);
      const auto& loaded = static_cast<const LoadedModel&>(*model);
      for (const int32_t depth : depths) {
        for (const char* format : {"exact", "compact", "max"}) measure_model(loaded, depth, format);
      }
      measure_reuse(model, std::min(4000, model->info().n_ctx_train - 64));
      return 0;
    } catch (const EngineError& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 1;
    }
  }
  const auto backend = create_cpu_backend(CpuKernels::kAuto, n_threads);
  for (const HeadShape& shape : kShapes) {
    for (const int32_t depth : depths) {
      for (const char* format : kFormats) measure(*backend, shape, depth, format);
    }
  }
  return 0;
}
