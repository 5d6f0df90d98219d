// A counter-based random stream: draw i of a seed is a pure function of both, on every platform.
#pragma once

#include <cstdint>

namespace outpost {

class RandomStream {
 public:
  explicit RandomStream(uint64_t seed) : state_(seed) {}

  /// Uniform in [0, 1), 53 bits. (SplitMix64: Steele, Lea and Flood, OOPSLA 2014)
  double next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }

 private:
  uint64_t state_;
};

}  // namespace outpost
