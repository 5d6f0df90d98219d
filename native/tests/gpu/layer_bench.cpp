#include "tests/gpu/layer_bench.h"

#include <cstdio>
#include <memory>
#include <numeric>
#include <random>
#include <string>

#include "kernels/portable/attention_tiles.h"
#include "tests/gpu/bench_support.h"

namespace outpost::test {
namespace {

using namespace gpu;

constexpr int32_t kWidth = 4096, kFfn = 14336, kHeads = 32, kHeadsKv = 8, kDim = 128, kLayers = 32;
constexpr int32_t kLayersInMemory = 8;  // some GB: more than caches hold
constexpr int32_t kPositions = 256;

struct LayerWeights {
  DeviceArray<std::byte> q, k, v, o, gate, up, down;

  LayerWeights(const std::vector<std::byte>& square, const std::vector<std::byte>& narrow,
               const std::vector<std::byte>& wide, const std::vector<std::byte>& tall)
      : q("q", square),
        k("k", narrow),
        v("v", narrow),
        o("o", square),
        gate("gate", wide),
        up("up", wide),
        down("down", tall) {}
};

/// Activations as codes.
struct Codes {
  DeviceArray<uint32_t> codes, sums, pairs;
  DeviceArray<float> scales;

  explicit Codes(size_t n)
      : codes("codes", n / 4), sums("sums", n / 32), pairs("pairs", n / 64), scales("scales", n / 32) {}
  QuantizedOutput output() { return {codes, scales, sums, pairs}; }
  QuantizedInput input() { return {codes, scales, sums, pairs}; }
};

size_t size_of(int32_t n_tokens, int32_t width) { return static_cast<size_t>(n_tokens) * static_cast<size_t>(width); }

std::vector<int32_t> count_from(int32_t first, int32_t n) {
  std::vector<int32_t> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

std::vector<AttentionTile> tiles_of(int32_t n_tokens) {
  std::vector<AttentionTile> tiles;
  append_tiles(tiles, 0, n_tokens, kPositions - n_tokens, 0, kHeads / kHeadsKv, kAttentionRows);
  return tiles;
}

/// The launches of a layer as the backend issues them: on devices with superblock_stream one token's are fused.
class Layer {
 public:
  Layer(int32_t n_tokens, bool is_fused) : n_(n_tokens), is_fused_(is_fused) {
    const auto square = device_weight(kType, kWidth, kWidth), narrow = device_weight(kType, kHeadsKv * kDim, kWidth);
    const auto wide = device_weight(kType, kFfn, kWidth), tall = device_weight(kType, kWidth, kFfn);
    for (int i = 0; i < kLayersInMemory; ++i)
      weights_.push_back(std::make_unique<LayerWeights>(square, narrow, wide, tall));
  }

  static constexpr const char* kSteps[] = {"norm", "q, k, v", "attention", "o", "norm", "gate, up", "codes", "down"};
  static constexpr int kProducts = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7;  // bit i: kSteps[i]

  /// Steps that have launches of their own.
  int steps() const { return (1 << std::size(kSteps)) - 1 - (is_fused_ ? 1 << 0 | 1 << 4 | 1 << 6 : 0); }

  void run(Stream stream, int step, int il) {
    LayerWeights& w = *weights_[static_cast<size_t>(il % kLayersInMemory)];
    if (is_fused_ && step != 2) return run_fused(stream, step, w);
    const ResidualNormParams norm{kWidth, 1e-5f, 1, 1.0f, 1};
    const int32_t n_groups = kWidth / 32;
    switch (step) {
      case 0:
      case 4:
        return check(launch_residual_norm(stream, normed_, x_, added_, norm_weight_, codes_.output(), n_, norm),
                     "norm");
      case 1: {
        const MatrixProduct products[] = {{w.q.pointer(), nullptr, q_, kWidth},
                                          {w.k.pointer(), nullptr, k_, kHeadsKv * kDim},
                                          {w.v.pointer(), nullptr, v_, kHeadsKv * kDim}};
        return check(launch_matvec_set(stream, kType, products, 3, codes_.input(), n_groups, n_), "q, k, v");
      }
      case 2: {
        const QuantizedOutput codes = codes_.output();
        const AttentionArrays arrays{q_,        pages_,   page_table_, tiles_, positions_, nullptr,
                                     attended_, partial_, states_,     &codes, true};
        const RopeAttentionParams params{{kKv, kHeads, n_, 0, 0, 0.088388f, 0}, kDim / 2, 0, 0};
        return check(
            launch_rope_and_attention(stream, arrays, {k_, v_, turns_, pages_},
                                      static_cast<int32_t>(tiles_of(n_).size()), kPositions / kKvSplit, params),
            "rope and attention");
      }
      case 3: {
        const MatrixProduct product{w.o.pointer(), nullptr, added_, kWidth};
        return check(launch_matvec_set(stream, kType, &product, 1, codes_.input(), n_groups, n_), "o");
      }
      case 5:
        return check(launch_matvec_gated(stream, kType, w.gate.pointer(), w.up.pointer(), codes_.input(), nullptr,
                                         nullptr, hidden_, {kFfn, n_groups, n_, 0, 0}),
                     "gate, up");
      case 6: return check(launch_quantize(stream, hidden_, hidden_codes_.output(), {kFfn / 32 * n_, 1}), "codes");
      default: {
        const MatrixProduct product{w.down.pointer(), nullptr, added_, kWidth};
        return check(launch_matvec_set(stream, kType, &product, 1, hidden_codes_.input(), kFfn / 32, n_), "down");
      }
    }
  }

 private:
  void run_fused(Stream stream, int step, LayerWeights& w) {
    const int32_t n_groups = kWidth / 32;
    const FusedInput normed{x_, norm_weight_, 1e-5f};
    if (step == 1) {
      const MatrixProduct products[] = {{w.q.pointer(), nullptr, q_, kWidth},
                                        {w.k.pointer(), nullptr, k_, kHeadsKv * kDim},
                                        {w.v.pointer(), nullptr, v_, kHeadsKv * kDim}};
      check(launch_fused(stream, kType, products, 3, {}, normed, n_groups), "q, k, v");
    } else if (step == 3) {
      const MatrixProduct product{w.o.pointer(), nullptr, x_, kWidth};
      check(launch_fused(stream, kType, &product, 1, codes_.input(), {}, n_groups, true), "o");
    } else if (step == 5) {
      check(launch_fused_gated(stream, kType, w.gate.pointer(), w.up.pointer(), normed, nullptr, nullptr, hidden_,
                               {kFfn, n_groups, n_, 0, 0}),
            "gate, up");
    } else {
      const MatrixProduct product{w.down.pointer(), nullptr, x_, kWidth};
      check(launch_fused(stream, kType, &product, 1, {}, {hidden_}, kFfn / 32, true), "down");
    }
  }

  static constexpr TensorType kType = TensorType::kQ4_K;
  static constexpr int64_t kStride = int64_t{kPage} * kHeadsKv * 2 * kDim;
  static constexpr KvLayout kKv = {kHeadsKv, kDim, kDim, kStride, 0};

  int32_t n_;
  bool is_fused_;
  std::vector<std::unique_ptr<LayerWeights>> weights_;
  DeviceArray<float> x_{"x", random_f32(size_of(n_, kWidth), 1)}, added_{"added", random_f32(size_of(n_, kWidth), 2)};
  DeviceArray<float> norm_weight_{"weight", random_f32(kWidth, 3)}, turns_{"turns", random_f32(kPositions*kDim, 4)};
  DeviceArray<float> normed_{"normed", size_of(n_, kWidth)}, attended_{"attended", size_of(n_, kWidth)};
  DeviceArray<float> q_{"q", random_f32(size_of(n_, kWidth), 5)}, k_{"k", random_f32(size_of(n_, kHeadsKv*kDim), 6)};
  DeviceArray<float> v_{"v", random_f32(size_of(n_, kHeadsKv*kDim), 7)},
      hidden_{"hidden", random_f32(size_of(n_, kFfn), 8)};
  Codes codes_{size_of(n_, kWidth)}, hidden_codes_{size_of(n_, kFfn)};
  DeviceArray<int32_t> positions_{"positions", count_from(kPositions - n_, n_)};
  DeviceArray<int32_t> page_table_{"page_table", count_from(0, kPositions / kPage)};
  DeviceArray<AttentionTile> tiles_{"tiles", tiles_of(n_)};
  DeviceArray<uint16_t> pages_{"pages",
                               std::vector<uint16_t>(static_cast<size_t>(kPositions / kPage * kStride), 0x3800)};
  DeviceArray<float> partial_{"partial", size_of(n_, kWidth) * (kPositions / kKvSplit)};
  DeviceArray<float> states_{"states", size_of(n_, kHeads * 2) * (kPositions / kKvSplit)};
};

/// Microseconds of a layer with these steps, a bit each.
double layer_us(Layer& layer, Stream stream, int steps) {
  const int n_steps = static_cast<int>(std::size(Layer::kSteps));
  Recording pass = nullptr;
  check(begin_recording(stream), "recording");
  for (int il = 0; il < kLayers; ++il) {
    for (int step = 0; step < n_steps; ++step) {
      if ((steps >> step & 1) != 0) layer.run(stream, step, il);
    }
  }
  check(end_recording(stream, pass), "recording");
  const double ms = median_ms([&](int) { check(replay(pass, stream), "a pass"); }, stream);
  destroy_recording(pass);
  return ms * 1000 / kLayers;
}

}  // namespace

void measure_layer(int32_t n_tokens, bool is_fused) {
  Layer layer(n_tokens, is_fused);
  check(synchronize_device(), "copying what a layer reads");
  Stream stream = nullptr;
  check(create_stream(stream), "a stream");
  const int n_steps = static_cast<int>(std::size(Layer::kSteps)), all = layer.steps();
  // Once outside of a recording: what every step reads has been written, and all is loaded.
  for (int step = 0; step < n_steps; ++step) {
    if ((all >> step & 1) != 0) layer.run(stream, step, 0);
  }
  check(synchronize(stream), "computing");
  const double whole = layer_us(layer, stream, all);
  std::printf("layer of %d tokens%s: %.2f us, its products alone %.2f, the others %.2f; less without", n_tokens,
              is_fused ? " (fused)" : "", whole, layer_us(layer, stream, Layer::kProducts),
              layer_us(layer, stream, all & ~Layer::kProducts));
  for (int step = 0; step < n_steps; ++step) {
    if ((all >> step & 1) != 0)
      std::printf(" %s %.2f", Layer::kSteps[step], whole - layer_us(layer, stream, all & ~(1 << step)));
  }
  std::printf("\n");
  std::fflush(stdout);
  destroy_stream(stream);
}

}  // namespace outpost::test
