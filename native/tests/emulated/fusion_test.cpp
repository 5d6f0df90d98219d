// What the backend puts off, to make it a part of another launch: results are those of the operations one by one,
// whoever reads them, and whatever is written in between.
#include <doctest/doctest.h>

#include <cmath>

#include "backend/gpu_devices.h"
#include "kernels/emulated_device/emulated_device.h"
#include "tests/emulated/emulated_models.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr int32_t kWidth = 256;
constexpr float kEps = 1e-5f;

/// Tokens of a case: one, whose products take norms themselves; many, whose products have them as f16.
const int32_t kTokenCounts[] = {1, 17};

/// Operations of so many tokens on the device.
class Operations {
 public:
  explicit Operations(int32_t n_tokens) : n_tokens_(n_tokens), backend_(create_gpu_backend(0, {})) {
    const FileMatrix square = random_matrix(TensorType::kQ4_K, kWidth, kWidth, 1);
    weight_ = backend_->load_weight(square.view());
    norm_weight_ = vector(random_f32(kWidth, 2));
  }

  DeviceSpan<float> vector(const std::vector<float>& values) {
    buffers_.push_back(backend_->alloc_f32(values.size()));
    backend_->write(buffers_.back()->span(), values);
    return buffers_.back()->span();
  }
  DeviceSpan<float> empty() {
    buffers_.push_back(backend_->alloc_f32(size()));
    return buffers_.back()->span();
  }
  std::vector<float> read(DeviceSpan<const float> x) {
    std::vector<float> host(x.size);
    backend_->read(host, x);
    return host;
  }
  size_t size() const { return static_cast<size_t>(n_tokens_) * kWidth; }
  void norm(DeviceSpan<float> y, DeviceSpan<const float> x) { backend_->rms_norm(y, x, norm_weight_, n_tokens_, kEps); }
  void multiply(DeviceSpan<float> y, DeviceSpan<const float> x) {
    const MatmulTask task{weight_.get(), y};
    backend_->matmul({&task, 1}, x, n_tokens_);
  }
  void multiply_gated(DeviceSpan<float> y, DeviceSpan<const float> x) {
    backend_->matmul_gated(y, {weight_.get(), weight_.get(), {}, {}}, x, n_tokens_, Gate::kSwiGlu);
  }
  Backend& backend() { return *backend_; }

  /// The same with a look at every result, which leaves nothing to put off.
  std::vector<float> normed(const std::vector<float>& x) {
    const auto y = empty();
    norm(y, vector(x));
    return read(y);
  }
  std::vector<float> product(const std::vector<float>& x) {
    const auto y = empty();
    multiply(y, vector(x));
    return read(y);
  }
  std::vector<float> gated_product(const std::vector<float>& x) {
    const auto y = empty();
    multiply_gated(y, vector(x));
    return read(y);
  }

 private:
  int32_t n_tokens_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Weight> weight_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  DeviceSpan<float> norm_weight_;
};

/// a + factor * b, as devices do it.
std::vector<float> added(std::vector<float> a, const std::vector<float>& b, float factor = 1.0f) {
  for (size_t i = 0; i < a.size(); ++i) a[i] = std::fma(factor, b[i], a[i]);
  return a;
}

}  // namespace

TEST_CASE("fused operations: one token's layer is five launches") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiny_llama({TensorType::kQ4_K}, 256));
  const auto before = emulator::launches();
  logits(*pair.on_device, random_tokens(*pair.on_device, 1), 1, 1);
  // Of each of the two layers q, k and v; attention; its output; gate and up; down. Embedding, the last row, the head.
  if (before) CHECK(*emulator::launches() - *before == 2 * 5 + 3);
}

TEST_CASE("fused operations: a layer of many tokens is ten launches") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiny_llama({TensorType::kQ4_K}, 256));
  const auto before = emulator::launches();
  logits(*pair.on_device, random_tokens(*pair.on_device, 17), 1, 17);
  // Of each of the two layers q, k and v; the output; gate and up; down; what makes the inputs of these f16, norms,
  // additions and the gate included; rotation and storing; attention. Embedding, an addition, the last row, and the
  // head with its norm.
  if (before) CHECK(*emulator::launches() - *before == 2 * 10 + 4);
}

TEST_CASE("fused operations: a norm is there for who reads it, whatever became of its input") {
  for (const int32_t n_tokens : kTokenCounts) {
    CAPTURE(n_tokens);
    Operations device(n_tokens);
    const auto values = random_f32(device.size(), 3);
    const auto expected = device.normed(values);

    const auto x = device.vector(values), y = device.empty(), z = device.empty();
    device.norm(y, x);
    device.backend().scale(x, 2.0f);
    CHECK(device.read(y) == expected);

    const auto other = device.vector(values), h = device.empty();
    device.norm(h, other);
    device.multiply(y, h);
    device.backend().scale(other, 2.0f);
    device.multiply(z, h);
    CHECK(device.read(y) == device.product(expected));
    CHECK(device.read(z) == device.product(expected));
    CHECK(device.read(h) == expected);
  }
}

TEST_CASE("fused operations: a norm that is overwritten is what was written") {
  for (const int32_t n_tokens : kTokenCounts) {
    CAPTURE(n_tokens);
    Operations device(n_tokens);
    const auto values = random_f32(device.size(), 4), others = random_f32(device.size(), 5);
    const auto x = device.vector(values), h = device.empty(), y = device.empty();
    device.norm(h, x);
    device.backend().write(h, others);
    device.multiply(y, h);
    CHECK(device.read(y) == device.product(others));
    device.norm(h, x);
    device.norm(h, h);
    CHECK(device.read(h) == device.normed(device.normed(values)));
  }
}

TEST_CASE("fused operations: a product adds its result, and is there if it was not discarded") {
  for (const int32_t n_tokens : kTokenCounts) {
    CAPTURE(n_tokens);
    Operations device(n_tokens);
    const auto values = random_f32(device.size(), 6), before = random_f32(device.size(), 7);
    const auto product = device.product(values);
    for (const bool discards : {false, true}) {
      CAPTURE(discards);
      const auto x = device.vector(values), sum = device.vector(before), y = device.empty(), h = device.empty();
      device.multiply(y, x);
      device.backend().add(sum, y, 0.5f);
      if (discards) device.backend().discard(y);
      device.norm(h, sum);
      CHECK(device.read(h) == device.normed(added(before, product, 0.5f)));
      CHECK(device.read(sum) == added(before, product, 0.5f));
      if (!discards) CHECK(device.read(y) == product);
    }
  }
}

TEST_CASE("fused operations: what is added is what was named, not another product") {
  for (const int32_t n_tokens : kTokenCounts) {
    CAPTURE(n_tokens);
    Operations device(n_tokens);
    const auto values = random_f32(device.size(), 8), before = random_f32(device.size(), 9),
               others = random_f32(device.size(), 10);
    const auto x = device.vector(values), sum = device.vector(before), y = device.empty(), z = device.vector(others);
    device.multiply(y, x);
    device.backend().discard(y);
    device.backend().add(sum, z);
    CHECK(device.read(sum) == added(before, others));

    device.multiply(y, x);
    device.backend().add(sum, z);
    device.backend().discard(y);
    CHECK(device.read(sum) == added(added(before, others), others));

    // To its own input, and twice.
    device.multiply(y, x);
    device.backend().add(x, y);
    device.backend().add(x, y);
    device.backend().discard(y);
    CHECK(device.read(x) == added(added(values, device.product(values)), device.product(values)));
    const auto own = device.vector(values);
    device.multiply(y, own);
    device.backend().add(own, y);
    device.backend().discard(y);
    CHECK(device.read(own) == added(values, device.product(values)));
  }
}

TEST_CASE("fused operations: codes of one input are not taken for those of another") {
  for (const int32_t n_tokens : kTokenCounts) {
    CAPTURE(n_tokens);
    Operations device(n_tokens);
    const auto values = random_f32(device.size(), 11), others = random_f32(device.size(), 12);
    const auto x = device.vector(values), other = device.vector(others), h = device.empty(), y = device.empty();
    device.norm(h, other);
    CHECK(device.read(h) == device.normed(others));  // and its codes are there
    device.norm(h, other);
    CHECK(device.read(h) == device.normed(others));
    device.multiply(y, x);
    CHECK(device.read(y) == device.product(values));
  }
}

TEST_CASE("fused operations: what a gate lets through is there for who reads it, and for products") {
  for (const int32_t n_tokens : kTokenCounts) {
    CAPTURE(n_tokens);
    Operations device(n_tokens);
    const auto values = random_f32(device.size(), 13), others = random_f32(device.size(), 14);
    const auto hidden = device.gated_product(values), other_hidden = device.gated_product(others);
    const auto x = device.vector(values), other = device.vector(others), y = device.empty(), z = device.empty();
    const auto h = device.empty(), g = device.empty();
    device.multiply_gated(h, x);
    device.multiply(y, h);
    device.backend().scale(x, 2.0f);
    CHECK(device.read(y) == device.product(hidden));
    CHECK(device.read(h) == hidden);

    // Two in turns, of which the first is read late.
    device.multiply_gated(g, other);
    device.multiply_gated(h, device.vector(values));
    device.multiply(z, g);
    device.multiply(y, h);
    CHECK(device.read(z) == device.product(other_hidden));
    CHECK(device.read(y) == device.product(hidden));

    // Written over, in part and wholly.
    device.multiply_gated(h, device.vector(values));
    device.backend().scale({h.data, kWidth}, 2.0f);
    std::vector<float> scaled = hidden;
    for (size_t i = 0; i < kWidth; ++i) scaled[i] *= 2.0f;
    CHECK(device.read(h) == scaled);
    device.multiply_gated(h, device.vector(values));
    device.backend().write(h, others);
    device.multiply(y, h);
    CHECK(device.read(y) == device.product(others));
  }
}

TEST_CASE("fused operations: an addition before a norm is made once, whoever takes the norm") {
  for (const int32_t n_tokens : kTokenCounts) {
    CAPTURE(n_tokens);
    Operations device(n_tokens);
    const auto values = random_f32(device.size(), 15), addends = random_f32(device.size(), 16);
    const auto sum = added(values, addends, 0.5f), normed = device.normed(sum);
    const auto start = [&](DeviceSpan<float> h, DeviceSpan<float> x) {
      device.backend().add(x, device.vector(addends), 0.5f);
      device.norm(h, x);
    };
    const auto y = device.empty();
    for (const bool is_multiplied : {false, true}) {
      for (const bool is_discarded : {false, true}) {
        CAPTURE(is_multiplied);
        CAPTURE(is_discarded);
        const auto x = device.vector(values), h = device.empty();
        start(h, x);
        if (is_multiplied) device.multiply(y, h);
        if (is_discarded) device.backend().discard(h);
        CHECK(device.read(x) == sum);
        if (is_multiplied) CHECK(device.read(y) == device.product(normed));
        if (!is_discarded) CHECK(device.read(h) == normed);
      }
    }
    // One launch for both, also for who reads the norm as it is.
    const auto other = device.vector(values), own = device.empty();
    const auto before = emulator::launches();
    start(own, other);
    CHECK(device.read(own) == normed);
    if (before) CHECK(*emulator::launches() - *before == 1);

    // Another addition to what was normed.
    const auto x = device.vector(values), h = device.empty();
    start(h, x);
    device.backend().add(x, device.vector(addends), 0.5f);
    device.multiply(y, h);
    CHECK(device.read(y) == device.product(normed));
    CHECK(device.read(x) == added(sum, addends, 0.5f));
  }
}
