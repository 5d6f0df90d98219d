// What lets a header be C++, CUDA C++ and Metal at once. A function that takes bytes of a block is a template over
// their pointer, because Metal's says which memory it points to.
#pragma once

#if defined(__METAL_VERSION__)
#define OUTPOST_CONSTANT constant constexpr
#define OUTPOST_TABLE constant constexpr
#elif defined(__CUDACC__)
#include <cstdint>
#define OUTPOST_CONSTANT inline constexpr
#define OUTPOST_TABLE static __device__ constexpr
#else
#include <cstdint>
#define OUTPOST_CONSTANT inline constexpr  ///< a number
#define OUTPOST_TABLE inline constexpr     ///< an array that is indexed at run time
#endif
