#include <bit>
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

}  // namespace

int run_logits(const std::vector<std::string>& words) {
  const Arguments arguments(words, with_load_options({"--top", "--chunk"}), {});
  const auto model = Model::load(arguments.positional(0, "MODEL"), load_options(arguments));
  const auto n_top = static_cast<size_t>(arguments.get_int("--top", 40, 1, model->info().n_vocab));
  const auto n_chunk = static_cast<int32_t>(arguments.get_int("--chunk", 256, 1, 1 << 28));

  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.empty()) continue;
    const auto logits = evaluate_logits(*model, parse_json_ids(line), 1, n_chunk);
    const double normalizer = log_sum_exp(logits);
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(n_top), order.end(),
                      [&](int32_t a, int32_t b) {
                        const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
                        return x > y || (x == y && a < b);
                      });
    std::printf("{\"hash\":\"%016llx\",\"top\":[", static_cast<unsigned long long>(hash_bits(logits)));
    for (size_t i = 0; i < n_top; ++i) {
      const double probability = std::exp(logits[static_cast<size_t>(order[i])] - normalizer);
      std::printf("%s[%d,%.9g]", i > 0 ? "," : "", order[i], probability);
    }
    std::printf("]}\n");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace outpost::cli
