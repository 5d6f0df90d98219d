// Shared memory that a launch gives room for, as bytes, and what lies in it.
#pragma once

#include "kernels/portable/dialect.h"

#ifdef __CUDACC__
/// Bytes that the launch gives room for, from a multiple of 16 on.
#define OUTPOST_DYNAMIC_BYTES(name, n) extern __shared__ __align__(16) uint8_t name[]
#else
#define OUTPOST_DYNAMIC_BYTES(name, n) GPU_SHARED(uint8_t, name, n)
#endif

namespace outpost {
namespace gpu {

#ifdef __CUDACC__

/// Element i of an array of T that begins at these bytes.
template <typename T>
GPU_FN GPU_BLOCK_REF(T) block_at(SharedPtr<const uint8_t> bytes, int32_t i) {
  return reinterpret_cast<const T*>(bytes)[i];
}

/// Halves, words, or floats, that begin at these bytes.
GPU_FN SharedPtr<const uint16_t> halves_at(SharedPtr<const uint8_t> bytes) {
  return reinterpret_cast<const uint16_t*>(bytes);
}
GPU_FN SharedPtr<const uint32_t> words_at(SharedPtr<const uint8_t> bytes) {
  return reinterpret_cast<const uint32_t*>(bytes);
}
GPU_FN SharedPtr<const float> floats_at(SharedPtr<const uint8_t> bytes) {
  return reinterpret_cast<const float*>(bytes);
}
GPU_FN SharedPtr<uint32_t> words_at(SharedPtr<uint8_t> bytes) { return reinterpret_cast<uint32_t*>(bytes); }
GPU_FN SharedPtr<float> floats_at(SharedPtr<uint8_t> bytes) { return reinterpret_cast<float*>(bytes); }
/// An array as its bytes.
template <typename T>
GPU_FN DevicePtr<const uint8_t> bytes_of(DevicePtr<const T> values) {
  return reinterpret_cast<const uint8_t*>(values);
}

#else

template <typename T>
GPU_FN GPU_BLOCK_REF(T) block_at(SharedPtr<const uint8_t> bytes, int32_t i) {
  const SharedPtr<const uint8_t> start = bytes + i * static_cast<int64_t>(sizeof(T));
  const std::byte* values = start.access_many(sizeof(T), emulator::Access::kRead);
  if (start.offset() % alignof(T) != 0)
    throw emulator::Fault(emulator::FaultKind::kMisaligned, emulator::describe_thread() + " reads a block");
  return *reinterpret_cast<const T*>(values);
}

GPU_FN SharedPtr<const uint16_t> halves_at(SharedPtr<const uint8_t> bytes) { return {bytes.region(), bytes.offset()}; }
GPU_FN SharedPtr<const uint32_t> words_at(SharedPtr<const uint8_t> bytes) { return {bytes.region(), bytes.offset()}; }
GPU_FN SharedPtr<const float> floats_at(SharedPtr<const uint8_t> bytes) { return {bytes.region(), bytes.offset()}; }
GPU_FN SharedPtr<uint32_t> words_at(SharedPtr<uint8_t> bytes) { return {bytes.region(), bytes.offset()}; }
GPU_FN SharedPtr<float> floats_at(SharedPtr<uint8_t> bytes) { return {bytes.region(), bytes.offset()}; }
template <typename T>
GPU_FN DevicePtr<const uint8_t> bytes_of(DevicePtr<const T> values) {
  return {values.region(), values.offset()};
}

#endif

}  // namespace gpu
}  // namespace outpost
