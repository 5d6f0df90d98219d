#include <atomic>
#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>

#include "cli/command.h"
#include "core/paths.h"
#include "core/strings.h"
#include "tokenizer/trainer/trainer.h"
#include "tokenizer/trainer/vocabulary_file.h"

namespace outpost::cli {
namespace {

std::atomic<bool> is_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // else a signal handler must not touch it

void interrupt(int) { is_interrupted = true; }

TrainerOptions trainer_options(const Arguments& arguments) {
  TrainerOptions options;
  const int64_t n_vocab = arguments.get_int("--vocabulary", 65536, kSpecialTokens + 256, 1 << 20);
  options.n_tokens = static_cast<int32_t>(n_vocab) - kSpecialTokens;
  options.n_subwords = static_cast<int32_t>(arguments.get_int("--subwords", 0, 256, options.n_tokens));
  MergeLimits& limits = options.limits;
  limits.max_token_bytes = static_cast<size_t>(
      arguments.get_int("--max-token-bytes", static_cast<int64_t>(limits.max_token_bytes), 1, 1024));
  limits.max_words = static_cast<int32_t>(arguments.get_int("--max-words", limits.max_words, 1, 1024));
  limits.min_count = static_cast<uint64_t>(
      arguments.get_int("--min-count", static_cast<int64_t>(limits.min_count), 1, int64_t{1} << 40));
  limits.min_sources = static_cast<int32_t>(arguments.get_int("--min-sources", limits.min_sources, 1, 64));
  options.source_depth = static_cast<int32_t>(arguments.get_int("--source-depth", 0, 0, 64));
  options.max_bytes = static_cast<uint64_t>(arguments.get_int("--memory-mib", 3072, 64, 1 << 20)) << 20;
  options.n_threads = static_cast<int32_t>(arguments.get_int("--threads", 0, 0, 1024));
  return options;
}

/// Prints one line per stage, rewritten about four times a second.
class ProgressLine {
 public:
  bool operator()(const TrainerProgress& progress) {
    const auto now = std::chrono::steady_clock::now();
    const bool is_new_stage = progress.stage != stage_;
    if (is_new_stage || now - last_ > std::chrono::milliseconds(250)) {
      if (is_new_stage && !stage_.empty()) std::fputc('\n', stderr);
      stage_ = progress.stage;
      last_ = now;
      const uint64_t percent = progress.total > 0 ? progress.done * 100 / progress.total : 100;
      std::fprintf(stderr, "\r%s: %d %%", progress.stage, static_cast<int>(percent));
      std::fflush(stderr);
    }
    return !is_interrupted;
  }
  void end() {
    if (!stage_.empty()) std::fputc('\n', stderr);
  }

 private:
  std::string stage_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace

int run_train_tokenizer(const std::vector<std::string>& words) {
  const Arguments arguments(words,
                            {"--out", "--json", "--vocabulary", "--subwords", "--max-token-bytes", "--max-words",
                             "--min-count", "--min-sources", "--source-depth", "--memory-mib", "--threads"},
                            {});
  const std::string& folder = arguments.positional(0, "FOLDER");
  if (!arguments.has("--out")) throw UsageError("missing --out FILE.gguf");
  const TrainerOptions options = trainer_options(arguments);

  // Ctrl-C ends the training at its next step. Files are written after that, in a moment, and not interrupted.
  std::signal(SIGINT, interrupt);
  ProgressLine progress;
  TrainingResult result;
  try {
    result = train_tokenizer(folder, options, [&](const TrainerProgress& now) { return progress(now); });
  } catch (const EngineError& error) {
    progress.end();
    if (error.code() != ErrorCode::kCancelled) throw;
    std::fprintf(stderr, "Stopped; nothing was written.\n");
    return 130;
  }
  progress.end();

  const std::string out = arguments.get("--out");
  write_vocabulary_gguf(out, result, utf8_of(path_of(out).stem()));
  if (arguments.has("--json")) write_vocabulary_json(arguments.get("--json"), result, options);
  std::printf("%d tokens (%d special, %d subwords, %d superwords) from %" PRIu64 " files, %.1f MB, %" PRIu64
              " sources\n",
              kSpecialTokens + result.tokens.size(), kSpecialTokens, result.n_subwords,
              result.tokens.size() - result.n_subwords, result.n_files, static_cast<double>(result.n_bytes) / 1e6,
              result.n_sources);
  std::printf("%" PRIu64 " words and %" PRIu64 " pieces of lines\n", result.n_words, result.n_pieces);
  if (result.dropped_words + result.dropped_pieces > 0) {
    std::printf("to keep to the memory, words that occurred %" PRIu64 " times or less were dropped, pieces %" PRIu64
                " times\n",
                result.dropped_words, result.dropped_pieces);
  }
  if (result.tokens.size() < options.n_tokens) {
    std::printf("fewer than asked for: no other pair is frequent and widespread enough\n");
  }
  return 0;
}

}  // namespace outpost::cli
