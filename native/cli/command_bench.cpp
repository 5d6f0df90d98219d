#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <future>
#include <thread>

#include "backend/cpu/cpu_features.h"
#include "cli/command.h"
#include "core/aligned_buffer.h"
#include "core/strings.h"
#include "core/thread_pool.h"

namespace outpost::cli {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Bytes per second that all threads together read from memory: the ceiling of decoding a large model.
double measure_read_bandwidth(int32_t n_threads) {
  constexpr size_t kBytesPerThread = size_t{256} << 20;  // far beyond any cache
  const AlignedBuffer memory(kBytesPerThread * static_cast<size_t>(n_threads), "the bandwidth measurement");
  std::memset(memory.data(), 1, memory.size());
  ThreadPool pool(n_threads);
  std::vector<uint64_t> sums(static_cast<size_t>(n_threads) * 8);
  double best_ms = 1e300;
  for (int repetition = 0; repetition < 4; ++repetition) {
    const auto start = Clock::now();
    pool.run(n_threads, [&](int64_t thread) {
      const auto* words =
          reinterpret_cast<const uint64_t*>(memory.data() + static_cast<size_t>(thread) * kBytesPerThread);
      uint64_t sum[8] = {};
      for (size_t i = 0; i < kBytesPerThread / 8; i += 8) {
        for (int lane = 0; lane < 8; ++lane) sum[lane] += words[i + static_cast<size_t>(lane)];
      }
      for (int lane = 0; lane < 8; ++lane) sums[static_cast<size_t>(thread) * 8] += sum[lane];
    });
    best_ms = std::min(best_ms, ms_since(start));
  }
  return static_cast<double>(memory.size()) / best_ms * 1000;
}

/// Products per second of all threads together, of a kernel that does n at a call.
template <typename Kernel>
double measure_peak(int32_t n_threads, int64_t n, Kernel kernel) {
  constexpr int kCalls = 256;
  ThreadPool pool(n_threads);
  std::vector<double> results(static_cast<size_t>(n_threads) * 8);  // apart from each other
  double best_ms = 1e300;
  for (int repetition = 0; repetition < 5; ++repetition) {
    const auto start = Clock::now();
    pool.run(n_threads, [&](int64_t thread) {
      for (int i = 0; i < kCalls; ++i) results[static_cast<size_t>(thread) * 8] += static_cast<double>(kernel());
    });
    best_ms = std::min(best_ms, ms_since(start));
  }
  return static_cast<double>(n) * kCalls * n_threads / best_ms * 1000;
}

/// Runs one request to its end.
GenerateStats generate(Engine& engine, GenerateRequest request) {
  std::promise<GenerateStats> done;
  GenerateSink sink;
  sink.on_done = [&](StopReason, const GenerateStats& stats, const EngineError* error) {
    if (error != nullptr) {
      done.set_exception(std::make_exception_ptr(*error));
    } else {
      done.set_value(stats);
    }
  };
  engine.submit(std::move(request), std::move(sink));
  return done.get_future().get();
}

/// Bytes of weights that decoding a token reads: of the experts, those that it chooses, and no table of embeddings, of
/// which it reads a row. @param at_load before any use
double bytes_per_token(const ModelInfo& info, const ExpertCacheStats& at_load) {
  const auto others = static_cast<double>(info.weight_bytes - info.table_bytes - at_load.resident_bytes);
  if (info.n_expert == 0) return others;
  return others + static_cast<double>(at_load.total_bytes) * info.n_expert_used / info.n_expert;
}

constexpr int32_t kDecodeStart = 2;  // tokens of the prompt before those that are decoded

/// Positions of the longest request. Known before the model is, whose device has to have room for them.
int32_t most_positions(const Arguments& arguments) {
  const int64_t n_prefill = arguments.get_int("--prefill", 512, 1, INT32_MAX / 4);
  const int64_t n_decode = arguments.get_int("--decode", 128, 2, INT32_MAX / 4);
  return static_cast<int32_t>(std::max(n_prefill, n_decode)) + kDecodeStart;
}

/// Token ids that are all different from each other's neighbours and the same in every run.
std::vector<int32_t> prompt_of(int32_t n, int32_t n_vocab, int32_t salt) {
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<int32_t>((int64_t{i} * 7919 + salt * 104729 + 300) % n_vocab));
  return tokens;
}

}  // namespace

int run_bench(const std::vector<std::string>& words) {
  const Arguments arguments(words, with_load_options({"--prefill", "--decode", "--reps", "--depth", "--kv"}),
                            {"--json"});
  LoadOptions options = load_options(arguments);
  EngineOptions engine_options;
  engine_options.n_ctx = most_positions(arguments);
  const auto n_depth = static_cast<uint64_t>(arguments.get_int("--depth", 128, 0, INT32_MAX / 4));
  options.n_device_positions = 2 * static_cast<uint64_t>(engine_options.n_ctx) + n_depth + 16;
  const auto load_start = Clock::now();
  const auto model = Model::load(arguments.positional(0, "MODEL"), options);
  engine_options.n_ctx = std::min(engine_options.n_ctx, model->info().n_ctx_train);
  const auto engine = Engine::create(model, engine_options);
  const double load_ms = ms_since(load_start);
  const ExpertCacheStats experts_at_load = engine->stats().experts;
  // A file that is only mapped is not read before its first token: that is what a user waits for.
  GenerateRequest first;
  first.sampler.temperature = 0;
  first.draft.is_enabled = false;
  first.tokens = prompt_of(8, model->info().n_vocab, 0);
  first.n_predict = 1;
  generate(*engine, first);
  const double first_token_ms = ms_since(load_start);
  const ModelInfo& info = model->info();
  const auto n_prefill = static_cast<int32_t>(
      arguments.get_int("--prefill", std::min(512, info.n_ctx_train - 2), 1, info.n_ctx_train - 2));
  const auto n_decode =
      static_cast<int32_t>(arguments.get_int("--decode", std::min(128, info.n_ctx_train - 2), 2, info.n_ctx_train - 2));
  const auto n_reps = static_cast<int32_t>(arguments.get_int("--reps", 3, 1, 1000));

  std::vector<double> prefill, decode, n_decoded;
  for (int32_t rep = 0; rep < n_reps; ++rep) {
    GenerateRequest request;
    request.sampler.temperature = 0;
    request.draft.is_enabled = false;                              // what a token costs, not how many can be guessed
    request.tokens = prompt_of(n_prefill, info.n_vocab, rep + 1);  // another one each time: nothing to reuse
    request.n_predict = 1;
    prefill.push_back(n_prefill * 1000.0 / generate(*engine, request).prefill_ms);
    // An end-of-text token ends a reply early, and a model of random weights may say it at once: then after another
    // prompt.
    constexpr int32_t kPrompts = 8;
    for (int32_t i = 0; i < kPrompts; ++i) {
      request.tokens = prompt_of(kDecodeStart, info.n_vocab, rep + 1000 * (i + 1));
      request.n_predict = n_decode;
      const GenerateStats stats = generate(*engine, request);
      if (stats.n_decoded < 2 || (stats.n_decoded < n_decode / 2 && i + 1 < kPrompts)) continue;
      decode.push_back((stats.n_decoded - 1) * 1000.0 / stats.decode_ms);
      n_decoded.push_back(stats.n_decoded);
      break;
    }
  }
  if (decode.empty()) decode = n_decoded = {0};
  // One token, as decoding computes it, and as many as a draft may have.
  constexpr int32_t kSteps[] = {1, 2, 4, 8, 16};
  constexpr size_t kEight = 3;
  static_assert(kSteps[kEight] == 8);
  const auto depth = static_cast<int32_t>(
      arguments.get_int("--depth", std::min(128, info.n_ctx_train - 16), 0, std::max(0, info.n_ctx_train - 16)));
  std::vector<double> step_ms(std::size(kSteps));
  if (info.n_ctx_train >= 16)
    step_ms = measure_steps(*model, depth, kSteps, 5 * n_reps, arguments.get("--kv", "exact"));
  const int32_t n_threads =
      options.n_threads > 0 ? options.n_threads : static_cast<int32_t>(std::thread::hardware_concurrency());
  const double bandwidth = options.devices.back() == "cpu" ? measure_read_bandwidth(n_threads)
                                                           : measure_copy_bandwidth(options.devices.back());
  const CpuKernelTable& kernels = select_cpu_kernels(options.cpu_kernels);
  const double peak_int8 = measure_peak(n_threads, kernels.n_peak_int8, kernels.peak_int8);
  const double peak_f32 = measure_peak(n_threads, kernels.n_peak_f32, kernels.peak_f32);
  const double token_bytes = bytes_per_token(info, experts_at_load);
  const double decode_bandwidth = median(decode) * token_bytes;
  // A multiplication and an addition for each weight; of attention nothing is counted.
  const double prefill_rate = info.n_expert > 0 ? 0 : median(prefill) * 2.0 * static_cast<double>(info.n_layer_params);

  if (arguments.has("--json")) {
    const ExpertCacheStats experts = engine->stats().experts;
    std::string steps;
    for (size_t i = 0; i < step_ms.size(); ++i) steps += concat(i > 0 ? "," : "", "\"", kSteps[i], "\":", step_ms[i]);
    std::printf(
        "{\"backend\":%s,\"loadMs\":%.1f,\"firstTokenMs\":%.1f,\"prefillTokensPerSecond\":%.2f,"
        "\"decodeTokensPerSecond\":%.2f,"
        "\"readBandwidth\":%.0f,\"peakInt8\":%.0f,\"peakF32\":%.0f,\"weightBytes\":%llu,\"bytesPerToken\":%.0f,"
        "\"expertHitRate\":%.4f,"
        "\"expertResidentBytes\":%llu,"
        "\"expertTotalBytes\":%llu,\"decodeStart\":%d,\"decodedTokens\":%.0f,\"depth\":%d,\"stepMs\":{%s}}\n",
        json_string(info.backend).c_str(), load_ms, first_token_ms, median(prefill), median(decode), bandwidth,
        peak_int8, peak_f32, static_cast<unsigned long long>(info.weight_bytes), token_bytes, experts.hit_rate(),
        static_cast<unsigned long long>(experts.resident_bytes), static_cast<unsigned long long>(experts.total_bytes),
        kDecodeStart, median(n_decoded), depth, steps.c_str());
    return 0;
  }
  std::printf("%s, %s, %s\n", info.name.c_str(), info.file_type.c_str(), info.backend.c_str());
  std::printf("load      %9.1f ms  (%.1f ms to a first token)\n", load_ms, first_token_ms);
  std::printf("prefill   %9.1f tok/s  (%d tokens", median(prefill), n_prefill);
  if (prefill_rate > 0) std::printf("; weights of layers alone are %.4g TFLOP/s", prefill_rate * 1e-12);
  std::printf(")\n");
  std::printf("decode    %9.1f tok/s  (%.0f tokens; reads %.1f GB/s of weights, %.1f %% of the %.1f GB/s measured)\n",
              median(decode), median(n_decoded), decode_bandwidth * 1e-9, 100 * decode_bandwidth / bandwidth,
              bandwidth * 1e-9);
  std::printf("products  %9.1f G/s of 8 bits, %.1f G/s of f32 at most\n", peak_int8 * 1e-9, peak_f32 * 1e-9);
  std::printf("steps     ");
  for (size_t i = 0; i < step_ms.size(); ++i) std::printf("%s%d: %.2f ms", i > 0 ? ", " : "", kSteps[i], step_ms[i]);
  std::printf("  (tokens at once, at depth %d", depth);
  if (step_ms.front() > 0) std::printf("; 8 take %.2f x as long as 1", step_ms[kEight] / step_ms.front());
  std::printf(")\n");
  if (info.n_expert > 0) std::printf("experts   %s\n", expert_summary(*engine).c_str());
  return 0;
}

}  // namespace outpost::cli
