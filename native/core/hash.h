// A hash of bytes for finding damage and telling files apart; not against whoever wants to deceive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace outpost {

/// Eight bytes at a time through a multiplication whose both halves are used (after wyhash): as fast as memory is read.
/// The same bytes give the same value however `add` cuts them, as long as all parts but the last are multiples of 8.
class Hash64 {
 public:
  void add(std::span<const std::byte> bytes) {
    size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) add_word(bytes.data() + i, 8);
    if (i < bytes.size()) add_word(bytes.data() + i, bytes.size() - i);
    n_bytes_ += bytes.size();
  }
  uint64_t value() const { return mix(state_ ^ n_bytes_, 0x9e3779b97f4a7c15u); }

 private:
  void add_word(const std::byte* bytes, size_t n) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, n);
    state_ = mix(state_ ^ word, 0xa0761d6478bd642fu) + 0x9e3779b97f4a7c15u;
  }
  /// The two halves of the 128-bit product, xored.
  static uint64_t mix(uint64_t a, uint64_t b) {
    const uint64_t a_low = a & 0xffffffffu, a_high = a >> 32, b_low = b & 0xffffffffu, b_high = b >> 32;
    const uint64_t low = a_low * b_low, cross1 = a_high * b_low + (low >> 32),
                   cross2 = a_low * b_high + (cross1 & 0xffffffffu);
    return (a * b) ^ (a_high * b_high + (cross1 >> 32) + (cross2 >> 32));
  }

  uint64_t state_ = 0x2d358dccaa6c78a5u;
  uint64_t n_bytes_ = 0;
};

}  // namespace outpost
