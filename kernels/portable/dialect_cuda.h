// The dialect as CUDA C++ (compute capability 8.0 and above). See dialect.h.
#pragma once

#include <cstdint>

#define GPU_KERNEL(...) static __global__ void __launch_bounds__(__VA_ARGS__)
#define GPU_FN __device__ __forceinline__
#define GPU_IN(index, type, name) const type* __restrict__ name
// Not __restrict__: such loads may come from a cache that has what was there before the launch before this one ended.
#define GPU_RESULT(index, type, name) const type* name
#define GPU_IO(index, type, name) type* name
#define GPU_PARAMS(index, type, name) const __grid_constant__ type name
#define GPU_GRID
#define GPU_HERE ::outpost::gpu::Here(blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x)
#define GPU_SHARED(type, name, n) __shared__ __align__(16) type name[n]
#define GPU_PARAMS_REF(type) const type&
#define GPU_BLOCK_REF(type) const type&
#define GPU_LOCAL
#define GPU_UNROLL _Pragma("unroll")

namespace outpost::gpu {

template <typename T>
using DevicePtr = T*;
template <typename T>
using SharedPtr = T*;
using BlockBytes = const uint8_t*;
using Float4 = float4;
using Words4 = uint4;
using Words2 = uint2;

struct Here {
  int32_t block_x, block_y, block_z, thread_id, lane, warp;

  GPU_FN Here(uint32_t x, uint32_t y, uint32_t z, uint32_t t)
      : block_x(int32_t(x)),
        block_y(int32_t(y)),
        block_z(int32_t(z)),
        thread_id(int32_t(t)),
        lane(int32_t(t % 32)),
        warp(int32_t(t / 32)) {}
};

// ---- launches that follow each other: the next may start when all blocks of this one have said so, and waits until
// ---- this one has ended before it writes anything or reads a result (PTX ISA, griddepcontrol). Only launches that ask
// ---- for it.
GPU_FN void allow_next() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
GPU_FN void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// Asks for the 128 bytes around p to come to the device's cache: a hint.
GPU_FN void prefetch_line(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

// ---- threads that meet
GPU_FN void block_barrier() { __syncthreads(); }
GPU_FN void warp_barrier() { __syncwarp(); }

template <typename T>
GPU_FN T shuffle(T value, int32_t lane) {
  return __shfl_sync(0xffffffffu, value, lane);
}
template <typename T>
GPU_FN T shuffle_xor(T value, int32_t mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
/// Lanes in pairs at distance 16, 8, 4, 2, 1, by `Combine::of`, for which the order of the two makes no difference.
template <typename Combine, typename T>
GPU_FN T combine_lanes(T x) {
  GPU_UNROLL for (int32_t distance = 16; distance > 0; distance /= 2) x = Combine::of(x, shuffle_xor(x, distance));
  return x;
}
GPU_FN uint32_t ballot(bool is_true) { return __ballot_sync(0xffffffffu, is_true); }

// ---- f32, correctly rounded or with the error of the platform's precise functions
GPU_FN float fma32(float a, float b, float c) { return __fmaf_rn(a, b, c); }
GPU_FN float exp32(float x) { return expf(x); }
GPU_FN float tanh32(float x) { return tanhf(x); }
GPU_FN float sqrt32(float x) { return __fsqrt_rn(x); }
GPU_FN float max32(float a, float b) { return fmaxf(a, b); }
GPU_FN float min32(float a, float b) { return fminf(a, b); }
GPU_FN float abs32(float x) { return fabsf(x); }
GPU_FN float round32(float x) { return rintf(x); }
GPU_FN float infinity32() { return __int_as_float(0x7f800000); }

// ---- bits
GPU_FN float float_of_bits(uint32_t bits) { return __uint_as_float(bits); }
GPU_FN uint32_t bits_of_float(float x) { return __float_as_uint(x); }
GPU_FN float float_of_half(uint16_t bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
}
GPU_FN uint16_t half_of_float(float x) {
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
GPU_FN int32_t count_bits(uint32_t bits) { return __popc(bits); }
GPU_FN int32_t dot4(int32_t a, int32_t b, int32_t c) { return __dp4a(a, b, c); }
GPU_FN int32_t dot2_low(uint32_t a, uint32_t b, int32_t c) { return __dp2a_lo(int32_t(a), int32_t(b), c); }
GPU_FN int32_t dot2_high(uint32_t a, uint32_t b, int32_t c) { return __dp2a_hi(int32_t(a), int32_t(b), c); }
GPU_FN uint32_t pick_bytes(uint32_t low, uint32_t high, uint32_t selector) { return __byte_perm(low, high, selector); }

// ---- addresses found in data
template <typename T>
GPU_FN T* element_at(T* base, int64_t i) {
  return base + i;
}

// ---- loads wider than an element; the address has to be a multiple of their size
GPU_FN Float4 load_float4(const float* p) { return *reinterpret_cast<const float4*>(p); }
GPU_FN void store_float4(float* p, Float4 v) { *reinterpret_cast<float4*>(p) = v; }
GPU_FN Words2 load_words2(const uint32_t* p) { return *reinterpret_cast<const uint2*>(p); }
GPU_FN Words4 load_words4(const uint32_t* p) { return *reinterpret_cast<const uint4*>(p); }
GPU_FN void store_words4(uint32_t* p, Words4 v) { *reinterpret_cast<uint4*>(p) = v; }
/// Four neighbouring f16.
GPU_FN Float4 load_half4(const uint16_t* p) {
  const uint2 words = *reinterpret_cast<const uint2*>(p);
  return {float_of_half(uint16_t(words.x)), float_of_half(uint16_t(words.x >> 16)), float_of_half(uint16_t(words.y)),
          float_of_half(uint16_t(words.y >> 16))};
}

/// Four bytes of a block whose address is a multiple of kAlignment (1, 2 or 4), the first in the low bits.
template <int kAlignment>
GPU_FN uint32_t load_bytes4(BlockBytes p) {
  if constexpr (kAlignment == 4) return *reinterpret_cast<const uint32_t*>(p);
  if constexpr (kAlignment == 2) {
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(p);
    return uint32_t(halves[0]) | uint32_t(halves[1]) << 16;
  }
  return uint32_t(p[0]) | uint32_t(p[1]) << 8 | uint32_t(p[2]) << 16 | uint32_t(p[3]) << 24;
}

/// Eight bytes of a block whose address is a multiple of 8.
GPU_FN Words2 load_bytes8(BlockBytes p) { return *reinterpret_cast<const uint2*>(p); }

/// Sixteen bytes of a block whose address is a multiple of 16.
GPU_FN Words4 load_bytes16(BlockBytes p) { return *reinterpret_cast<const uint4*>(p); }

}  // namespace outpost::gpu
