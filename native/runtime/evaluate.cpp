// Passes outside of any request, for tests, self-checks and measurements.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <numeric>

#include "core/strings.h"
#include "kv/kv_pages.h"
#include "runtime/loaded_model.h"
#include "runtime/row_logits.h"
#include "sampling/sampler.h"

namespace outpost {
namespace {

/// A sequence with a cache of its own. Passes for requests take turns with its passes.
class PrivateSequence {
 public:
  /// @param goes_on asked before each layer, if there is one; false ends a pass with kCancelled
  PrivateSequence(const LoadedModel& model, int32_t n_tokens, const KvFormat& format,
                  std::function<bool()> goes_on = nullptr)
      : model_(model), goes_on_(std::move(goes_on)), page_table_(pages_of(n_tokens)) {
    const std::lock_guard lock(model.device_mutex());
    kv_ = model.stages().alloc_kv(model.network().kv_shape(), format, static_cast<int32_t>(page_table_.size()));
    for (size_t page = 0; page < page_table_.size(); ++page) page_table_[page] = static_cast<int32_t>(page);
  }

  ~PrivateSequence() {
    const std::lock_guard lock(model_.device_mutex());
    kv_.reset();
  }
  PrivateSequence(const PrivateSequence&) = delete;
  PrivateSequence& operator=(const PrivateSequence&) = delete;

  /// Computes `tokens` at the positions from n_past on. @param rows of `tokens` whose logits, or hidden states, are
  /// wanted
  void forward(std::span<const int32_t> tokens, int32_t n_past, std::span<const int32_t> rows, std::span<float> logits,
               bool wants_hidden = false) const {
    compute(tokens, n_past, rows, [&](Batch batch) {
      batch.wants_hidden = wants_hidden;
      model_.network().forward(batch, *kv_, logits);
    });
  }

  /// The same for all of `tokens`, as requests get it whose samplers want n_best[i] of the best behind token i.
  void forward(std::span<const int32_t> tokens, int32_t n_past, std::span<const int32_t> n_best,
               RowLogits& logits) const {
    std::vector<int32_t> rows(tokens.size());
    std::iota(rows.begin(), rows.end(), 0);
    compute(tokens, n_past, rows, [&](const Batch& batch) {
      logits.compute(model_.network(), batch, n_best,
                     [&](const Batch& own, std::span<float> all) { model_.network().forward(own, *kv_, all); });
    });
  }

 private:
  void compute(std::span<const int32_t> tokens, int32_t n_past, std::span<const int32_t> rows,
               const std::function<void(const Batch&)>& forward) const {
    const SequenceRun run{page_table_, n_past, static_cast<int32_t>(tokens.size())};
    const std::lock_guard lock(model_.device_mutex());
    forward({tokens, {&run, 1}, rows, model_.info().n_ctx_train, false, goes_on_});
    kv_drop_old(*kv_, page_table_, run.n_past + run.n_tokens);
  }

  static size_t pages_of(int32_t n_tokens) { return static_cast<size_t>((n_tokens + kKvPageSize - 1) / kKvPageSize); }

  const LoadedModel& model_;
  const std::function<bool()> goes_on_;
  std::vector<int32_t> page_table_;
  std::unique_ptr<KvStorage> kv_;
};

void check_context(const LoadedModel& model, int32_t n_tokens) {
  if (n_tokens > model.info().n_ctx_train) {
    throw EngineError(ErrorCode::kContextFull,
                      concat(n_tokens, " tokens do not fit into the context of ", model.info().n_ctx_train, "."));
  }
}

}  // namespace

std::vector<float> evaluate_logits(const Model& model, std::span<const int32_t> tokens, int32_t n_last, int32_t n_chunk,
                                   const std::string& kv, const std::function<bool()>& goes_on) {
  const auto& loaded = static_cast<const LoadedModel&>(model);
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  if (n_tokens == 0) throw EngineError(ErrorCode::kInvalidArgument, "There are no tokens to evaluate.");
  if (n_last < 1 || n_last > n_tokens) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("n_last is ", n_last, "; expected 1 to the number of tokens, ", n_tokens, "."));
  }
  if (n_chunk < 1)
    throw EngineError(ErrorCode::kInvalidArgument, concat("n_chunk is ", n_chunk, "; expected at least 1."));
  check_context(loaded, n_tokens);
  loaded.check_ids(tokens);

  const PrivateSequence sequence(loaded, n_tokens, loaded.kv_format(kv), goes_on);
  const auto n_vocab = static_cast<size_t>(loaded.info().n_vocab);
  std::vector<float> logits(static_cast<size_t>(n_last) * n_vocab);
  size_t n_written = 0;
  for (int32_t n_past = 0; n_past < n_tokens; n_past += n_chunk) {
    const int32_t n = std::min(n_chunk, n_tokens - n_past);
    std::vector<int32_t> rows;
    for (int32_t i = std::max(0, n_tokens - n_last - n_past); i < n; ++i) rows.push_back(i);
    sequence.forward(tokens.subspan(static_cast<size_t>(n_past), static_cast<size_t>(n)), n_past, rows,
                     std::span(logits).subspan(n_written, rows.size() * n_vocab));
    n_written += rows.size() * n_vocab;
  }
  return logits;
}

std::vector<float> embed(const Model& model, std::span<const int32_t> tokens) {
  const auto& loaded = static_cast<const LoadedModel&>(model);
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  if (n_tokens == 0) throw EngineError(ErrorCode::kInvalidArgument, "There are no tokens to embed.");
  check_context(loaded, n_tokens);
  loaded.check_ids(tokens);

  const bool is_mean = loaded.network().pooling() == Pooling::kMean;
  const auto n_embd = static_cast<size_t>(loaded.info().n_embd);
  constexpr int32_t kChunk = 256;
  const PrivateSequence sequence(loaded, n_tokens, loaded.kv_format("exact"));
  std::vector<double> sums(n_embd);
  std::vector<float> hidden;
  for (int32_t n_past = 0; n_past < n_tokens; n_past += kChunk) {
    const int32_t n = std::min(kChunk, n_tokens - n_past);
    std::vector<int32_t> rows;
    for (int32_t i = is_mean ? 0 : std::max(0, n_tokens - 1 - n_past); i < n; ++i) rows.push_back(i);
    hidden.resize(rows.size() * n_embd);
    sequence.forward(tokens.subspan(static_cast<size_t>(n_past), static_cast<size_t>(n)), n_past, rows, hidden, true);
    for (size_t i = 0; i < hidden.size(); ++i) sums[i % n_embd] += double{hidden[i]};
  }
  double length = 0;
  for (const double sum : sums) length += sum * sum;
  length = std::sqrt(length);
  std::vector<float> vector(n_embd);
  if (length > 0) std::transform(sums.begin(), sums.end(), vector.begin(), [&](double x) { return float(x / length); });
  return vector;
}

std::vector<double> measure_steps(const Model& model, int32_t n_past, std::span<const int32_t> n_tokens,
                                  int32_t n_rounds, const std::string& kv) {
  const auto& loaded = static_cast<const LoadedModel&>(model);
  if (n_past < 0 || n_rounds < 1 || n_tokens.empty() || *std::min_element(n_tokens.begin(), n_tokens.end()) < 1)
    throw EngineError(ErrorCode::kInvalidArgument, "measure_steps needs tokens and rounds, at least one of each.");
  const int32_t n_most = *std::max_element(n_tokens.begin(), n_tokens.end());
  check_context(loaded, n_past + n_most);
  std::vector<int32_t> tokens(static_cast<size_t>(n_past + n_most));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>((i * 7919 + 300) % static_cast<size_t>(loaded.info().n_vocab));
  }

  const PrivateSequence sequence(loaded, n_past + n_most, loaded.kv_format(kv));
  constexpr int32_t kChunk = 512;
  for (int32_t at = 0; at < n_past; at += kChunk) {
    const auto n = static_cast<size_t>(std::min(kChunk, n_past - at));
    sequence.forward(std::span(tokens).subspan(static_cast<size_t>(at), n), at, {}, {});
  }
  const std::vector<int32_t> n_best(static_cast<size_t>(n_most), Sampler(SamplerParams{}).n_best());
  RowLogits logits(loaded);
  std::vector<std::vector<double>> times(n_tokens.size());
  // All sizes in turns: what disturbs the machine for a while disturbs all of them.
  for (int32_t round = -1; round < n_rounds; ++round) {
    for (size_t i = 0; i < n_tokens.size(); ++i) {
      const auto n = static_cast<size_t>(n_tokens[i]);
      const auto start = std::chrono::steady_clock::now();
      sequence.forward(std::span(tokens).subspan(static_cast<size_t>(n_past), n), n_past, std::span(n_best).first(n),
                       logits);
      const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
      if (round >= 0) times[i].push_back(time.count());  // the first round warms up
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& of_size : times) {
    std::nth_element(of_size.begin(), of_size.begin() + static_cast<std::ptrdiff_t>(of_size.size() / 2), of_size.end());
    medians.push_back(of_size[of_size.size() / 2]);
  }
  return medians;
}

void calibrate_kv(const Model& model, std::span<const int32_t> tokens,
                  const std::function<bool(float fraction)>& on_progress) {
  const auto& loaded = static_cast<const LoadedModel&>(model);
  constexpr size_t kLeast = 256, kWindow = 1024, kChunk = 64;  // a request waits for a chunk at most
  // Rotary embeddings of positions that few texts reach would only blur what holds for most.
  constexpr int32_t kMostPositions = 32768;
  if (tokens.size() < kLeast) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("A calibration needs ", kLeast, " tokens at least; there are ", tokens.size(),
                             ". Give it a longer text."));
  }
  loaded.check_ids(tokens);
  const int32_t n_ctx = loaded.info().n_ctx_train;
  const size_t n_window = std::min(kWindow, static_cast<size_t>(n_ctx));
  KvStatistics statistics(loaded.network().kv_shape(), std::min(n_ctx, kMostPositions));
  KvFormat format = loaded.kv_format("exact");
  format.statistics = &statistics;
  for (size_t first = 0; first < tokens.size(); first += n_window) {
    const auto window = tokens.subspan(first, std::min(n_window, tokens.size() - first));
    size_t at = 0;
    const auto goes_on = [&] {
      return !on_progress || on_progress(static_cast<float>(first + at) / static_cast<float>(tokens.size()));
    };
    const PrivateSequence sequence(loaded, static_cast<int32_t>(window.size()), format, goes_on);
    for (; at < window.size(); at += kChunk) {
      const auto chunk = window.subspan(at, std::min(kChunk, window.size() - at));
      sequence.forward(chunk, static_cast<int32_t>(at), {}, {});
    }
  }
  auto calibration = std::make_shared<const KvCalibration>(calibrate(statistics));
  save_calibration(*calibration, loaded.fingerprint(), kv_calibration_path(loaded.info().path));
  loaded.set_calibration(std::move(calibration));
}

uint64_t kv_sequence_bytes(const Model& model, int32_t n_tokens, const std::string& kv) {
  const auto& loaded = static_cast<const LoadedModel&>(model);
  if (n_tokens < 0)
    throw EngineError(ErrorCode::kInvalidArgument, concat("n_tokens is ", n_tokens, "; expected 0 or more."));
  const KvShape shape = loaded.network().kv_shape();
  const auto storage = loaded.stages().alloc_kv(shape, loaded.kv_format(kv), 1);
  return kv_needed_bytes(*storage, n_tokens);
}

}  // namespace outpost
