// Neighbouring f16 as words, two to each, the first in the low bits; the address has to be a multiple of their size.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

#ifdef __CUDACC__

GPU_FN uint32_t load_halves2(const uint16_t* p) { return *reinterpret_cast<const uint32_t*>(p); }
GPU_FN Words2 load_halves4(const uint16_t* p) { return *reinterpret_cast<const uint2*>(p); }
GPU_FN Words4 load_halves8(const uint16_t* p) { return *reinterpret_cast<const uint4*>(p); }

#else

template <typename Words>
GPU_FN Words load_halves(DevicePtr<const uint16_t> p) {
  Words words;
  std::memcpy(&words, p.access_many(sizeof(words) / 2, emulator::Access::kRead), sizeof(words));
  return words;
}
GPU_FN uint32_t load_halves2(DevicePtr<const uint16_t> p) { return load_halves<uint32_t>(p); }
GPU_FN Words2 load_halves4(DevicePtr<const uint16_t> p) { return load_halves<Words2>(p); }
GPU_FN Words4 load_halves8(DevicePtr<const uint16_t> p) { return load_halves<Words4>(p); }

#endif

}  // namespace gpu
}  // namespace outpost
