#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <string>

#include "cli/command.h"
#include "cli/probabilities.h"
#include "core/strings.h"

namespace outpost::cli {
namespace {

/// FNV-1a over the bits of all logits: equal hashes mean equal results to the bit.
uint64_t hash_bits(std::span<const float> logits) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const float logit : logits) hash = (hash ^ std::bit_cast<uint32_t>(logit)) * 0x100000001b3u;
  return hash;
}

/// ,"top":[[id,probability],...] of one row of logits, most probable first
void print_top(std::span<const float> logits, size_t n_top) {
  const double normalizer = log_sum_exp(logits);
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(n_top), order.end(), [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  });
  std::printf(",\"top\":[");
  for (size_t i = 0; i < n_top; ++i) {
    const double probability = std::exp(logits[static_cast<size_t>(order[i])] - normalizer);
    std::printf("%s[%d,%.9g]", i > 0 ? "," : "", order[i], probability);
  }
  std::printf("]");
}

/// ,"log_probs":[[...],...]: one list by id for each row
void print_log_probabilities(std::span<const float> logits, size_t n_vocab) {
  std::printf(",\"log_probs\":[");
  for (size_t at = 0; at < logits.size(); at += n_vocab) {
    const auto row = logits.subspan(at, n_vocab);
    const double normalizer = log_sum_exp(row);
    std::printf(at > 0 ? ",[" : "[");
    for (size_t id = 0; id < n_vocab; ++id) std::printf("%s%.9g", id > 0 ? "," : "", row[id] - normalizer);
    std::printf("]");
  }
  std::printf("]");
}

}  // namespace

int run_logits(const std::vector<std::string>& words) {
  const Arguments arguments(words, with_load_options({"--top", "--chunk", "--last"}), {"--all"});
  const auto model = Model::load(arguments.positional(0, "MODEL"), load_options(arguments));
  const auto n_vocab = static_cast<size_t>(model->info().n_vocab);
  const auto n_top =
      static_cast<size_t>(arguments.get_int("--top", std::min(40, model->info().n_vocab), 1, model->info().n_vocab));
  const auto n_chunk = static_cast<int32_t>(arguments.get_int("--chunk", 256, 1, 1 << 28));
  const auto n_last = static_cast<size_t>(arguments.get_int("--last", 1, 1, 1 << 28));
  const bool is_all = arguments.has("--all");

  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.empty()) continue;
    const auto ids = parse_json_ids(line);
    const auto n_rows = static_cast<int32_t>(std::clamp<size_t>(ids.size(), 1, n_last));
    const auto logits = evaluate_logits(*model, ids, n_rows, n_chunk);
    std::printf("{\"hash\":\"%016llx\"", static_cast<unsigned long long>(hash_bits(logits)));
    if (is_all) {
      print_log_probabilities(logits, n_vocab);
    } else {
      print_top(std::span(logits).last(n_vocab), n_top);
    }
    std::printf("}\n");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace outpost::cli
