// The dialect as Metal Shading Language 3 (simdgroups of 32). See dialect.h. The language is C++14 with address spaces.
#pragma once

#include <metal_stdlib>

// Empty for Apple's compiler; C++ wants `static` for a variable with an address space (kernels/metal/check).
#ifndef OUTPOST_METAL_STATIC
#define OUTPOST_METAL_STATIC
#endif

#define GPU_KERNEL(...) [[max_total_threads_per_threadgroup(OUTPOST_METAL_FIRST(__VA_ARGS__, 0))]] kernel void
#define OUTPOST_METAL_FIRST(first, ...) first
#define GPU_FN inline
#define GPU_IN(index, type, name) device const type* name [[buffer(index)]]
#define GPU_RESULT(index, type, name) device const type* name [[buffer(index)]]
#define GPU_IO(index, type, name) device type* name [[buffer(index)]]
#define GPU_PARAMS(index, type, name) constant type& name [[buffer(index)]]
#define GPU_GRID                                                                                     \
  , uint3 gpu_block_ [[threadgroup_position_in_grid]], uint gpu_lane_ [[thread_index_in_simdgroup]], \
      uint gpu_warp_ [[simdgroup_index_in_threadgroup]]
#define GPU_HERE ::outpost::gpu::Here(gpu_block_.x, gpu_block_.y, gpu_block_.z, gpu_lane_, gpu_warp_)
#define GPU_SHARED(type, name, n) alignas(16) OUTPOST_METAL_STATIC threadgroup type name[n]
#define GPU_PARAMS_REF(type) constant type&
#define GPU_BLOCK_REF(type) device const type&
#define GPU_LOCAL thread
#define GPU_UNROLL _Pragma("unroll")

namespace outpost {
namespace gpu {

template <typename T>
using DevicePtr = device T*;
template <typename T>
using SharedPtr = threadgroup T*;
using BlockBytes = device const uint8_t*;
using Float4 = metal::float4;
using Words4 = metal::uint4;
using Words2 = metal::uint2;

struct Here {
  int32_t block_x, block_y, block_z, thread_id, lane, warp;

  /// Which thread of a threadgroup has which lane is Metal's to say: threads are numbered by their lanes.
  Here(uint x, uint y, uint z, uint lane_, uint warp_)
      : block_x(int32_t(x)),
        block_y(int32_t(y)),
        block_z(int32_t(z)),
        thread_id(int32_t(32 * warp_ + lane_)),
        lane(int32_t(lane_)),
        warp(int32_t(warp_)) {}
};

// ---- launches that follow each other: Metal starts one when what it depends on has ended
GPU_FN void allow_next() {}
GPU_FN void wait_for_previous() {}
template <typename T>
GPU_FN void prefetch_line(device const T*) {}

// ---- threads that meet
GPU_FN void block_barrier() {
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup | metal::mem_flags::mem_device);
}
GPU_FN void warp_barrier() {
  metal::simdgroup_barrier(metal::mem_flags::mem_threadgroup | metal::mem_flags::mem_device);
}

template <typename T>
GPU_FN T shuffle(T value, int32_t lane) {
  return metal::simd_shuffle(value, ushort(lane));
}
template <typename T>
GPU_FN T shuffle_xor(T value, int32_t mask) {
  return metal::simd_shuffle_xor(value, ushort(mask));
}
/// Lanes in pairs at distance 16, 8, 4, 2, 1, by `Combine::of`, for which the order of the two makes no difference.
template <typename Combine, typename T>
GPU_FN T combine_lanes(T x) {
  GPU_UNROLL for (int32_t distance = 16; distance > 0; distance /= 2) x = Combine::of(x, shuffle_xor(x, distance));
  return x;
}
GPU_FN uint32_t ballot(bool is_true) { return uint32_t(static_cast<uint64_t>(metal::simd_ballot(is_true))); }

// ---- f32
GPU_FN float fma32(float a, float b, float c) { return metal::fma(a, b, c); }
GPU_FN float exp32(float x) { return metal::precise::exp(x); }
GPU_FN float tanh32(float x) { return metal::precise::tanh(x); }
GPU_FN float sqrt32(float x) { return metal::precise::sqrt(x); }
GPU_FN float max32(float a, float b) { return metal::fmax(a, b); }
GPU_FN float min32(float a, float b) { return metal::fmin(a, b); }
GPU_FN float abs32(float x) { return metal::fabs(x); }
GPU_FN float round32(float x) { return metal::rint(x); }
GPU_FN float infinity32() { return INFINITY; }

// ---- bits
GPU_FN float float_of_bits(uint32_t bits) { return as_type<float>(bits); }
GPU_FN uint32_t bits_of_float(float x) { return as_type<uint32_t>(x); }
GPU_FN float float_of_half(uint16_t bits) { return float(as_type<half>(bits)); }
GPU_FN uint16_t half_of_float(float x) { return as_type<uint16_t>(static_cast<half>(x)); }
GPU_FN int32_t count_bits(uint32_t bits) { return int32_t(metal::popcount(bits)); }
GPU_FN int32_t dot4(int32_t a, int32_t b, int32_t c) {
  for (int32_t i = 0; i < 4; ++i) c += int32_t(int8_t(a >> (8 * i))) * int32_t(int8_t(b >> (8 * i)));
  return c;
}
/// c plus the products of the two signed halves of `a` with the two low, or high, signed bytes of `b`.
GPU_FN int32_t dot2_low(uint32_t a, uint32_t b, int32_t c) {
  return c + int32_t(int16_t(a)) * int32_t(int8_t(b)) + int32_t(int16_t(a >> 16)) * int32_t(int8_t(b >> 8));
}
GPU_FN int32_t dot2_high(uint32_t a, uint32_t b, int32_t c) { return dot2_low(a, b >> 16, c); }
/// Byte i of the result is byte (selector >> 4i) & 7 of the eight bytes of `low` and `high`.
GPU_FN uint32_t pick_bytes(uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t bytes = uint64_t(low) | uint64_t(high) << 32;
  uint32_t picked = 0;
  for (uint32_t i = 0; i < 4; ++i) picked |= uint32_t(bytes >> (8 * ((selector >> (4 * i)) & 7)) & 255) << (8 * i);
  return picked;
}

// ---- addresses found in data
/// No argument is null here: `base` is not looked at, and i is always an address (MTLBuffer.gpuAddress).
template <typename T>
GPU_FN device T* element_at(device T*, int64_t i) {
  return reinterpret_cast<device T*>(ulong(i) * sizeof(T));
}

// ---- loads wider than an element; the address has to be a multiple of their size
GPU_FN Float4 load_float4(device const float* p) { return *reinterpret_cast<device const metal::float4*>(p); }
GPU_FN Float4 load_float4(threadgroup const float* p) { return *reinterpret_cast<threadgroup const metal::float4*>(p); }
GPU_FN void store_float4(threadgroup float* p, Float4 v) { *reinterpret_cast<threadgroup metal::float4*>(p) = v; }
GPU_FN void store_float4(device float* p, Float4 v) { *reinterpret_cast<device metal::float4*>(p) = v; }
GPU_FN Words2 load_words2(device const uint32_t* p) { return *reinterpret_cast<device const metal::uint2*>(p); }
GPU_FN Words4 load_words4(device const uint32_t* p) { return *reinterpret_cast<device const metal::uint4*>(p); }
GPU_FN Words4 load_words4(threadgroup const uint32_t* p) {
  return *reinterpret_cast<threadgroup const metal::uint4*>(p);
}
GPU_FN void store_words4(device uint32_t* p, Words4 v) { *reinterpret_cast<device metal::uint4*>(p) = v; }
GPU_FN void store_words4(threadgroup uint32_t* p, Words4 v) { *reinterpret_cast<threadgroup metal::uint4*>(p) = v; }
/// Of either address space.
template <typename Halves>
GPU_FN Float4 load_half4(Halves p) {
  Float4 v;
  v.x = float_of_half(p[0]);
  v.y = float_of_half(p[1]);
  v.z = float_of_half(p[2]);
  v.w = float_of_half(p[3]);
  return v;
}

template <int kAlignment>
GPU_FN uint32_t load_bytes4(BlockBytes p) {
  if (kAlignment == 4) return *reinterpret_cast<device const uint32_t*>(p);
  if (kAlignment == 2) {
    device const uint16_t* halves = reinterpret_cast<device const uint16_t*>(p);
    return uint32_t(halves[0]) | uint32_t(halves[1]) << 16;
  }
  return uint32_t(p[0]) | uint32_t(p[1]) << 8 | uint32_t(p[2]) << 16 | uint32_t(p[3]) << 24;
}

GPU_FN Words2 load_bytes8(BlockBytes p) { return *reinterpret_cast<device const metal::uint2*>(p); }
GPU_FN Words4 load_bytes16(BlockBytes p) { return *reinterpret_cast<device const metal::uint4*>(p); }

}  // namespace gpu
}  // namespace outpost
