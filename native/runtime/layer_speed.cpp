// What a token costs besides the weights that it reads: the operations of a layer that are there whatever its width,
// and the keys and values of what came before. With weight_speed.cpp it makes up a prediction of tokens per second.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "backend/devices.h"
#include "engine.h"

namespace outpost {
namespace {

// The heads of a model of a billion weights. Keys and values of all layers together are more than caches hold.
constexpr int32_t kNLayer = 48, kNHead = 32, kNHeadKv = 8, kHeadDim = 64, kNEmbd = kNHead * kHeadDim;
constexpr int32_t kNPage = 16, kNContext = kNPage * kKvPageSize;
// Products of this size are shared out to two threads and take next to nothing.
constexpr int64_t kSmallRows = 128, kSmallCols = 256;
constexpr size_t kRounds = 8;

/// Arbitrary values of a size that numbers in a model have.
std::vector<float> arbitrary_values(size_t n) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = (static_cast<float>(i * 7 % 31) - 15.0f) / 16.0f;
  return values;
}

/// One token's way through layers whose products are small, in a context that is as long as asked for.
class Layers {
 public:
  explicit Layers(Backend& backend)
      : backend_(backend),
        kv_(backend.alloc_kv({kNLayer, kNHeadKv, kHeadDim, kHeadDim}, kNPage)),
        rope_(backend.create_rope(rope_params())),
        page_table_(kNPage) {
    std::iota(page_table_.begin(), page_table_.end(), 0);
    x_ = vector(kNEmbd), h_ = vector(kNEmbd), norm_ = vector(kNEmbd), small_ = vector(3 * kSmallRows);
    q_ = vector(kNContext * kNEmbd), k_ = vector(kNContext * kNHeadKv * kHeadDim);
    const std::vector<float> values = arbitrary_values(static_cast<size_t>(kSmallRows * kSmallCols));
    weight_ = backend_.load_weight({"weights of the speed measurement", TensorType::kF32, kSmallRows, kSmallCols,
                                    std::as_bytes(std::span(values))});
  }

  /// Writes keys and values for every position: memory that nobody wrote is not read as such memory is.
  void fill() {
    for (int32_t il = 0; il < kNLayer; ++il)
      backend_.rope_and_store_kv(q_->span(), k_->span(), k_->span(), *kv_, il, run(0, kNContext), params_, rope_.get());
    wait();
  }

  /// All operations of a layer, in the order of model/pre_norm_decoder.h, for the first token of a context.
  void operations(int32_t il) {
    const DeviceSpan<float> x = x_->span(), h = h_->span();
    const DeviceSpan<const float> small_x{x.data, static_cast<size_t>(kSmallCols)};
    const MatmulTask task = small_task(0), qkv[] = {task, small_task(1), small_task(2)};
    backend_.rms_norm(h, x, norm_->span(), 1, 1e-5f);
    backend_.matmul(qkv, small_x, 1);
    backend_.rope_and_store_kv(first(q_), first(k_), first(k_), *kv_, il, run(0, 1), params_, rope_.get());
    backend_.attention(h, first(q_), *kv_, il, run(0, 1), params_);
    backend_.matmul({&task, 1}, small_x, 1);
    backend_.add(x, h);
    backend_.rms_norm(h, x, norm_->span(), 1, 1e-5f);
    backend_.matmul_gated(task.result, {weight_.get(), weight_.get()}, small_x, 1, Gate::kSwiGlu);
    backend_.matmul({&task, 1}, small_x, 1);
    backend_.add(x, h);
    wait();
  }

  void attention(int32_t il, int32_t n_past) {
    backend_.attention(h_->span(), first(q_), *kv_, il, run(n_past, 1), params_);
    wait();
  }

 private:
  static RopeParams rope_params() {
    RopeParams params;
    for (int32_t i = 0; i < kHeadDim / 2; ++i) params.frequencies.push_back(std::pow(1e4, -2.0 * i / kHeadDim));
    return params;
  }

  std::unique_ptr<Buffer> vector(int64_t n) {
    const std::vector<float> values = arbitrary_values(static_cast<size_t>(n));
    return backend_.load_vector(
        {"the input of the speed measurement", TensorType::kF32, 1, n, std::as_bytes(std::span(values))});
  }

  MatmulTask small_task(int64_t i) {
    return {weight_.get(), {small_->span().data + i * kSmallRows, static_cast<size_t>(kSmallRows)}};
  }

  /// What belongs to one token. A token of q has kNEmbd values, one of k fewer.
  static DeviceSpan<float> first(const std::unique_ptr<Buffer>& of) {
    return {of->span().data, of->span().size / kNContext};
  }

  std::span<const SequenceRun> run(int32_t n_past, int32_t n_tokens) {
    run_ = {page_table_, n_past, n_tokens};
    return {&run_, 1};
  }

  void wait() {
    float result[kSmallRows];
    backend_.read(result, small_task(0).result);
  }

  Backend& backend_;
  const AttentionParams params_{kNHead, kNHeadKv, kHeadDim, kHeadDim, 0.125f};
  std::unique_ptr<KvStorage> kv_;
  std::unique_ptr<Rope> rope_;
  std::vector<int32_t> page_table_;
  SequenceRun run_{};
  std::unique_ptr<Buffer> x_, h_, norm_, small_, q_, k_;
  std::unique_ptr<Weight> weight_;
};

/// What one layer takes, in seconds: the quickest tenth of several rounds over all of them. What else runs on the
/// machine only adds to it, and does so to some of them.
template <typename Work>
double seconds_of_layer(const Work& work) {
  std::vector<double> seconds;
  for (size_t round = 0; round < kRounds; ++round) {
    for (int32_t il = 0; il < kNLayer; ++il) {
      const auto start = std::chrono::steady_clock::now();
      work(il);
      const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
      seconds.push_back(time.count());
    }
  }
  const auto tenth = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 10);
  std::nth_element(seconds.begin(), tenth, seconds.end());
  return *tenth;
}

}  // namespace

LayerSpeed measure_layer_speed(const LoadOptions& options) {
  const auto backend = create_backend(only_device(options), options, 0);
  Layers layers(*backend);
  layers.fill();
  const double operations = seconds_of_layer([&](int32_t il) { layers.operations(il); });
  // What starting the attention costs is among the operations already.
  const double started = seconds_of_layer([&](int32_t il) { layers.attention(il, 0); });
  const double read = seconds_of_layer([&](int32_t il) { layers.attention(il, kNContext - 1); });
  constexpr double kReadBytes = 2.0 * (kNContext - 1) * 2 * kNHeadKv * kHeadDim;  // f16
  return {operations, kReadBytes / std::max(read - started, read / 2)};
}

}  // namespace outpost
