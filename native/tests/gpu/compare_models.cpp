// outpost-gpu-models DEVICE MODEL...: what a GPU computes for whole models, against the CPU and against itself.
//
// Of each model, the distribution after every token of a random text:
// - on the CPU and on the device they differ by rounding alone: activations become 8-bit integers in both, in groups of
//   256 there and of 32 here, keys and values f16.
// - the most probable token is the same wherever its lead is larger than what rounding can take.
// - on the device the bits do not depend on the chunks in which the text was computed, as long as all have at most 16
//   tokens or all have more: more go to matrix units as f16, where fewer are 8-bit integers. Between the two there is
//   the same kind of difference as between CPU and device.
// Prints a line for each model; exit code 1 if one fails. Without a device it says so, exit code 0.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "engine.h"

namespace {

using namespace outpost;

// Root mean square of the differences of log-probabilities, and the most of a single one: ten times what
// scripts/model-tests/architectures.mjs finds between llama.cpp and the exact values on the same models (sigma is
// 0.003 to 0.02 there), which is the same kind of rounding.
constexpr double kMostRms = 0.1;
constexpr double kMostDifference = 1.0;

std::vector<double> log_probabilities(const float* logits, size_t n) {
  const double max = *std::max_element(logits, logits + n);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += std::exp(logits[i] - max);
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = logits[i] - max - std::log(sum);
  return values;
}

struct Difference {
  double rms = 0, most = 0, kld = 0;
  int n_rows = 0, n_same_top = 0, n_wrong_top = 0;
};

Difference compare(const std::vector<float>& expected, const std::vector<float>& got, size_t n_vocab) {
  Difference d;
  double squares = 0;
  for (size_t at = 0; at < expected.size(); at += n_vocab, ++d.n_rows) {
    const auto a = log_probabilities(&expected[at], n_vocab), b = log_probabilities(&got[at], n_vocab);
    for (size_t i = 0; i < n_vocab; ++i) {
      const double difference = b[i] - a[i];
      squares += difference * difference;
      if (!(std::abs(difference) <= d.most)) d.most = std::abs(difference);  // a NaN stays
      d.kld += std::exp(a[i]) * (a[i] - b[i]);
    }
    const auto top_a = std::max_element(a.begin(), a.end()) - a.begin();
    const auto top_b = std::max_element(b.begin(), b.end()) - b.begin();
    d.n_same_top += top_a == top_b ? 1 : 0;
    const double lead = a[static_cast<size_t>(top_a)] - a[static_cast<size_t>(top_b)];
    d.n_wrong_top += lead > 6 * kMostRms ? 1 : 0;
  }
  d.rms = std::sqrt(squares / static_cast<double>(expected.size()));
  d.kld /= d.n_rows;
  return d;
}

bool check_model(const std::string& device, const std::string& path) {
  LoadOptions options;
  const auto on_cpu = Model::load(path, options);
  options.device = device;
  const auto on_gpu = Model::load(path, options);
  const ModelInfo& info = on_cpu->info();
  std::mt19937 random(7);
  std::vector<int32_t> tokens;
  const int32_t n_tokens = std::min(300, info.n_ctx_train);
  for (int32_t i = 0; i < n_tokens; ++i)
    tokens.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(info.n_vocab)));
  const auto n_vocab = static_cast<size_t>(info.n_vocab);
  const auto expected = evaluate_logits(*on_cpu, tokens, n_tokens, 128);
  const auto got = evaluate_logits(*on_gpu, tokens, n_tokens, 512);
  const Difference d = compare(expected, got, n_vocab);

  // Rows of passes with more than 16 tokens, after none with fewer.
  const auto n_large_rows = [&](int32_t n_chunk) {
    return n_tokens % n_chunk > 16 ? n_tokens : n_tokens / n_chunk * n_chunk;
  };
  std::string other_chunks;
  for (const int32_t n_chunk : {17, 64, 100}) {
    const auto part = evaluate_logits(*on_gpu, tokens, n_tokens, n_chunk);
    const auto n = static_cast<std::ptrdiff_t>(static_cast<size_t>(n_large_rows(n_chunk)) * n_vocab);
    if (!std::equal(part.begin(), part.begin() + n, got.begin())) other_chunks += " " + std::to_string(n_chunk);
  }
  const auto small = evaluate_logits(*on_gpu, tokens, n_tokens, 1);
  for (const int32_t n_chunk : {2, 5, 8, 16}) {
    if (evaluate_logits(*on_gpu, tokens, n_tokens, n_chunk) != small) other_chunks += " " + std::to_string(n_chunk);
  }
  const Difference of_small = compare(expected, small, n_vocab), between = compare(small, got, n_vocab);
  bool is_good = other_chunks.empty();
  for (const Difference* each : {&d, &of_small, &between})
    is_good = is_good && each->rms <= kMostRms && each->most <= kMostDifference && each->n_wrong_top == 0;
  std::printf(
      "%s %-28s %-10s rms %.5f, most %.4f, KLD %.2e, same top %d of %d; few tokens at once: rms %.5f, most %.4f%s%s\n",
      is_good ? "ok    " : "FAILED", path.substr(path.find_last_of('/') + 1).c_str(), info.architecture.c_str(), d.rms,
      d.most, d.kld, d.n_same_top, d.n_rows, of_small.rms, of_small.most,
      other_chunks.empty() ? "" : "; other bits in chunks of", other_chunks.c_str());
  return is_good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: outpost-gpu-models DEVICE MODEL...\n");
    return 2;
  }
  std::string reason;
  if (const auto devices = list_devices(reason); devices.size() < 2) {
    std::printf("no CUDA device: %s. Nothing was checked.\n", reason.c_str());
    return 0;
  }
  int n_failed = 0;
  for (int i = 2; i < argc; ++i) {
    try {
      n_failed += check_model(argv[1], argv[i]) ? 0 : 1;
    } catch (const std::exception& error) {
      std::printf("FAILED %s: %s\n", argv[i], error.what());
      ++n_failed;
    }
    std::fflush(stdout);
  }
  std::printf("%d of %d models failed\n", n_failed, argc - 2);
  return n_failed == 0 ? 0 : 1;
}
