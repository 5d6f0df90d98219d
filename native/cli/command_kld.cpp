#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "cli/command.h"
#include "cli/probabilities.h"
#include "core/strings.h"

namespace outpost::cli {
namespace {

/// What one format of keys and values did to the distributions of the next token, beside f16.
struct Divergence {
  std::vector<double> kld;
  size_t n_flips = 0;
  double loss = 0, exact_loss = 0;  // sums of -log p(next token)

  void add(std::span<const float> exact, std::span<const float> other, size_t next) {
    const double exact_norm = log_sum_exp(exact), other_norm = log_sum_exp(other);
    double sum = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double log_p = exact[i] - exact_norm;
      sum += std::exp(log_p) * (log_p - (other[i] - other_norm));
    }
    kld.push_back(sum);
    const auto top = [](std::span<const float> row) { return std::max_element(row.begin(), row.end()) - row.begin(); };
    if (top(exact) != top(other)) ++n_flips;
    exact_loss += exact_norm - exact[next];
    loss += other_norm - other[next];
  }
};

std::vector<std::string> split_commas(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream in(list);
  for (std::string name; std::getline(in, name, ',');) names.push_back(name);
  return names;
}

}  // namespace

// Windows as perplexity has them: each from an empty cache with BOS, its second half scored, so that what is packed and
// what is fresh both take part as in use.
int run_kld(const std::vector<std::string>& words) {
  const Arguments arguments(words, with_load_options({"--ctx", "--chunks", "--kv"}), {"--json"}, 2);
  const auto model = Model::load(arguments.positional(0, "MODEL"), load_options(arguments));
  const auto n_ctx = static_cast<size_t>(
      arguments.get_int("--ctx", std::min(2048, model->info().n_ctx_train), 8, model->info().n_ctx_train));
  const auto tokens = model->tokenize(read_file(arguments.positional(1, "TEXTFILE")));
  const auto formats = split_commas(arguments.get("--kv", "safe,compact,max"));
  for (const std::string& format : formats) kv_sequence_bytes(*model, 0, format);  // refuses what is no format
  const size_t n_windows =
      std::min<size_t>(tokens.size() / n_ctx, static_cast<size_t>(arguments.get_int("--chunks", 4, 1, 1 << 30)));
  if (n_windows == 0)
    throw UsageError(concat("the text has ", tokens.size(), " tokens; at least ", n_ctx, " are needed"));

  const auto n_vocab = static_cast<size_t>(model->info().n_vocab);
  const bool has_bos = !tokens.empty() && tokens[0] == model->tokenize("")[0];
  const size_t first = n_ctx / 2;
  std::vector<Divergence> results(formats.size());
  for (size_t w = 0; w < n_windows; ++w) {
    std::vector<int32_t> window(tokens.begin() + static_cast<int64_t>(w * n_ctx),
                                tokens.begin() + static_cast<int64_t>((w + 1) * n_ctx));
    if (has_bos) window[0] = tokens[0];
    const auto n_last = static_cast<int32_t>(n_ctx - first);
    const auto exact = evaluate_logits(*model, window, n_last, 256);
    for (size_t f = 0; f < formats.size(); ++f) {
      const auto logits = evaluate_logits(*model, window, n_last, 256, formats[f]);
      for (size_t i = 0; i + 1 < n_ctx - first; ++i) {
        results[f].add(std::span(exact).subspan(i * n_vocab, n_vocab), std::span(logits).subspan(i * n_vocab, n_vocab),
                       static_cast<size_t>(window[first + i + 1]));
      }
    }
  }

  const bool is_json = arguments.has("--json");
  if (!is_json)
    std::printf("%-10s %8s %8s %10s %10s %7s %10s %10s\n", "kv", "bits", "bits 32K", "mean KLD", "p99 KLD", "flips",
                "ppl", "ppl exact");
  for (size_t f = 0; f < formats.size(); ++f) {
    Divergence& result = results[f];
    std::sort(result.kld.begin(), result.kld.end());
    const auto n = static_cast<double>(result.kld.size());
    double mean = 0;
    for (const double x : result.kld) mean += x / n;
    const double p99 = result.kld[static_cast<size_t>(0.99 * (n - 1))];
    const auto bits_at = [&](int32_t n_tokens) {
      return 16.0 * static_cast<double>(kv_sequence_bytes(*model, n_tokens, formats[f])) /
             (static_cast<double>(model->info().kv_bytes_per_token) * n_tokens);
    };
    const double bits = bits_at(static_cast<int32_t>(n_ctx)), bits_long = bits_at(32768);
    const double flips = static_cast<double>(result.n_flips) / n;
    const double perplexity = std::exp(result.loss / n), exact = std::exp(result.exact_loss / n);
    std::printf(is_json ? "{\"kv\":\"%s\",\"bits\":%.4f,\"bits_32k\":%.4f,\"mean_kld\":%.8f,\"p99_kld\":%.8f,"
                          "\"top1_flips\":%.6f,\"perplexity\":%.6f,\"perplexity_exact\":%.6f,\"n_tokens\":%zu}\n"
                        : "%-10s %8.3f %8.3f %10.6f %10.6f %6.2f%% %10.4f %10.4f\n",
                formats[f].c_str(), bits, bits_long, mean, p99, is_json ? flips : 100 * flips, perplexity, exact,
                result.kld.size());
  }
  return 0;
}

}  // namespace outpost::cli
