#include <algorithm>
#include <cstdio>
#include <sstream>

#include "cli/command.h"
#include "core/strings.h"

namespace outpost::cli {
namespace {

std::vector<std::string> split_commas(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream in(list);
  for (std::string name; std::getline(in, name, ',');) names.push_back(name);
  return names;
}

}  // namespace

int run_kld(const std::vector<std::string>& words) {
  const Arguments arguments(words, with_load_options({"--ctx", "--chunks", "--kv"}), {"--json"}, 2);
  const auto model = Model::load(arguments.positional(0, "MODEL"), load_options(arguments));
  const auto n_ctx = static_cast<size_t>(
      arguments.get_int("--ctx", std::min(2048, model->info().n_ctx_train), 8, model->info().n_ctx_train));
  auto tokens = model->tokenize(read_file(arguments.positional(1, "TEXTFILE")));
  const auto formats = split_commas(arguments.get("--kv", "safe,compact,max"));
  const size_t n_most = static_cast<size_t>(arguments.get_int("--chunks", 4, 1, 1 << 20)) * n_ctx;
  tokens.resize(std::min(tokens.size(), n_most));
  if (tokens.size() < n_ctx)
    throw UsageError(concat("the text has ", tokens.size(), " tokens; at least ", n_ctx, " are needed"));
  const auto results = measure_kv(*model, tokens, static_cast<int32_t>(n_ctx), formats);

  const bool is_json = arguments.has("--json");
  if (!is_json)
    std::printf("%-14s %8s %8s %10s %10s %7s %10s %10s\n", "kv", "bits", "bits 32K", "mean KLD", "p99 KLD", "flips",
                "ppl", "ppl exact");
  for (size_t f = 0; f < formats.size(); ++f) {
    const KvDivergence& of = results[f];
    std::printf(is_json ? "{\"kv\":\"%s\",\"bits\":%.4f,\"bits_32k\":%.4f,\"mean_kld\":%.8f,\"p99_kld\":%.8f,"
                          "\"top1_flips\":%.6f,\"perplexity\":%.6f,\"perplexity_exact\":%.6f,\"n_tokens\":%lld}\n"
                        : "%-14s %8.3f %8.3f %10.6f %10.6f %6.2f%% %10.4f %10.4f\n",
                formats[f].c_str(), of.bits, of.bits_long, of.mean_kld, of.p99_kld, is_json ? of.flips : 100 * of.flips,
                of.perplexity, of.perplexity_exact, static_cast<long long>(of.n_tokens));
  }
  return 0;
}

}  // namespace outpost::cli
