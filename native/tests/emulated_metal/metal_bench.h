#pragma once

#include <doctest/doctest.h>

#include <vector>

#include "kernels/launchers/launchers.h"

namespace outpost::test {

/// A stream, and arrays of floats on the device.
class MetalBench {
 public:
  MetalBench() { REQUIRE(gpu::create_stream(stream) == gpu::Error::kNone); }
  ~MetalBench() {
    for (void* array : arrays_) gpu::release(array);
    gpu::destroy_stream(stream);
  }

  float* array(size_t n) {
    void* data = nullptr;
    REQUIRE(gpu::allocate(data, n * sizeof(float)) == gpu::Error::kNone);
    arrays_.push_back(data);
    return static_cast<float*>(data);
  }
  template <typename T>
  T* array(const std::vector<T>& values) {
    const size_t n_bytes = values.size() * sizeof(T);
    float* data = array((n_bytes + 3) / 4);
    REQUIRE(gpu::copy(data, values.data(), n_bytes, gpu::Copy::kToDevice) == gpu::Error::kNone);
    return reinterpret_cast<T*>(data);
  }
  std::vector<float> values(const float* data, size_t n) {
    std::vector<float> result(n);
    REQUIRE(gpu::copy(stream, result.data(), data, n * sizeof(float), gpu::Copy::kToHost) == gpu::Error::kNone);
    REQUIRE(gpu::synchronize(stream) == gpu::Error::kNone);
    return result;
  }
  /// x += y, some time later.
  gpu::Error add(float* x, const float* y, int32_t n) { return gpu::launch_add(stream, x, y, {n, 1, 0}); }

  gpu::Stream stream = nullptr;

 private:
  std::vector<void*> arrays_;
};

}  // namespace outpost::test
