#include <cstdio>
#include <numbers>

#include "cli/command.h"
#include "cli/probabilities.h"
#include "core/strings.h"

namespace outpost::cli {

// Each window of n_ctx tokens starts from an empty cache with BOS; its second half is scored, so that every
// scored token has at least half a window before it (the convention of llama.cpp's tool). --whole scores all tokens of
// a text that fits the context instead, and says how many bytes it has: bits per byte compare models of any vocabulary.
int run_perplexity(const std::vector<std::string>& words) {
  const Arguments arguments(words, with_load_options({"--ctx", "--chunks"}), {"--whole"}, 2);
  const auto model = Model::load(arguments.positional(0, "MODEL"), load_options(arguments));
  auto n_ctx = static_cast<size_t>(arguments.get_int("--ctx", 512, 8, model->info().n_ctx_train));
  const std::string text = read_file(arguments.positional(1, "TEXTFILE"));
  auto tokens = model->tokenize(text);
  const bool is_whole = arguments.has("--whole");
  if (is_whole && tokens.size() > n_ctx)
    throw UsageError(concat("the text has ", tokens.size(), " tokens; --ctx is ", n_ctx));
  if (is_whole && tokens.size() >= 2) n_ctx = tokens.size();
  const size_t n_wanted = is_whole ? 1 : static_cast<size_t>(arguments.get_int("--chunks", 1 << 30, 1, 1 << 30));
  const size_t n_chunks = std::min<size_t>(tokens.size() / n_ctx, n_wanted);
  if (n_chunks == 0)
    throw UsageError(concat("the text has ", tokens.size(), " tokens; at least ", n_ctx, " are needed"));

  const auto n_vocab = static_cast<size_t>(model->info().n_vocab);
  const bool has_bos = !tokens.empty() && tokens[0] == model->tokenize("")[0];
  double sum = 0, sum_sq = 0;
  size_t n_scored = 0;
  for (size_t chunk = 0; chunk < n_chunks; ++chunk) {
    std::vector<int32_t> window(tokens.begin() + static_cast<int64_t>(chunk * n_ctx),
                                tokens.begin() + static_cast<int64_t>((chunk + 1) * n_ctx));
    if (has_bos) window[0] = tokens[0];
    const size_t first = is_whole ? 0 : n_ctx / 2;
    const auto logits = evaluate_logits(*model, window, static_cast<int32_t>(n_ctx - first), 256);
    for (size_t i = first; i + 1 < n_ctx; ++i) {
      const auto row = std::span(logits).subspan((i - first) * n_vocab, n_vocab);
      const double loss = log_sum_exp(row) - row[static_cast<size_t>(window[i + 1])];
      sum += loss;
      sum_sq += loss * loss;
      ++n_scored;
    }
    const double mean = sum / static_cast<double>(n_scored);
    std::printf("[%zu/%zu] %.4f\n", chunk + 1, n_chunks, std::exp(mean));
    std::fflush(stdout);
  }
  const auto n = static_cast<double>(n_scored);
  const double mean = sum / n;
  const double error = n > 1 ? std::sqrt(std::max(0.0, sum_sq / n - mean * mean) / (n - 1)) : 0;
  std::printf("perplexity %.4f +/- %.4f over %zu tokens\n", std::exp(mean), std::exp(mean) * error, n_scored);
  if (is_whole) std::printf("%.2f bits over %zu bytes\n", sum / std::numbers::ln2, text.size());
  return 0;
}

}  // namespace outpost::cli
