// Numbers that are multiplied, and memory for them.
//
// They are bf16. With OUTPOST_F32_PRODUCTS they are f32, and what is computed is what autograd computes: the tests'
// measure.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace outpost::forge {

#ifdef OUTPOST_F32_PRODUCTS

using Element = float;
inline float widened(float x) { return x; }
inline float rounded(float x) { return x; }

#else

using Element = std::uint16_t;  ///< bf16

inline float widened(Element x) {
  const std::uint32_t bits = std::uint32_t{x} << 16;
  float y;
  std::memcpy(&y, &bits, sizeof y);
  return y;
}

/// To the nearest, ties to even
inline Element rounded(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<Element>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

#endif

/// e^x within 3 parts in a million: 2^n times a polynomial on [-0.5, 0.5] · ln 2 (Taylor's, to x^5). 0 below -87, and
/// e^88 above 88: the largest powers that f32 has.
inline float exponential(float x) {
  const float scaled = std::clamp(x, -87.0f, 88.0f) * 1.44269504f;
  const float whole = std::nearbyint(scaled);
  const float r = (scaled - whole) * 0.69314718f;
  const float p = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120)))));
  const std::int32_t bits = (static_cast<std::int32_t>(whole) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return x < -87.0f ? 0.0f : p * power;
}

/// @param n at least 1
inline float largest(const float* x, int n) {
  float most = x[0];
  for (int i = 1; i < n; ++i) most = most < x[i] ? x[i] : most;  // as std::max it is not vectorized
  return most;
}

/// Memory without a value, aligned to a cache line. Owned.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t n = 0) : data_(n == 0 ? nullptr : allocate(n)) {}
  T* get() const { return data_.get(); }
  T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  static T* allocate(std::size_t n) {
    void* p = std::aligned_alloc(64, (n * sizeof(T) + 63) / 64 * 64);
    if (p == nullptr) throw std::bad_alloc();
    return static_cast<T*>(p);
  }
  std::unique_ptr<T, Free> data_;
};

}  // namespace outpost::forge
