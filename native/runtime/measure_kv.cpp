// What formats of keys and values do to a model's predictions.
#include <algorithm>
#include <cmath>

#include "core/strings.h"
#include "runtime/loaded_model.h"

namespace outpost {
namespace {

double log_sum_exp(std::span<const float> logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return most + std::log(sum);
}

class Comparison {
 public:
  void add(std::span<const float> exact, std::span<const float> other, size_t next) {
    const double exact_norm = log_sum_exp(exact), other_norm = log_sum_exp(other);
    double sum = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double log_p = exact[i] - exact_norm;
      sum += std::exp(log_p) * (log_p - (other[i] - other_norm));
    }
    kld_.push_back(sum);
    const auto top = [](std::span<const float> row) { return std::max_element(row.begin(), row.end()) - row.begin(); };
    if (top(exact) != top(other)) ++n_flips_;
    exact_loss_ += exact_norm - exact[next];
    loss_ += other_norm - other[next];
  }

  KvDivergence result() {
    std::sort(kld_.begin(), kld_.end());
    const auto n = static_cast<double>(kld_.size());
    KvDivergence result;
    result.n_tokens = static_cast<int64_t>(kld_.size());
    for (const double kld : kld_) result.mean_kld += kld / n;
    result.p99_kld = kld_[static_cast<size_t>(0.99 * (n - 1))];
    result.flips = static_cast<double>(n_flips_) / n;
    result.perplexity = std::exp(loss_ / n);
    result.perplexity_exact = std::exp(exact_loss_ / n);
    return result;
  }

 private:
  std::vector<double> kld_;
  size_t n_flips_ = 0;
  double loss_ = 0, exact_loss_ = 0;  // sums of -log p(next token)
};

}  // namespace

std::vector<KvDivergence> measure_kv(const Model& model, std::span<const int32_t> tokens, int32_t n_ctx,
                                     std::span<const std::string> formats,
                                     const std::function<bool(float fraction)>& on_progress) {
  const auto& loaded = static_cast<const LoadedModel&>(model);
  const auto window_size = static_cast<size_t>(n_ctx);
  if (n_ctx < 8 || tokens.size() < window_size) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("The text has ", tokens.size(), " tokens; a window has ", n_ctx, ", and at least 8."));
  }
  for (const std::string& format : formats) loaded.kv_format(format);  // refuses what is no format
  const size_t n_windows = tokens.size() / window_size, n_vocab = static_cast<size_t>(loaded.info().n_vocab);
  const std::vector<int32_t> empty = loaded.tokenize("", {});
  const bool has_bos = !empty.empty() && tokens[0] == empty[0];
  const size_t n_scored = window_size - window_size / 2;
  size_t n_done = 0;
  const auto compute = [&](std::span<const int32_t> window, const std::string& format) {
    const float fraction = static_cast<float>(n_done++) / static_cast<float>(n_windows * (formats.size() + 1));
    const auto goes_on = [&] { return !on_progress || on_progress(fraction); };
    constexpr int32_t kChunk = 64;  // a request waits for one at most
    return evaluate_logits(model, window, static_cast<int32_t>(n_scored), kChunk, format, goes_on);
  };

  std::vector<Comparison> comparisons(formats.size());
  for (size_t w = 0; w < n_windows; ++w) {
    const auto from = tokens.subspan(w * window_size, window_size);
    std::vector<int32_t> window(from.begin(), from.end());
    if (has_bos) window[0] = tokens[0];
    const auto exact = compute(window, "exact");
    for (size_t f = 0; f < formats.size(); ++f) {
      const auto logits = compute(window, formats[f]);
      for (size_t i = 0; i + 1 < n_scored; ++i) {
        comparisons[f].add(std::span(exact).subspan(i * n_vocab, n_vocab),
                           std::span(logits).subspan(i * n_vocab, n_vocab),
                           static_cast<size_t>(window[window_size - n_scored + i + 1]));
      }
    }
  }

  std::vector<KvDivergence> results;
  for (size_t f = 0; f < formats.size(); ++f) {
    KvDivergence& result = results.emplace_back(comparisons[f].result());
    const auto bits_at = [&](int32_t n_tokens) {
      return 16.0 * static_cast<double>(kv_sequence_bytes(model, n_tokens, formats[f])) /
             (static_cast<double>(loaded.info().kv_bytes_per_token) * n_tokens);
    };
    result.bits = formats[f] == "q4_0" ? 4.5 : bits_at(n_ctx);  // a block of 32 has a scale of 16 bit
    result.bits_long = formats[f] == "q4_0" ? 4.5 : bits_at(32768);
  }
  return results;
}

KvCheck check_kv(const Model& model, std::span<const int32_t> calibration_tokens, std::span<const int32_t> tokens,
                 int32_t n_ctx, std::span<const std::string> formats, const std::function<bool()>& goes_on) {
  const auto on_progress = [&](float) { return !goes_on || goes_on(); };
  KvCheck check;
  if (static_cast<const LoadedModel&>(model).find_calibration()) {
    check.calibration = KvCalibrationSource::kKept;
  } else if (!calibration_tokens.empty()) {
    calibrate_kv(model, calibration_tokens, on_progress);
    check.calibration = KvCalibrationSource::kMade;
  }
  check.divergences = measure_kv(model, tokens, n_ctx, formats, on_progress);
  return check;
}

}  // namespace outpost
