// The dialect under the SIMT emulator: every function by its definition. See dialect.h.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/half.h"
#include "kernels/emulator/simt.h"

#define GPU_KERNEL(...) inline void
#define GPU_FN inline
#define GPU_IN(index, type, name) ::outpost::emulator::ConstantPointer<type> name
#define GPU_RESULT(index, type, name) ::outpost::emulator::Pointer<const type> name
#define GPU_IO(index, type, name) ::outpost::emulator::Pointer<type> name
#define GPU_PARAMS(index, type, name) const type& name
#define GPU_GRID
#define GPU_HERE ::outpost::gpu::Here()
#define GPU_SHARED(type, name, n) [[maybe_unused]] const auto name = ::outpost::emulator::shared_array<type>(#name, n)
#define GPU_PARAMS_REF(type) const type&
#define GPU_BLOCK_REF(type) const type&
#define GPU_LOCAL
#define GPU_UNROLL

namespace outpost::gpu {

using emulator::Site;

template <typename T>
using DevicePtr = emulator::Pointer<T>;
template <typename T>
using SharedPtr = emulator::Pointer<T>;
/// Bytes of one block, which was checked as a whole when it was taken from its array.
using BlockBytes = const uint8_t*;

struct Float4 {
  float x, y, z, w;
};
struct Words4 {
  uint32_t x, y, z, w;
};
struct Words2 {
  uint32_t x, y;
};

struct Here {
  int32_t block_x = emulator::block_index().x;
  int32_t block_y = emulator::block_index().y;
  int32_t block_z = emulator::block_index().z;
  int32_t thread_id = emulator::thread_index();
  int32_t lane = thread_id % emulator::kWarpSize;
  int32_t warp = thread_id / emulator::kWarpSize;
};

// ---- launches that follow each other: here one has ended before the next begins, and who does not wait is found
GPU_FN void allow_next() {}
GPU_FN void wait_for_previous() { emulator::wait_for_launches(); }
GPU_FN void prefetch_line(BlockBytes) {}
template <typename T>
GPU_FN void prefetch_line(const emulator::Pointer<const T>& p) {
  p.check_hint();
}

// ---- threads that meet
GPU_FN void block_barrier(Site site = Site::here()) { emulator::barrier(site); }
GPU_FN void warp_barrier(Site site = Site::here()) { emulator::warp_sync(site); }

template <typename T>
GPU_FN T shuffle(T value, int32_t lane, Site site = Site::here()) {
  return emulator::exchanged<T>(emulator::exchange(&value, sizeof(T), site), lane & 31);
}
template <typename T>
GPU_FN T shuffle_xor(T value, int32_t mask, Site site = Site::here()) {
  return shuffle(value, (emulator::thread_index() ^ mask) & 31, site);
}
/// What the pairs of the other dialects come to, from one exchange in place of five: those take most of a test's time.
template <typename Combine, typename T>
GPU_FN T combine_lanes(T x, Site site = Site::here()) {
  const std::byte* values = emulator::exchange(&x, sizeof(T), site);
  T lanes[emulator::kWarpSize];
  for (int lane = 0; lane < emulator::kWarpSize; ++lane) lanes[lane] = emulator::exchanged<T>(values, lane);
  for (int distance = emulator::kWarpSize / 2; distance > 0; distance /= 2)
    for (int lane = 0; lane < distance; ++lane) lanes[lane] = Combine::of(lanes[lane], lanes[lane + distance]);
  return lanes[0];
}
GPU_FN uint32_t ballot(bool is_true, Site site = Site::here()) {
  const std::byte* values = emulator::exchange(&is_true, sizeof(bool), site);
  uint32_t bits = 0;
  for (int lane = 0; lane < emulator::kWarpSize; ++lane)
    bits |= uint32_t{emulator::exchanged<bool>(values, lane)} << lane;
  return bits;
}

// ---- f32
GPU_FN float fma32(float a, float b, float c) { return std::fma(a, b, c); }
GPU_FN float exp32(float x) { return std::exp(x); }
GPU_FN float tanh32(float x) { return std::tanh(x); }
GPU_FN float sqrt32(float x) { return std::sqrt(x); }
GPU_FN float max32(float a, float b) { return std::fmax(a, b); }
GPU_FN float min32(float a, float b) { return std::fmin(a, b); }
GPU_FN float abs32(float x) { return std::fabs(x); }
GPU_FN float round32(float x) { return std::nearbyint(x); }
GPU_FN float infinity32() { return std::numeric_limits<float>::infinity(); }

// ---- bits
GPU_FN float float_of_bits(uint32_t bits) { return std::bit_cast<float>(bits); }
GPU_FN uint32_t bits_of_float(float x) { return std::bit_cast<uint32_t>(x); }
GPU_FN float float_of_half(uint16_t bits) { return half_to_float(bits); }
GPU_FN uint16_t half_of_float(float x) { return float_to_half(x); }
GPU_FN int32_t count_bits(uint32_t bits) { return std::popcount(bits); }

/// c plus the sum of the products of four signed bytes.
GPU_FN int32_t dot4(int32_t a, int32_t b, int32_t c) {
  for (int i = 0; i < 4; ++i) c += static_cast<int8_t>(a >> (8 * i)) * static_cast<int8_t>(b >> (8 * i));
  return c;
}

/// c plus the products of the two signed halves of `a` with the two low, or high, signed bytes of `b`.
GPU_FN int32_t dot2_low(uint32_t a, uint32_t b, int32_t c) {
  return c + static_cast<int16_t>(a) * static_cast<int8_t>(b) +
         static_cast<int16_t>(a >> 16) * static_cast<int8_t>(b >> 8);
}
GPU_FN int32_t dot2_high(uint32_t a, uint32_t b, int32_t c) { return dot2_low(a, b >> 16, c); }

/// Byte i of the result is byte (selector >> 4i) & 7 of the eight bytes of `low` and `high`.
GPU_FN uint32_t pick_bytes(uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t bytes = low | uint64_t{high} << 32;
  uint32_t picked = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t from = (selector >> (4 * i)) & 7;
    picked |= static_cast<uint32_t>((bytes >> (8 * from)) & 255) << (8 * i);
  }
  return picked;
}

// ---- addresses found in data
/// Element i of an array, or of all memory if `base` is null.
template <typename T>
GPU_FN DevicePtr<T> element_at(DevicePtr<T> base, int64_t i) {
  return base + i;
}

// ---- loads wider than an element; the address has to be a multiple of their size
GPU_FN Float4 load_float4(DevicePtr<const float> p) {
  Float4 v;
  std::memcpy(&v, p.access_many(4, emulator::Access::kRead), sizeof(v));
  return v;
}
GPU_FN void store_float4(DevicePtr<float> p, Float4 v) {
  std::memcpy(p.access_many(4, emulator::Access::kWrite), &v, sizeof(v));
}
GPU_FN Words2 load_words2(DevicePtr<const uint32_t> p) {
  Words2 v;
  std::memcpy(&v, p.access_many(2, emulator::Access::kRead), sizeof(v));
  return v;
}
GPU_FN Words4 load_words4(DevicePtr<const uint32_t> p) {
  Words4 v;
  std::memcpy(&v, p.access_many(4, emulator::Access::kRead), sizeof(v));
  return v;
}
GPU_FN void store_words4(DevicePtr<uint32_t> p, Words4 v) {
  std::memcpy(p.access_many(4, emulator::Access::kWrite), &v, sizeof(v));
}
/// Four neighbouring f16.
GPU_FN Float4 load_half4(DevicePtr<const uint16_t> p) {
  uint16_t bits[4];
  std::memcpy(bits, p.access_many(4, emulator::Access::kRead), sizeof(bits));
  return {float_of_half(bits[0]), float_of_half(bits[1]), float_of_half(bits[2]), float_of_half(bits[3])};
}

/// Four bytes of a block whose address is a multiple of kAlignment (1, 2 or 4), the first in the low bits.
template <int kAlignment>
GPU_FN uint32_t load_bytes4(BlockBytes p) {
  if (reinterpret_cast<uintptr_t>(p) % kAlignment != 0)
    throw emulator::Fault(emulator::FaultKind::kMisaligned, emulator::describe_thread() + " loads bytes of a block");
  uint32_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

/// Eight bytes of a block whose address is a multiple of 8.
GPU_FN Words2 load_bytes8(BlockBytes p) {
  if (reinterpret_cast<uintptr_t>(p) % 8 != 0)
    throw emulator::Fault(emulator::FaultKind::kMisaligned, emulator::describe_thread() + " loads bytes of a block");
  Words2 words;
  std::memcpy(&words, p, sizeof(words));
  return words;
}

/// Sixteen bytes of a block whose address is a multiple of 16.
GPU_FN Words4 load_bytes16(BlockBytes p) {
  if (reinterpret_cast<uintptr_t>(p) % 16 != 0)
    throw emulator::Fault(emulator::FaultKind::kMisaligned, emulator::describe_thread() + " loads bytes of a block");
  Words4 words;
  std::memcpy(&words, p, sizeof(words));
  return words;
}

}  // namespace outpost::gpu
