#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <optional>

#include "cli/command.h"
#include "core/strings.h"
#include "gguf/gguf_file.h"
#include "model/model_keys.h"
#include "tokenizer/tokenizer.h"

namespace outpost::cli {
namespace {

std::atomic<bool> g_interrupted{false};

/// Waits for `on_done`, turning Ctrl-C into a cancel.
class Completion {
 public:
  void set(StopReason reason, const GenerateStats& stats, const EngineError* error) {
    const std::lock_guard lock(mutex_);
    reason_ = reason;
    stats_ = stats;
    if (error != nullptr) error_ = *error;
    changed_.notify_all();
  }

  StopReason wait(Engine& engine, uint64_t id) {
    std::unique_lock lock(mutex_);
    while (!reason_.has_value()) {
      changed_.wait_for(lock, std::chrono::milliseconds(50));
      if (g_interrupted && !reason_.has_value()) engine.cancel(id);
    }
    if (error_.has_value()) throw *error_;
    return *reason_;
  }

  const GenerateStats& stats() const { return stats_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<StopReason> reason_;
  std::optional<EngineError> error_;
  GenerateStats stats_;
};

/// Positions for a prompt and its reply, but no more than the model has. In steps: a recorded pass belongs to one
/// length.
int32_t needed_context(const std::string& path, const std::string& prompt, int32_t n_predict) {
  constexpr int64_t kStep = 256;
  const GgufFile file = GgufFile::open(path);
  const auto n_prompt = static_cast<int64_t>(Tokenizer::create(file)->encode(prompt, {}).size());
  const int64_t n_most = ModelKeys(file).get("context_length", 1, INT32_MAX);
  const int64_t n_tokens = std::max<int64_t>(n_prompt, 1) + n_predict;  // an empty prompt starts from BOS
  return static_cast<int32_t>(std::min(n_most, (n_tokens + kStep - 1) / kStep * kStep));
}

double per_second(int32_t n, double ms) { return ms > 0 ? n * 1000.0 / ms : 0; }

}  // namespace

int run_run(const std::vector<std::string>& words) {
  const Arguments arguments(words,
                            with_load_options({"-p", "-n", "--begin-with", "--temp", "--top-k", "--top-p", "--min-p",
                                               "--repeat-penalty", "--seed", "--ctx"}),
                            {});
  const std::string& path = arguments.positional(0, "MODEL");
  if (!arguments.has("-p")) throw UsageError("missing -p PROMPT");
  GenerateRequest request;
  request.n_predict = static_cast<int32_t>(arguments.get_int("-n", request.n_predict, 1, 1 << 28));
  LoadOptions options = load_options(arguments);
  EngineOptions engine_options;
  engine_options.n_ctx = static_cast<int32_t>(arguments.get_int("--ctx", 0, 0, 1 << 28));
  if (engine_options.n_ctx == 0 && options.devices.front() != "cpu") {
    // A GPU's memory is given away before the model is there to count its tokens.
    engine_options.n_ctx = needed_context(path, arguments.get("-p"), request.n_predict);
    options.n_device_positions = 2 * static_cast<uint64_t>(engine_options.n_ctx);
  }
  const auto model = Model::load(path, options);
  const auto engine = Engine::create(model, engine_options);
  request.tokens = model->tokenize(arguments.get("-p"));
  request.begin_with = arguments.get("--begin-with");
  SamplerParams& sampler = request.sampler;
  sampler.temperature = static_cast<float>(arguments.get_float("--temp", sampler.temperature, 0, 100));
  sampler.top_k = static_cast<int32_t>(arguments.get_int("--top-k", sampler.top_k, 0, 1 << 30));
  sampler.top_p = static_cast<float>(arguments.get_float("--top-p", sampler.top_p, 0, 1));
  sampler.min_p = static_cast<float>(arguments.get_float("--min-p", sampler.min_p, 0, 1));
  sampler.repeat_penalty = static_cast<float>(arguments.get_float("--repeat-penalty", sampler.repeat_penalty, 0, 100));
  sampler.seed = static_cast<uint64_t>(arguments.get_int("--seed", 0, 0, INT64_MAX));

  Completion completion;
  GenerateSink sink;
  sink.on_text = [](std::string_view text, int32_t) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  sink.on_done = [&](StopReason reason, const GenerateStats& stats, const EngineError* error) {
    completion.set(reason, stats, error);
  };
  std::signal(SIGINT, [](int) { g_interrupted = true; });
  const StopReason reason = completion.wait(*engine, engine->submit(std::move(request), std::move(sink)));

  const GenerateStats& stats = completion.stats();
  std::fprintf(
      stderr, "\n[%s; prompt %d tokens, %.1f tok/s; reply %d tokens, %.1f tok/s; first token after %.0f ms; %s]\n",
      stop_reason_name(reason), stats.n_prompt, per_second(stats.n_prompt - stats.n_reused, stats.prefill_ms),
      stats.n_decoded, per_second(stats.n_decoded, stats.decode_ms), stats.ttft_ms, model->info().backend.c_str());
  if (model->info().n_expert > 0) std::fprintf(stderr, "[%s]\n", expert_summary(*engine).c_str());
  return 0;
}

}  // namespace outpost::cli
