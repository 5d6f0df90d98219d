// Hashes for the tables of tokens. Not for anything that is written down: the values may change.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace outpost {

inline uint64_t hash_mix(uint64_t x) {  // the finalizer of splitmix64
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9u;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

inline uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15u;
  const auto read = [](const char* at, size_t n) {
    uint64_t word = 0;
    std::memcpy(&word, at, n);
    return word;
  };
  const char* at = bytes.data();
  size_t n = bytes.size();
  uint64_t hash = n * kFactor;
  for (; n > 8; at += 8, n -= 8) {
    hash = (hash ^ read(at, 8)) * kFactor;
    hash ^= hash >> 29;
  }
  // The last bytes by two reads of fixed size that may overlap: a copy of n bytes would be a call.
  uint64_t last = 0;
  if (n >= 4) {
    last = read(at, 4) | read(at + n - 4, 4) << 32;
  } else if (n > 0) {
    last = static_cast<unsigned char>(at[0]) | uint64_t{static_cast<unsigned char>(at[n / 2])} << 8 |
           uint64_t{static_cast<unsigned char>(at[n - 1])} << 16;
  }
  return hash_mix(hash ^ last);
}

}  // namespace outpost
