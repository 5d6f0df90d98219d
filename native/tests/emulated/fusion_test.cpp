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

/// One token's operations on the device.
class Operations {
 public:
  Operations() : backend_(create_gpu_backend(0, {})) {
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
    buffers_.push_back(backend_->alloc_f32(kWidth));
    return buffers_.back()->span();
  }
  std::vector<float> read(DeviceSpan<const float> x) {
    std::vector<float> host(x.size);
    backend_->read(host, x);
    return host;
  }
  void norm(DeviceSpan<float> y, DeviceSpan<const float> x) { backend_->rms_norm(y, x, norm_weight_, 1, kEps); }
  void multiply(DeviceSpan<float> y, DeviceSpan<const float> x) {
    const MatmulTask task{weight_.get(), y};
    backend_->matmul({&task, 1}, x, 1);
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

 private:
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

TEST_CASE("fused operations: a norm is there for who reads it, whatever became of its input") {
  Operations device;
  const auto values = random_f32(kWidth, 3);
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

TEST_CASE("fused operations: a norm that is overwritten is what was written") {
  Operations device;
  const auto values = random_f32(kWidth, 4), others = random_f32(kWidth, 5);
  const auto x = device.vector(values), h = device.empty(), y = device.empty();
  device.norm(h, x);
  device.backend().write(h, others);
  device.multiply(y, h);
  CHECK(device.read(y) == device.product(others));
  device.norm(h, x);
  device.norm(h, h);
  CHECK(device.read(h) == device.normed(device.normed(values)));
}

TEST_CASE("fused operations: a product adds its result, and is there if it was not discarded") {
  Operations device;
  const auto values = random_f32(kWidth, 6), before = random_f32(kWidth, 7);
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

TEST_CASE("fused operations: what is added is what was named, not another product") {
  Operations device;
  const auto values = random_f32(kWidth, 8), before = random_f32(kWidth, 9), others = random_f32(kWidth, 10);
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

TEST_CASE("fused operations: codes of one input are not taken for those of another") {
  Operations device;
  const auto values = random_f32(kWidth, 11), others = random_f32(kWidth, 12);
  const auto x = device.vector(values), other = device.vector(others), h = device.empty(), y = device.empty();
  device.norm(h, other);
  CHECK(device.read(h) == device.normed(others));  // and its codes are there
  device.norm(h, other);
  CHECK(device.read(h) == device.normed(others));
  device.multiply(y, x);
  CHECK(device.read(y) == device.product(values));
}
