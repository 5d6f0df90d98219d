// Arrays on a real device with the interface of the emulator's. What no kernel has written is 0xff in every byte.
#pragma once

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/emulator/simt.h"
#include "kernels/runtime/runtime.h"

namespace outpost::test::cuda {

inline void check(gpu::Error error, const std::string& what) {
  if (error != gpu::Error::kNone) throw std::runtime_error(what + ": " + gpu::error_text(error));
}

/// Of a launch, and of what it did: a fault shows when the device is waited for.
inline void check_launch(gpu::Error error, const char* kernel) {
  check(error, kernel);
  check(gpu::synchronize_device(), kernel);
}

template <typename T>
class DeviceArray {
 public:
  using Kind = emulator::RegionKind;

  DeviceArray(std::string name, std::span<const T> values, Kind = Kind::kInput)
      : DeviceArray(std::move(name), values.size()) {
    check(gpu::copy(data_, values.data(), values.size_bytes(), gpu::Copy::kToDevice), "copying to " + name_);
  }
  DeviceArray(std::string name, const std::vector<T>& values, Kind kind = Kind::kInput)
      : DeviceArray(std::move(name), std::span<const T>(values), kind) {}
  DeviceArray(std::string name, size_t n) : name_(std::move(name)), size_(n) {
    void* data = nullptr;
    check(gpu::allocate(data, std::max<size_t>(1, n * sizeof(T))), "allocating " + name_);
    data_ = static_cast<T*>(data);
    check(gpu::fill(data_, 0xff, n * sizeof(T)), "filling " + name_);
  }
  ~DeviceArray() { gpu::release(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* pointer() { return data_; }
  operator T*() { return data_; }

  std::vector<T> values() {
    std::vector<T> copy(size_);
    check(gpu::copy(copy.data(), data_, size_ * sizeof(T), gpu::Copy::kToHost), "copying from " + name_);
    return copy;
  }

 private:
  std::string name_;
  size_t size_;
  T* data_ = nullptr;
};

}  // namespace outpost::test::cuda
